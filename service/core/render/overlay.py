"""A frame with its evidence drawn over it, as a PNG for people. Pixels of the frame are left as they are beside the lines."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from service.core.cine import Pixels
from service.core.findings import Finding, Polyline
from service.core.render.scoord import inside_image
from service.core.report import RESEARCH_USE
from service.core.wording import label, motor_unit_number
from service.core.wrist_planes import BONES, STRUCTURES, TENDONS

#: Colours that people with any colour vision tell apart (Okabe and Ito), bright on dark ultrasound; names stand beside them.
LINE_COLOURS = {
    "superficial_aponeurosis": (86, 180, 233),
    "deep_aponeurosis": (230, 159, 0),
    "fascicle": (240, 228, 66),
}
#: Of structures of the wrist, by what they are: there are more of them than colours that people tell apart.
STRUCTURE_COLOURS = {
    **dict.fromkeys(sorted(BONES), (86, 180, 233)),
    **dict.fromkeys(sorted(TENDONS), (230, 159, 0)),
    "aponeurosis": (204, 121, 167),  # as an area; its inner edges are lines with colours of their own
    "muscle_belly": (0, 158, 115),
    "gastrocnemius": (86, 180, 233),
    "soleus": (230, 159, 0),
    "median_nerve": (240, 228, 66),
    "ulnar_nerve": (240, 228, 66),
    "ulnar_artery": (213, 94, 0),
}
#: Of motor units, one after the other and again from the first; each has its number beside it.
UNIT_COLOURS = (
    (86, 180, 233),
    (230, 159, 0),
    (0, 200, 140),
    (240, 228, 66),
    (224, 141, 187),
    (240, 120, 60),
    (160, 200, 255),
    (200, 200, 200),
)
_OTHER_COLOUR = (204, 121, 167)
#: What a legend calls them: one word for each colour of the wrist.
_KINDS = {
    **dict.fromkeys(sorted(BONES), "Bone"),
    **dict.fromkeys(sorted(TENDONS), "Tendon"),
    **dict.fromkeys(("median_nerve", "ulnar_nerve"), "Nerve"),
    "ulnar_artery": "Artery",
    **dict.fromkeys(STRUCTURES[STRUCTURES.index("ulnar_artery") + 1 :], "Ligament, joint, pulley"),
}
_HALO = (0, 0, 0, 170)
#: Lines are drawn this many times larger and shrunk, for Pillow draws hard edges.
_SCALE = 3
_MARGIN = 6


def shown_lines(findings: Sequence[Finding]) -> Sequence[Polyline]:
    """The lines of the frame that shows the findings best: the first one of those with most kinds of lines."""
    frames: dict[int, list[Polyline]] = {}
    for finding in findings:
        for line in finding.evidence.lines:
            frames.setdefault(line.frame, []).append(line)
    return max(frames.values(), key=lambda lines: len({line.label for line in lines}), default=())


def standing_lines(finding: Finding) -> tuple[Polyline, ...]:
    """Those that hold for every frame of the cine: territories of motor units do not move."""
    return () if finding.motor_unit is None else finding.evidence.lines


def rejected_segments(findings: Sequence[Finding]) -> frozenset[str]:
    """Names of those that are a finding's own, a territory of a motor unit, which a person rejected."""
    return frozenset(line.label for finding in findings if finding.is_rejected for line in standing_lines(finding))


def draw_lines(picture: Pixels, lines: Sequence[Polyline]) -> bytes:
    """A PNG of `picture` (rows, columns, 3) RGB with each line in its colour and its name beside it."""
    frame = overlaid(picture, lines)
    _write_names(frame, lines)
    buffer = io.BytesIO()
    frame.convert("RGB").save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()


