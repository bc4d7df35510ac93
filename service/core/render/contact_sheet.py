"""The best picture of each standard plane side by side, as one PNG for people."""

import io
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from service.core.cine import Cine
from service.core.findings import Finding
from service.core.quality import grade_in
from service.core.render.overlay import overlaid
from service.core.report import RESEARCH_USE

#: Up to so many planes stand large in few columns; a whole examination leaves room on its page for the words.
_FEW, _COLUMNS_OF_FEW, _COLUMNS_OF_MANY = 9, 3, 5
_TILE_WIDTH = 400
_GAP = 8
#: In which words are legible on A4 where tiles stand in three columns.
_LETTER = 16
_GROUND, _INK, _SOFT = (17, 17, 17), (240, 240, 240), (170, 170, 170)


def contact_sheet(cine: Cine, planes: Sequence[Finding]) -> bytes:
    """A PNG of the frame that each finding names, cropped to the scanned sector, with outlines, plane and grade."""
    # As wide for one plane as for three, so that pages show the tiles of all alike.
    columns = _COLUMNS_OF_FEW if len(planes) <= _FEW else _COLUMNS_OF_MANY
    letter = round(_LETTER * columns / _COLUMNS_OF_FEW)
    tiles = [_tile(cine, finding, letter) for finding in planes]
    height, caption = max(tile.height for tile in tiles), _caption_height(letter)
    rows = -(-len(tiles) // columns)
    sheet = Image.new("RGB", (columns * (_TILE_WIDTH + _GAP) + _GAP, rows * (height + _GAP) + _GAP + caption), _GROUND)
    for number, tile in enumerate(tiles):
        sheet.paste(tile, (_GAP + number % columns * (_TILE_WIDTH + _GAP), _GAP + number // columns * (height + _GAP)))
    font = ImageFont.load_default(size=letter - 2)
    ImageDraw.Draw(sheet).text((_GAP, sheet.height - caption), RESEARCH_USE, font=font, fill=_SOFT)
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()


def _caption_height(letter: int) -> int:
    return 3 * letter // 2


def _tile(cine: Cine, finding: Finding, letter: int) -> Image.Image:
    number = finding.evidence.frames[0]
    frame, box = overlaid(cine.picture(number), finding.evidence.lines), cine.region.box
    sector = frame.convert("RGB").crop((box.x0, box.y0, box.x1, box.y1))
    sector = sector.resize((_TILE_WIDTH, round(sector.height * _TILE_WIDTH / sector.width)), Image.Resampling.LANCZOS)
    caption = _caption_height(letter)
    tile = Image.new("RGB", (_TILE_WIDTH, sector.height + caption), _GROUND)
    tile.paste(sector, (0, caption))
    draw, font = ImageDraw.Draw(tile), ImageFont.load_default(size=letter)
    draw.text((0, 2), f"{finding.value}  grade {grade_in(finding.flags)}", font=font, fill=_INK)
    draw.text((_TILE_WIDTH, 2), f"frame {number}", font=font, fill=_SOFT, anchor="ra")
    return tile
