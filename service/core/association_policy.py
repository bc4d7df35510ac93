"""Who may associate, and what of an offer is taken (PS3.8 9.3.2 to 9.3.4): decisions without a socket."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from service.core.association import ContextRecord, Rejection
from service.core.dataset_scan import EXPLICIT_BIG_ENDIAN
from service.core.dicom_syntaxes import refusal_of_context

ACCEPTED, ABSTRACT_SYNTAX_NOT_SUPPORTED, TRANSFER_SYNTAXES_NOT_SUPPORTED = 0, 3, 4


@dataclass(frozen=True, slots=True)
class AllowedPeer:
    """One row of the allow-list; None allows any."""

    ae_title: str | None
    address: IPv4Network | IPv6Network | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociationPolicy:
    """What the listener answers to a request."""

    called_ae_titles: frozenset[str]
    allowed_peers: tuple[AllowedPeer, ...]
    #: SOP class -> transfer syntaxes.
    supported: dict[str, frozenset[str]]

    def refuse_peer(self, *, address: str, calling_ae_title: str, called_ae_title: str) -> Rejection | None:
        """The rejection, or None when this peer may associate."""
        peer = normal_address(address)
        rows = [row for row in self.allowed_peers if row.address is None or peer in row.address]
        if self.allowed_peers and not rows:
            return Rejection(result=1, source=1, reason=1, why=f"address {peer} is not on the allow-list")
        if called_ae_title not in self.called_ae_titles:
            return Rejection(result=1, source=1, reason=7, why=f"called AE title {called_ae_title} is not one of ours")
        if self.allowed_peers and not any(row.ae_title in (None, calling_ae_title) for row in rows):
            why = f"calling AE title {calling_ae_title} is not on the allow-list for {peer}"
            return Rejection(result=1, source=1, reason=3, why=why)
        return None

    def judge_context(self, context_id: int, abstract_syntax: str, transfer_syntaxes: Sequence[str]) -> ContextRecord:
        """Accept the first transfer syntax that we take: the requestor lists them as it likes to send them.

        The retired Big Endian, which some list first by habit, comes last.
        """
        offered = tuple(transfer_syntaxes)
        taken: Collection[str] = self.supported.get(abstract_syntax, ())
        accepted = next((each for each in sorted(offered, key=EXPLICIT_BIG_ENDIAN.__eq__) if each in taken), None)
        if accepted is not None:
            result, why = ACCEPTED, ""
        else:
            result = TRANSFER_SYNTAXES_NOT_SUPPORTED if taken else ABSTRACT_SYNTAX_NOT_SUPPORTED
            why = refusal_of_context(abstract_syntax, offered, result=result)
        return ContextRecord(
            context_id=context_id,
            abstract_syntax=abstract_syntax,
            transfer_syntaxes=offered,
            result=result,
            accepted_transfer_syntax=accepted,
            why=why,
        )


def normal_address(address: str) -> IPv4Address | IPv6Address:
    """An address without its zone, an IPv4 one mapped into IPv6 as IPv4."""
    parsed = ip_address(address.split("%", maxsplit=1)[0])
    mapped = getattr(parsed, "ipv4_mapped", None)
    return parsed if mapped is None else mapped
