"""Which application entities may open an association (PS3.8 §9.3.4: rejection reasons 3 and 7)."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from hilum.kernel.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class AllowedCaller:
    """One entry of the list: an AE title, and optionally the address or network it has to come from."""

    ae_title: str
    network: ipaddress.IPv4Network | ipaddress.IPv6Network | None = None

    @classmethod
    def parse(cls, text: str) -> AllowedCaller:
        """Read "AE_TITLE" or "AE_TITLE@address" or "AE_TITLE@network/prefix".

        Raises:
            InvalidInput: the AE title is empty or longer than 16 characters, or the network is none.
        """
        title, at, network = text.partition("@")
        title = title.strip()
        if not title or len(title) > 16:
            raise InvalidInput(f"an AE title has 1 to 16 characters, not {len(title)}", code="ae-title")
        if not at:
            return cls(title)
        try:
            return cls(title, ipaddress.ip_network(network.strip(), strict=False))
        except ValueError as error:
            raise InvalidInput(f"{network!r} is neither an address nor a network", code="network") from error


@dataclass(frozen=True, slots=True)
class CallerAdmission:
    """Decides whether a caller is known.

    `accept_unknown` None stands for the safe default: unknown callers are let in from this machine alone.
    """

    allowed: Sequence[AllowedCaller] = ()
    accept_unknown: bool | None = None

    def is_known(self, calling_ae_title: str, peer: str) -> bool:
        """Return whether this AE title may call from this address."""
        try:
            address = ipaddress.ip_address(peer)
        except ValueError:
            return False
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        for entry in self.allowed:
            if entry.ae_title == calling_ae_title and (entry.network is None or address in entry.network):
                return True
        return address.is_loopback if self.accept_unknown is None else self.accept_unknown
