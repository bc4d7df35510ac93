"""What a report alone does not know, and documents of it may name: its other forms, and where its instances are served."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """The whole report in another form: its bytes, or the address where they are."""

    media_type: str
    content: bytes | None = None
    address: str | None = None
    #: Tag (RFC 5646) of the language that it is in, where that is one.
    language: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """Where to look further."""

    forms: tuple[Form, ...] = ()
    #: Base address of WADO-RS (PS3.18 10.4).
    wado_root: str | None = None


#: Nothing else is known.
NOWHERE = Published()
