"""URLs: what a request's path names, and the absolute addresses that answers carry."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request

from hilum.kernel.errors import InvalidInput
from hilum.kernel.limits import MAX_UID_LENGTH

_DEFAULT_PORTS = {"http": 80, "https": 443}
_UID_CHARACTERS = frozenset("0123456789.")


@dataclass(frozen=True, slots=True)
class Target:
    """The study, series or instance a path names.

    Reference: PS3.18 §10.1
    """

    study: str
    series: str | None = None
    instance: str | None = None

    def url(self, base: str) -> str:
        """Return the absolute address of the resource."""
        address = f"{base}/studies/{self.study}"
        if self.series is not None:
            address += f"/series/{self.series}"
        if self.instance is not None:
            address += f"/instances/{self.instance}"
        return address


def base_url(request: Request) -> str:
    """Return the absolute address under which the client reached this service, without a slash at the end.

    Some clients (dicomweb-client) leave the port out of the Host header. Where that header is the very address of the
    socket the request came in by, nothing stands between, so the socket's port is the right one.
    """
    authority = request.url.netloc
    server = request.scope.get("server")
    if (
        server is not None
        and authority == server[0]
        and server[1] not in (None, _DEFAULT_PORTS.get(request.url.scheme))
    ):
        authority = f"{authority}:{server[1]}"
    return f"{request.url.scheme}://{authority}{request.scope.get('root_path', '')}"


def target_of(request: Request) -> Target:
    """Return what the request's path names.

    Raises:
        InvalidInput: a UID in the path cannot be one.
    """
    parameters = request.path_params
    return Target(
        _uid(parameters["study"], "study"),
        _uid(parameters["series"], "series") if "series" in parameters else None,
        _uid(parameters["instance"], "instance") if "instance" in parameters else None,
    )


def _uid(text: str, name: str) -> str:
    # Real archives hold UIDs with leading zeros or empty components: they are looked for, not judged.
    if not 0 < len(text) <= MAX_UID_LENGTH or not _UID_CHARACTERS.issuperset(text):
        raise InvalidInput(f"The {name} in the path is no UID.", code="invalid-uid", attribute=name)
    return text
