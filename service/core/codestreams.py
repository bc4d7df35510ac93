"""What a compressed frame says of itself, read before a codec is let at it (ITU-T T.81 B.2, T.87 C, T.800 A.5)."""

from dataclasses import dataclass

from service.errors import InputRejected

_SOI = b"\xff\xd8"
_EOI = b"\xff\xd9"
_SOC_SIZ = b"\xff\x4f\xff\x51"
_COD = 0xFF52
_SOT = 0xFF90
_SOS = 0xDA
_APP0, _APP14 = 0xE0, 0xEE
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})
#: Starts of frames; C4, C8 and CC are tables.
_LOSSLESS, _JPEG_LS = 0xC3, 0xF7
_SOF = frozenset({*range(0xC0, 0xD0), _JPEG_LS}) - {0xC4, 0xC8, 0xCC}
_MAXIMUM_TILES = 4096
_BOX_SEARCH_BYTES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Codestream:
    """Size, precision and colour that a codestream declares."""

    rows: int
    columns: int
    components: int
    precision: int
    #: Lossless or JPEG-LS: no discrete cosine transform.
    is_lossless: bool = False
    #: What the markers say: True Y'CbCr, False RGB, None nothing.
    is_ycbcr: bool | None = None
    #: JPEG 2000: the codec turns Y'CbCr (RCT or ICT) back into RGB.
    has_colour_transform: bool = False


def read_jpeg(data: bytes) -> Codestream:
    """A JPEG or JPEG-LS frame. Raises InputRejected `frame_corrupt`, or `frame_truncated` without an end marker."""
    if data[:2] != _SOI:
        raise InputRejected("A frame does not begin like a JPEG", reason="frame_corrupt")
    frame_header: tuple[int, bytes] | None = None
    labels: list[bool] = []
    position, marker = 2, 0
    while marker != _SOS and (segment := _next_segment(data, position)) is not None:
        marker, body, position = segment
        if marker in _SOF:
            frame_header = marker, body
        labels.extend(_label(marker, body))
    if frame_header is None or marker != _SOS:
        raise InputRejected("A JPEG frame has no image in it", reason="frame_corrupt")
    if data.rfind(_EOI, position) < 0:
        raise InputRejected("A JPEG frame ends before its end marker", reason="frame_truncated")
    return _read_sof(*frame_header, label=labels[-1] if labels else None)


def _label(marker: int, body: bytes) -> list[bool]:
    """What a JFIF or Adobe segment says of the colour: Y'CbCr or not."""
    if marker == _APP0 and body[:4] == b"JFIF":
        return [True]
    if marker == _APP14 and body[:5] == b"Adobe" and len(body) > 11:  # noqa: PLR2004 - the transform's place
        return [body[11] != 0]
    return []


def _next_segment(data: bytes, position: int) -> tuple[int, bytes, int] | None:
    """Marker, body and where the next begins; None at the end or at something that is no marker."""
    size = len(data)
    while position + 1 < size and data[position] == 0xFF:  # noqa: PLR2004 - every marker begins so
        marker = data[position + 1]
        if marker == 0xFF:  # noqa: PLR2004 - a fill byte
            position += 1
        elif marker in _STANDALONE:
            position += 2
        else:
            length = int.from_bytes(data[position + 2 : position + 4], "big")
            end = position + 2 + length
            return (marker, data[position + 4 : end], end) if length >= 2 and end <= size else None  # noqa: PLR2004 - the length counts its own two bytes
    return None


def _read_sof(marker: int, body: bytes, *, label: bool | None) -> Codestream:
    """Subsampled chroma outweighs every label; components named RGB outweigh JFIF."""
    components = body[5] if len(body) > 5 else 0  # noqa: PLR2004 - P, Y, X, then Nf
    if not components or len(body) < 6 + 3 * components:
        raise InputRejected("A JPEG frame header is too short", reason="frame_corrupt")
    identifiers = bytes(body[6 + 3 * index] for index in range(components))
    is_subsampled = len({body[7 + 3 * index] for index in range(components)}) > 1
    if is_subsampled or identifiers in (b"RGB", b"rgb"):
        label = is_subsampled
    return Codestream(
        precision=body[0],
        rows=int.from_bytes(body[1:3], "big"),
        columns=int.from_bytes(body[3:5], "big"),
        components=components,
        is_lossless=marker in (_LOSSLESS, _JPEG_LS),
        is_ycbcr=label,
    )


def read_jpeg_2000(data: bytes) -> Codestream:
    """A JPEG 2000 or HTJ2K frame, bare or in JP2 boxes. Raises InputRejected `frame_corrupt`, `frame_too_large`."""
    start = data.find(_SOC_SIZ, 0, _BOX_SEARCH_BYTES)
    siz = data[start + 6 : start + 6 + 40]
    if start < 0 or len(siz) < 37:  # noqa: PLR2004 - up to the first component's precision
        raise InputRejected("A frame does not begin like JPEG 2000", reason="frame_corrupt")
    x1, y1, x0, y0, tile_x, tile_y, tile_x0, tile_y0 = (int.from_bytes(siz[i : i + 4], "big") for i in range(2, 34, 4))
    columns, rows = x1 - x0, y1 - y0
    components = int.from_bytes(siz[34:36], "big")
    if min(columns, rows, tile_x, tile_y, components) < 1:
        raise InputRejected("A JPEG 2000 frame has no size", reason="frame_corrupt")
    tiles = -(-(x1 - tile_x0) // tile_x) * -(-(y1 - tile_y0) // tile_y)
    if tiles > _MAXIMUM_TILES:
        raise InputRejected(f"A JPEG 2000 frame has {tiles} tiles", reason="frame_too_large")
    return Codestream(
        rows=rows,
        columns=columns,
        components=components,
        precision=(siz[36] & 0x7F) + 1,
        has_colour_transform=_has_colour_transform(data, start + 2),
    )


def _has_colour_transform(data: bytes, position: int) -> bool:
    """The multiple component transformation byte of the COD marker in the main header."""
    while position + 4 <= len(data):
        marker = int.from_bytes(data[position : position + 2], "big")
        if marker == _COD:
            return position + 8 < len(data) and data[position + 8] == 1
        if marker == _SOT:
            return False
        position += 2 + max(int.from_bytes(data[position + 2 : position + 4], "big"), 2)
    return False
