"""The best picture of each standard plane side by side, as one PNG for people."""

import io
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from service.core.cine import Cine
from service.core.findings import Finding
from service.core.quality import grade_in
from service.core.render.overlay import overlaid
from service.core.report import RESEARCH_USE

_COLUMNS = 3
_TILE_WIDTH = 400
_GAP = 8
_CAPTION = 24
_GROUND, _INK, _SOFT = (17, 17, 17), (240, 240, 240), (170, 170, 170)


def contact_sheet(cine: Cine, planes: Sequence[Finding]) -> bytes:
    """A PNG of the frame that each finding names, cropped to the scanned sector, with outlines, plane and grade."""
    tiles = [_tile(cine, finding) for finding in planes]
    height = max(tile.height for tile in tiles)
    columns = min(_COLUMNS, len(tiles))
    rows = -(-len(tiles) // columns)
    sheet = Image.new("RGB", (columns * (_TILE_WIDTH + _GAP) + _GAP, rows * (height + _GAP) + _GAP + _CAPTION), _GROUND)
    for number, tile in enumerate(tiles):
        sheet.paste(tile, (_GAP + number % columns * (_TILE_WIDTH + _GAP), _GAP + number // columns * (height + _GAP)))
    font = ImageFont.load_default(size=14)
    ImageDraw.Draw(sheet).text((_GAP, sheet.height - _CAPTION), RESEARCH_USE, font=font, fill=_SOFT)
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()


def _tile(cine: Cine, finding: Finding) -> Image.Image:
    number = finding.evidence.frames[0]
    frame, box = overlaid(cine.picture(number), finding.evidence.lines), cine.region.box
    sector = frame.convert("RGB").crop((box.x0, box.y0, box.x1, box.y1))
    sector = sector.resize((_TILE_WIDTH, round(sector.height * _TILE_WIDTH / sector.width)), Image.Resampling.LANCZOS)
    tile = Image.new("RGB", (_TILE_WIDTH, sector.height + _CAPTION), _GROUND)
    tile.paste(sector, (0, _CAPTION))
    draw, font = ImageDraw.Draw(tile), ImageFont.load_default(size=16)
    draw.text((0, 2), f"{finding.value}  grade {grade_in(finding.flags)}", font=font, fill=_INK)
    draw.text((_TILE_WIDTH, 2), f"frame {number}", font=font, fill=_SOFT, anchor="ra")
    return tile
