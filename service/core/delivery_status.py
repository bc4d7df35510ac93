"""What a destination's status means for an object of ours (PS3.4 B.2.3, PS3.7 C, PS3.18 table I.2-2): the policy as tables.

So for the statuses of HTTP (RFC 9110 15), whatever is sent by it.
"""

from collections.abc import Mapping

from service.errors import InputRejected, Unavailable

#: Attribute list error, attribute value out of range; and duplicate SOP instance: our UIDs name content, so it has it.
_WARNINGS = frozenset({0x0107, 0x0111, 0x0116, *range(0xB000, 0xC000)})
#: Invalid instance, SOP class not supported, unrecognised or mistyped operation; data set does not match, not understood.
_REFUSALS = frozenset({0x0117, 0x0118, 0x0122, 0x0211, 0x0212, *range(0xA900, 0xAA00), *range(0xC000, 0xD000)})
_OK, _MULTIPLE_CHOICES, _BAD_REQUEST, _SERVER_ERROR = 200, 300, 400, 500
#: Request timeout, too early, too many requests.
_PASSING = frozenset({408, 425, 429})


def judge_status(status: int) -> str:
    """A warning, or nothing, for what was stored. Raises Unavailable or InputRejected."""
    text = f"0x{status:04X}"
    if status == 0:
        return ""
    if status in _WARNINGS:
        return f"stored with warning {text}"
    if status in _REFUSALS:
        raise InputRejected(f"The peer refused the instance for good, status {text}.", reason="refused")
    raise Unavailable(f"The peer could not store the instance now, status {text}.", reason="not_stored")


def is_http_success(status: int) -> bool:
    """2xx."""
    return _OK <= status < _MULTIPLE_CHOICES


def is_passing(status: int) -> bool:
    """An HTTP status that says nothing of the object: 5xx, 408, 425, 429, and what is no answer."""
    return status < _OK or status >= _SERVER_ERROR or status in _PASSING


def raise_if_passing(status: int) -> None:
    """Raises Unavailable for a status that is passing."""
    if is_passing(status):
        raise Unavailable(f"The server could not take the object now ({status}).", reason="not_stored")


def refusal(status: int, mend: Mapping[int, str]) -> InputRejected:
    """The error for an HTTP status that will not change: what to mend by `mend`, or that we are sent elsewhere (3xx)."""
    if status < _BAD_REQUEST:
        return InputRejected(f"The server sends us elsewhere ({status}): set the url of the destination to that.", reason="moved")
    return InputRejected(mend.get(status, f"The server refused the object for good ({status})."), reason="refused")
