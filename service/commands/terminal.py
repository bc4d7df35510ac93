"""What commands write to people and programs."""

from rich.console import Console

#: Columns; a table is no wider than its content.
_UNBOUNDED = 10_000


def console() -> Console:
    """Standard output: as wide as the terminal, or, for a file or a program, as wide as what is written."""
    found = Console()
    return found if found.is_terminal else Console(width=_UNBOUNDED)
