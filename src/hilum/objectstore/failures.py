"""What failures of the system mean to those who keep blobs."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from hilum.kernel.errors import Conflict, NotFound, Unavailable

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextmanager
def translated() -> Iterator[None]:
    """Raise errors of our own in place of the system's.

    Raises:
        NotFound: there is no such file.
        Conflict: there is one already.
        Unavailable: the storage is full (code "storage-full") or fails.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise NotFound("there is no such blob", code="blob-not-found") from error
    except FileExistsError as error:
        raise Conflict("the blob's key is taken", code="blob-exists") from error
    except OSError as error:
        if error.errno in _FULL:
            raise Unavailable("the storage is full", code="storage-full") from error
        raise Unavailable(f"the storage fails: {error.strerror}", code="storage-failed") from error
