"""Which of the forms that exist answers an Accept header (PS3.18 8.7.5): a media type with its transfer syntax."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.api.negotiation import read_accept
from service.api.preferences import MediaRange
from service.api.problems import Problem


@dataclass(frozen=True, slots=True)
class Form:
    """One way to give something; `kind` is what may be asked for, `answered_as` what the parts are called."""

    kind: str
    transfer_syntax_uid: str
    #: Only for who names a transfer syntax, `*` too.
    is_named_only: bool = False
    answered_as: str | None = None

    @property
    def part_type(self) -> str:
        """The type of the parts."""
        return self.answered_as or self.kind

    @property
    def media_type(self) -> str:
        """The same with its parameter."""
        return f"{self.part_type}; transfer-syntax={self.transfer_syntax_uid}"


def choose_form(accept: str | None, forms: Sequence[Form], *, may_be_single: bool) -> tuple[Form, bool]:
    """The form that is liked best, the first of equals, and whether it goes without multipart. Raises Problem (406)."""
    for wanted in read_accept(accept):
        if wanted.kind in ("*/*", "multipart/*"):
            return forms[0], False
        is_multipart = wanted.kind == "multipart/related"
        if not is_multipart and not may_be_single:
            continue
        named = MediaRange(wanted.parameters.get("type", "*/*").lower()) if is_multipart else wanted
        for form in forms:
            if named.covers(form.kind) and _suits(wanted, form):
                return form, not is_multipart
    available = [f'multipart/related; type="{form.kind}"; transfer-syntax={form.transfer_syntax_uid}' for form in forms]
    raise Problem(406, "This exists in other forms only.", extensions={"available": sorted(available)})


def _suits(wanted: MediaRange, form: Form) -> bool:
    syntax = wanted.parameters.get("transfer-syntax")
    if syntax is None:
        return not form.is_named_only
    return syntax in ("*", form.transfer_syntax_uid)
