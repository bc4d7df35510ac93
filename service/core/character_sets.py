"""Text decoded by SpecificCharacterSet (PS3.5 6.1, PS3.3 C.12.1.1.2), with a fallback where the set is unknown or wrong.

Own code and not pydicom's, which warns through a process-wide channel instead of answering.
"""

import re
from collections.abc import Iterable

#: Defined terms without their prefix -> codec (PS3.3 tables C.12-2 to C.12-5); the code extension terms use the same numbers.
_CODECS = {
    "6": "ascii",
    "100": "latin-1",
    "101": "iso8859-2",
    "109": "iso8859-3",
    "110": "iso8859-4",
    "144": "iso8859-5",
    "127": "iso8859-6",
    "126": "iso8859-7",
    "138": "iso8859-8",
    "148": "iso8859-9",
    "203": "iso8859-15",
    "13": "shift_jis",
    "166": "iso8859-11",
    "87": "iso2022_jp",
    "159": "iso2022_jp_2",
    "149": "euc_kr",
    "58": "gb2312",
    "192": "utf-8",
    "GB18030": "gb18030",
    "GBK": "gbk",
}
#: Escape sequence -> codec of the text that follows (PS3.3 tables C.12-3 and C.12-4).
_ESCAPES = {
    b"(B": "ascii",
    b"(J": "shift_jis",
    b")I": "shift_jis",
    b"$B": "iso2022_jp",
    b"$@": "iso2022_jp",
    b"$(D": "iso2022_jp_2",
    b"$)C": "euc_kr",
    b"$)A": "gb2312",
    b"-A": "latin-1",
    b"-B": "iso8859-2",
    b"-C": "iso8859-3",
    b"-D": "iso8859-4",
    b"-L": "iso8859-5",
    b"-G": "iso8859-6",
    b"-F": "iso8859-7",
    b"-H": "iso8859-8",
    b"-M": "iso8859-9",
    b"-b": "iso8859-15",
    b"-T": "iso8859-11",
}
#: Codecs that read the escape sequence themselves.
_STATEFUL = {"iso2022_jp": b"\x1b(B", "iso2022_jp_2": b"\x1b(B"}
_TERM = re.compile(r"(?:ISO[ _]?(?:2022[ _]?)?IR[ _]?|ISO[ _]?2022[ _]?)?(\d+|GB18030|GBK)", re.IGNORECASE)
_UTF8 = re.compile(r"UTF[-_ ]?8|UNICODE[-_ ]?1[-_ ]?1[-_ ]?UTF[-_ ]?8", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
#: Bytes that end the reach of an escape sequence; in a person's name the delimiters of its parts too (PS3.5 6.1.2.5.3).
_RESETS = re.compile(rb"([\\\r\n\x0c\t])")
_RESETS_OF_NAME = re.compile(rb"([\\\r\n\x0c\t^=])")


def codecs_of(specific_character_set: bytes | None) -> tuple[str, ...]:
    """The codecs that the value of (0008,0005) names; empty when it names one that nobody knows."""
    text = (specific_character_set or b"").decode("ascii", "replace").strip(" \0")
    if not text:
        return ("ascii",)
    codecs = []
    for index, term in enumerate(text.split("\\")):
        match = _TERM.fullmatch(term.strip())
        codec = "utf-8" if _UTF8.fullmatch(term.strip()) else _CODECS.get(match.group(1).upper()) if match else None
        if codec is None and not term.strip() and index == 0:
            codec = "ascii"
        if codec is not None:
            codecs.append(codec)
    return tuple(codecs)


def decode_text(value: bytes, codecs: tuple[str, ...], *, person_name: bool = False) -> str:
    """Text without padding and control characters; never raises, never holds a surrogate or NUL."""
    if value.isascii() and b"\x1b" not in value:
        text = value.decode("ascii")
    elif b"\x1b" in value and codecs[:1] not in {("utf-8",), ("gb18030",), ("gbk",)}:
        text = "".join(_decode_parts(value, codecs, _RESETS_OF_NAME if person_name else _RESETS))
    else:
        text = _decode_plain(value, codecs)
    return _CONTROL.sub("", text).strip()


def _decode_parts(value: bytes, codecs: tuple[str, ...], resets: re.Pattern[bytes]) -> Iterable[str]:
    """Code extensions: an escape sequence holds until the next one, or until a delimiter resets it."""
    for index, part in enumerate(value.split(b"\x1b")):
        escape = next((code for code in _ESCAPES if part.startswith(code)), None) if index else None
        if escape is None:
            yield _decode_plain(part, codecs)
            continue
        codec, text = _ESCAPES[escape], part[len(escape) :]
        pieces = [text] if codec in _STATEFUL else resets.split(text, maxsplit=1)
        yield _decode_escaped(pieces[0], codec, escape)
        yield from (_decode_plain(rest, codecs) for rest in pieces[1:])


def _decode_escaped(piece: bytes, codec: str, escape: bytes) -> str:
    if codec in _STATEFUL:
        return (b"\x1b" + escape + piece + _STATEFUL[codec]).decode(codec, "replace")
    return piece.decode(codec, "replace")


def _decode_plain(value: bytes, codecs: tuple[str, ...]) -> str:
    """Without code extensions: the first codec; where it does not fit UTF-8, then the others that are named, then Latin-1."""
    for codec in (*codecs[:1], "utf-8", *codecs[1:]):
        if codec in _STATEFUL:
            continue
        try:
            return value.decode(codec)
        except UnicodeDecodeError:
            continue
    return value.decode("latin-1")
