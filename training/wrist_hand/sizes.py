"""How large structures usually are in each plane: `python -m training.wrist_hand.sizes --data DIR`.

Medians over the training volunteers, written as the module that the grading rules read.
"""

import argparse
from pathlib import Path

import numpy as np

from service.core.wrist_planes import PLANES, Plane, structure_number
from training.wrist_hand.volunteers import NAMES, SPLITS, Pictures, load

MODULE = Path("service/core/measure/wrist_sizes.py")
_HEAD = '''"""Usual areas of what each standard plane requires, mm2; written by `python -m training.wrist_hand.sizes`.

Medians over the simulated training volunteers, pieces of a structure together.
"""

from collections.abc import Mapping
from typing import Final

USUAL_AREAS_MM2: Final[Mapping[str, Mapping[str, float]]] = {
'''


def main() -> None:
    """Write the module anew."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="where training.wrist_hand.volunteers left its pictures")
    parser.add_argument("--to", type=Path, default=MODULE)
    arguments = parser.parse_args()
    shown = load(SPLITS["train"], arguments.data)
    arguments.to.write_text(
        _HEAD + "".join(_lines(plane, usual_areas(shown, plane)) for plane in PLANES) + "}\n", encoding="utf-8"
    )


def usual_areas(shown: Pictures, plane: Plane) -> dict[str, float]:
    """Median area in mm2 of each required structure over the pictures of a plane in which it is drawn."""
    chosen = np.flatnonzero(shown.plane == NAMES.index(plane.name))
    found = {}
    for name, _ in plane.required:
        pixels = np.count_nonzero(shown.structures[chosen] == structure_number(name), axis=(1, 2))
        areas = pixels * shown.mm_per_pixel[chosen] ** 2
        found[name] = round(float(np.median(areas[pixels > 0])), 1)
    return found


def _lines(plane: Plane, areas: dict[str, float]) -> str:
    inside = "".join(f'        "{name}": {area},\n' for name, area in areas.items())
    return f'    "{plane.name}": {{\n{inside}    }},\n'


if __name__ == "__main__":
    main()
