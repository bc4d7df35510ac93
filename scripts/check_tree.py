# ruff: noqa: INP001 - a script, not a package
"""What must not be in the tree: a package registry's host, a path of one machine, a secret, an unfinished note.

Python files of more than 300 lines are listed; that is for people to judge, and fails nothing.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LONG_LINES = 300
#: Weights are the largest that may be here.
LARGEST_BYTES = 20 << 20
#: In pieces, for no text here names one, this file included.
REGISTRY_HOSTS = tuple(
    "".join(pieces)
    for pieces in (
        ("python", "hosted.", "org"),
        ("py", "pi.", "org"),
        ("py", "pi.", "python"),
        ("npm", "js.", "org"),
        ("npm", "js.", "com"),
        ("deb.", "debian", ".org"),
        ("ftp.", "debian", ".org"),
        ("proxy.", "golang", ".org"),
    )
)
FORBIDDEN = {
    # A dot may be escaped: a pattern that finds a host names it, too.
    "a package registry's host": re.compile("|".join(host.replace(".", r"\\?\.") for host in REGISTRY_HOSTS)),
    "a path of one machine": re.compile(r"(?<![\w.$}~])/(work|root)/\w|(?<![\w.$}~])/home/\w|file:///(tmp|home|root|work)/"),
    "an unfinished note": re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b"),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY"),
    "an exception to a check without its reason": re.compile(
        r"# noqa(: [A-Z0-9]+(, [A-Z0-9]+)*)?$|# type: ignore(\[[a-z, -]+\])?$", re.MULTILINE
    ),
    "a conflict marker": re.compile(r"^(<{7}|>{7}) ", re.MULTILINE),
}


def main() -> None:
    """Look at every tracked file; exit 1 when something is found."""
    paths = list(tracked_files())
    found = [line for path in paths for line in violations(path)]
    for line in found:
        sys.stderr.write(line + "\n")
    for length, path in sorted(long_files(paths), reverse=True):
        sys.stdout.write(f"{path.relative_to(ROOT)}: {length} lines\n")
    sys.stdout.write(f"tree: {len(paths)} files, {len(found)} findings\n")
    sys.exit(1 if found else 0)


def tracked_files() -> Iterator[Path]:
    """What git knows of and is there."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout  # noqa: S607 - git on PATH
    yield from (path for name in listed.decode().split("\0") if name and (path := ROOT / name).is_file())


def violations(path: Path) -> Iterator[str]:
    """One line for each finding in a text file, and for a folder file that must be empty or absent."""
    name = path.relative_to(ROOT)
    text = text_of(path)
    if path.stat().st_size > LARGEST_BYTES:
        yield f"{name}: {path.stat().st_size >> 20} MiB, at most {LARGEST_BYTES >> 20} belong here"
    if path.name == "__init__.py" and name.parts[0] == "alembic":
        yield f"{name}: it would shadow the library"
    elif path.name == "__init__.py" and text:
        yield f"{name}: an __init__.py is empty here"
    for what, pattern in FORBIDDEN.items():
        for match in pattern.finditer(text):
            yield f"{name}:{text.count(chr(10), 0, match.start()) + 1}: {what}: {match.group()}"


def text_of(path: Path) -> str:
    """Its text; nothing for a binary file."""
    content = path.read_bytes()
    if b"\0" in content:
        return ""
    return content.decode(errors="replace")


def long_files(paths: list[Path]) -> Iterator[tuple[int, Path]]:
    """Python files to judge."""
    for path in paths:
        length = text_of(path).count("\n") if path.suffix == ".py" else 0
        if length > LONG_LINES:
            yield length, path


if __name__ == "__main__":
    main()
