"""What a destination's status means for an object of ours (PS3.4 B.2.3, PS3.7 C, PS3.18 table I.2-2): the policy as tables."""

from service.errors import InputRejected, Unavailable

#: Attribute list error, attribute value out of range; and duplicate SOP instance: our UIDs name content, so it has it.
_WARNINGS = frozenset({0x0107, 0x0111, 0x0116, *range(0xB000, 0xC000)})
#: Invalid instance, SOP class not supported, unrecognised or mistyped operation; data set does not match, not understood.
_REFUSALS = frozenset({0x0117, 0x0118, 0x0122, 0x0211, 0x0212, *range(0xA900, 0xAA00), *range(0xC000, 0xD000)})


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