def overlaid(picture: Pixels, lines: Sequence[Polyline]) -> Image.Image:
    """RGBA, each line in its colour, nothing written."""
    frame = Image.fromarray(picture).convert("RGBA")
    layer = Image.new("RGBA", (frame.width * _SCALE, frame.height * _SCALE))
    for line in lines:
        _draw_line(ImageDraw.Draw(layer), line, stroke=max(1.5, frame.width / 400))
    frame.alpha_composite(layer.reduce(_SCALE))
    return frame


def colour_of(name: str) -> tuple[int, int, int]:
    """The colour of a line by its label."""
    if (number := motor_unit_number(name)) is not None:
        return UNIT_COLOURS[(number - 1) % len(UNIT_COLOURS)]
    return LINE_COLOURS.get(name) or STRUCTURE_COLOURS.get(name, _OTHER_COLOUR)


def kind_of(name: str) -> str:
    """What a legend calls a line or a structure."""
    return _KINDS.get(name) or label(name)


def _draw_line(draw: ImageDraw.ImageDraw, line: Polyline, *, stroke: float) -> None:
    points = [(column * _SCALE, row * _SCALE) for column, row in line.points]
    draw.line(points, fill=_HALO, width=round((stroke + 1.5) * _SCALE), joint="curve")
    draw.line(points, fill=(*colour_of(line.label), 255), width=round(stroke * _SCALE), joint="curve")


def _write_names(frame: Image.Image, lines: Sequence[Polyline]) -> None:
    draw = ImageDraw.Draw(frame)
    font = ImageFont.load_default(size=max(11, round(frame.width / 45)))
    taken: list[tuple[float, float, float, float]] = []
    for line in {line.label: line for line in lines}.values():
        number = motor_unit_number(line.label)
        if number is None:
            _write(draw, font, label(line.label), _anchor(line, frame), colour_of(line.label), taken)
        else:
            _write(draw, font, str(number), _inside(line, draw, font, str(number)), colour_of(line.label), taken)
    small = ImageFont.load_default(size=max(10, round(frame.width / 58)))
    _write(draw, small, RESEARCH_USE, (_MARGIN, frame.height), (235, 235, 235), taken)


def _anchor(line: Polyline, frame: Image.Image) -> tuple[float, float]:
    """Just above what is seen of the line: at its left end, or for a steep one (a fascicle) beside its middle."""
    seen = inside_image(np.array(line.points, dtype=np.float64), columns=frame.width, rows=frame.height)
    ends = line.points if seen is None else [(float(column), float(row)) for column, row in seen]
    left, right = min(ends), max(ends)
    if abs(right[1] - left[1]) > frame.height / 12:
        return (left[0] + right[0]) / 2 + _MARGIN, (left[1] + right[1]) / 2
    return left[0] + _MARGIN, left[1] - _MARGIN


def _inside(
    line: Polyline, draw: ImageDraw.ImageDraw, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, text: str
) -> tuple[float, float]:
    """So that the text stands in the middle of an outline."""
    _, _, width, height = draw.textbbox((0, 0), text, font=font)
    columns, rows = zip(*line.points, strict=True)
    return (min(columns) + max(columns) - width) / 2, (min(rows) + max(rows) + height) / 2


def _write(
    draw: ImageDraw.ImageDraw,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    text: str,
    anchor: tuple[float, float],
    colour: tuple[int, int, int],
    taken: list[tuple[float, float, float, float]],
) -> None:
    """Text whose lower left corner is at `anchor`, moved into the picture and up past what is written already."""
    _, _, width, height = draw.textbbox((0, 0), text, font=font)
    x = min(max(anchor[0], _MARGIN), draw.im.size[0] - width - _MARGIN)
    y = min(max(anchor[1] - height, _MARGIN), draw.im.size[1] - height - _MARGIN)
    while any(_overlap((x, y, x + width, y + height), box) for box in taken) and y > height:
        y -= height
    taken.append((x, y, x + width, y + height))
    draw.text((x, y), text, font=font, fill=(*colour, 255), stroke_width=2, stroke_fill=(0, 0, 0, 255))


def _overlap(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
