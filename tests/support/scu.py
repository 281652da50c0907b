"""C-STORE by pynetdicom."""

from __future__ import annotations

import time
from pathlib import Path

from pydicom.dataset import Dataset
from pynetdicom.association import Association


def send_c_store(association: Association, dataset: Dataset | Path) -> Dataset:
    """Send and return the status; an empty one when the association ended meanwhile.

    pynetdicom's own thread may take an answer that comes very fast for a request to itself: it announces its pause
    before it pauses. So it is stopped first, and given time to be.
    """
    association._reactor_checkpoint.clear()
    time.sleep(0.005)
    try:
        return association.send_c_store(dataset)
    finally:
        association._reactor_checkpoint.set()
