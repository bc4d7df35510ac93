"""The file that all figures of the wrist networks lie in, part by part."""

import json
from pathlib import Path
from typing import Any

RESULTS = Path("bench/results/wrist_hand.json")


def keep(path: Path, **parts: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever JSON can hold
    """Write parts anew, and leave the others as they were; gives them all."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    found |= parts
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return found
