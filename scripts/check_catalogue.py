# ruff: noqa: INP001 - a script, not a package
"""Every catalogue of translations is whole: each entry is translated, and its placeholders are those of the English text."""

import sys
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import PoFileError, read_po

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Look at every catalogue of the tree; exit 1 when something is found."""
    paths = sorted(ROOT.glob("service/**/LC_MESSAGES/*.po"))
    found = [f"{path.relative_to(ROOT)}: {trouble}" for path in paths for trouble in troubles_in(path)]
    for line in found:
        sys.stderr.write(line + "\n")
    sys.stdout.write(f"translations: {len(paths)} catalogues, {len(found)} problems\n")
    sys.exit(1 if found or not paths else 0)


def troubles_in(path: Path) -> Iterator[str]:
    """One line for each finding in a file, whose folder is its language."""
    try:
        with path.open("rb") as file:
            catalogue = read_po(file, locale=path.parts[-3], abort_invalid=True)
    except (PoFileError, UnicodeDecodeError) as error:
        yield f"it cannot be read: {error}"
        return
    yield from troubles_of(catalogue)


def troubles_of(catalogue: Catalog) -> Iterator[str]:
    """One line for each entry that cannot be used."""
    for message in catalogue:
        if message.id:
            yield from (f"{_forms(message.id)[0]!r}: {trouble}" for trouble in _troubles(message, catalogue.num_plurals))


def _troubles(message: Message, plural_forms: int) -> Iterator[str]:
    msgids, msgstrs = _forms(message.id), _forms(message.string)
    if message.fuzzy:
        yield "it is marked fuzzy"
    if not msgstrs or not all(msgstrs):
        yield "it is not translated"
        return
    if len(msgids) > 1 and len(msgstrs) != plural_forms:
        yield f"it has {len(msgstrs)} plural forms, and the language has {plural_forms}"
    try:
        named = [_placeholders(text) for text in (*msgids, *msgstrs)]
    except ValueError as error:
        yield f"its braces are no placeholders: {error}"
        return
    yield from _differences(named, is_plural=len(msgids) > 1)


def _differences(named: list[list[str]], *, is_plural: bool) -> Iterator[str]:
    wanted = sorted(named[0])
    if any(sorted(names) != wanted for names in named):
        said = " and ".join(sorted({", ".join(sorted(names)) or "none" for names in named}))
        yield f"its placeholders differ: {said}"
    if len(set(wanted)) < len(wanted):
        yield "a placeholder stands in it twice"
    if is_plural and "count" not in wanted:
        yield "it has a plural and no {count}"


def _forms(text: str | tuple[str, ...] | list[str] | None) -> tuple[str, ...]:
    return (text,) if isinstance(text, str) else tuple(text or ())


def _placeholders(text: str) -> list[str]:
    """Their names. Raises ValueError for braces that do not pair, or that hold more than a name."""
    names = []
    for _, name, spec, conversion in Formatter().parse(text):
        if name is not None:
            if not name.isidentifier() or spec or conversion:
                raise ValueError(f"{{{name}}}")
            names.append(name)
    return names


if __name__ == "__main__":
    main()
