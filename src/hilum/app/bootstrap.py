"""What the first start makes: the tenant's AE title and the administrator; and what every start puts in order."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass, field

from hilum.app.database import Database
from hilum.app.settings import Settings
from hilum.archive.model import Role
from hilum.index.registry import open_registry
from hilum.kernel.clock import SystemClock
from hilum.kernel.errors import InvalidInput
from hilum.observe.logs import get_logger
from hilum.services.identity import IdentityService

ADMINISTRATOR = "admin"

_log = get_logger("bootstrap")


@dataclass(frozen=True, slots=True)
class FirstStart:
    """The administrator's account just made; `password` is None when the operator chose it."""

    user_name: str
    password: str | None = field(repr=False)


def prepare_data_directory(settings: Settings) -> None:
    """The data folder exists and can be written.

    Raises:
        InvalidInput: it cannot be made or written; the message names it.
    """
    folder = settings.data_directory
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o711)
        (folder / "run").mkdir(exist_ok=True, mode=0o700)
        (folder / "staging").mkdir(exist_ok=True, mode=0o700)
        if not os.access(folder, os.W_OK):
            raise PermissionError(13, "Permission denied")
    except OSError as error:
        raise InvalidInput(f"the data folder {folder} cannot be used: {error.strerror}", code="data-folder") from error


async def prepare_archive(settings: Settings, database: Database) -> FirstStart | None:
    """The tenant answers to our AE title and there is an administrator; tells of an account just made."""
    async with open_registry(database.serving) as registry:
        accounts = registry.accounts
        tenant = await accounts.default_tenant()
        await accounts.assign_ae_title(settings.dicom.ae_title, tenant.tenant_id)
        if await accounts.count_users():
            return None
        chosen = os.environ.get("HILUM_ADMIN_PASSWORD")
        password = chosen or secrets.token_urlsafe(12)
        identity = IdentityService(accounts, SystemClock())
        try:
            await identity.create_user(ADMINISTRATOR, password, frozenset({Role.ADMINISTRATOR}), tenant.tenant_id)
        finally:
            identity.close()
        _log.info("administrator created", user=ADMINISTRATOR)
        return FirstStart(ADMINISTRATOR, None if chosen else password)
