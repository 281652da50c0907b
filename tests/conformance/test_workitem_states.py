"""Every cell of PS3.4 Table CC.1.1-2 at the DIMSE door: what is answered, and which state follows."""

from __future__ import annotations

from pathlib import Path

import pytest

from hilum.archive.workitems import WorkitemState
from hilum.index.embedded import EmbeddedPostgres
from support.in_process import InProcessArchive, in_process_archive
from support.workitem_peer import WorkitemPeer, workitem_peer
from support.workitems import discontinued, performed, workitem_attributes

STATES = ("null", "SCHEDULED", "IN PROGRESS", "COMPLETED", "CANCELED")
RIGHT, WRONG = "1.2.840.1", "1.2.840.2"

# Rows in the order of the table; ">" leads to the state of that name with success.
TABLE = {
    "N-CREATE": (">SCHEDULED", 0x0111, 0x0111, 0x0111, 0x0111),
    "to IN PROGRESS with the right UID": (0xC307, ">IN PROGRESS", 0xC302, 0xC300, 0xC300),
    "to IN PROGRESS with a wrong UID": (0xC307, ">IN PROGRESS", 0xC301, 0xC301, 0xC301),
    "to IN PROGRESS without UID": (0xC307, 0xC301, 0xC301, 0xC301, 0xC301),
    "to SCHEDULED with the right UID": (0xC307, 0xC303, 0xC303, 0xC303, 0xC303),
    "to SCHEDULED without UID": (0xC307, 0xC303, 0xC303, 0xC303, 0xC303),
    "to COMPLETED with the right UID": (0xC307, 0xC310, ">COMPLETED", 0xB306, 0xC300),
    "to COMPLETED with a wrong UID": (0xC307, 0xC310, 0xC301, 0xC301, 0xC301),
    "to COMPLETED without UID": (0xC307, 0xC301, 0xC301, 0xC301, 0xC301),
    "to CANCELED with the right UID": (0xC307, 0xC310, ">CANCELED", 0xC300, 0xB304),
    "to CANCELED with a wrong UID": (0xC307, 0xC310, 0xC301, 0xC301, 0xC301),
    "to CANCELED without UID": (0xC307, 0xC301, 0xC301, 0xC301, 0xC301),
    "N-ACTION to request cancel": (0xC307, ">CANCELED", 0x0000, 0xC311, 0xB304),
}


async def bring_to(archive: InProcessArchive, uid: str, state: str) -> None:
    """Make a workitem that has met all requirements for any final state, and bring it to a state."""
    if state == "null":
        return
    service, tenant = archive.archive.workitems, archive.tenant_id
    await service.create_workitem(tenant, workitem_attributes(), uid)
    await service.change_workitem(tenant, uid, performed() | discontinued(), None)
    if state != "SCHEDULED":
        await service.change_workitem_state(tenant, uid, WorkitemState.IN_PROGRESS, RIGHT, "WORKSTATION")
    if state in ("COMPLETED", "CANCELED"):
        await service.change_workitem_state(tenant, uid, WorkitemState(state), RIGHT, "WORKSTATION")
    await service.subscribe(tenant, uid, "WORKSTATION", has_deletion_lock=False, is_here=True)


async def do(peer: WorkitemPeer, row: str, uid: str) -> int:
    if row == "N-CREATE":
        return await peer.create(workitem_attributes(), uid)
    if row == "N-ACTION to request cancel":
        return await peer.act(2, uid)
    target, _, which = row.removeprefix("to ").partition(" with")
    transaction_uid = {" the right UID": RIGHT, " a wrong UID": WRONG, "out UID": None}[which]
    return await peer.change_state(target, transaction_uid, uid)


@pytest.mark.parametrize("row", TABLE)
async def test_a_row_of_the_state_table(database: EmbeddedPostgres, tmp_path: Path, row: str) -> None:
    async with in_process_archive(database, tmp_path) as archive, workitem_peer(archive) as peer:
        for number, (state, expected) in enumerate(zip(STATES, TABLE[row], strict=True)):
            uid = f"1.2.{number}"
            await bring_to(archive, uid, state)
            answer = await do(peer, row, uid)
            code, attributes = await peer.get(0x00741000, uid=uid)
            follows = None if code == 0xC307 else attributes["00741000"]["Value"][0]
            if isinstance(expected, str):
                assert (state, answer, follows) == (state, 0, expected.removeprefix(">"))
            else:
                assert (state, f"{answer:04X}") == (state, f"{expected:04X}")
                assert follows == (None if state == "null" else state)
