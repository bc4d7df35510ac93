"""English texts of a report -> the language of its reader."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from functools import cache

from babel.dates import format_date
from babel.numbers import get_decimal_symbol

from service.core.languages import LanguageTag
from service.core.render.catalogue import DATE, OPEN, QUANTITY, VERBATIM, Entries, entries_of, read_catalogue
from service.core.report import RESEARCH_USE

_QUANTITY = re.compile(QUANTITY)
_UNIT = re.compile(r"mm/s|mm²|mm|cm|px|Hz|s|N m|%|°")
_DATE = re.compile(DATE)
#: As `wording.moment` writes it.
_MOMENT = re.compile(rf"({DATE}) (\d\d:\d\d(?::\d\d)? UTC)")
#: Neither words nor numbers with a decimal sign: frame numbers, a plane's name, a dash.
_SIGNS = re.compile(r"[\W\d_]*|S\d{1,2}")
_SENTENCE_END = re.compile(r"(?<=[.!?]) (?=[A-Z0-9])")
#: Translations kept, so that what stands in every report is looked for once.
_MOST_KEPT = 4096


@dataclass(frozen=True, slots=True)
class _Said:
    """A translation, and what in it is English still."""

    text: str
    missing: tuple[str, ...] = ()


class Language:
    """Translates what software wrote, and never what a person typed: callers keep names and the like from it.

    A text is looked up as it is; else as a template of the catalogue, what stands at its placeholders translated in turn; else
    sentence by sentence. A sentence is translated as a whole or, where the catalogue lacks part of it, left in English as a
    whole: half a sentence can say the opposite.
    """

    def __init__(self, tag: LanguageTag, entries: Entries | None, *, missing: Callable[[str], None] = lambda _: None) -> None:
        """Without entries the language is English; `missing` is told each text that has no translation."""
        self.tag = tag
        self.entries = entries
        self._missing = missing
        self._kept: dict[str, _Said | None] = {}

    def text(self, english: str) -> str:
        """What matches nothing stays as it came."""
        if self.entries is None:
            return english
        said = self._whole(english) or self._by_sentences(english)
        for missing in said.missing:
            self._missing(missing)
        return said.text

    def texts(self, english: Iterable[str]) -> tuple[str, ...]:
        """Each of them."""
        return tuple(map(self.text, english))

    def banner(self) -> str:
        """What stands on everything, in English in any case."""
        translated = self.text(RESEARCH_USE)
        return RESEARCH_USE if translated == RESEARCH_USE else f"{translated} · {RESEARCH_USE}"

    def _by_sentences(self, english: str) -> _Said:
        sentences = [self._whole(sentence) or _Said(sentence, (sentence,)) for sentence in _SENTENCE_END.split(english)]
        return _joined(sentences, " ")

    def _whole(self, english: str) -> _Said | None:
        """None where part of it has no translation."""
        kept = self._kept.get(english, ...)
        if kept is not ...:
            return kept
        found = self._found(english)
        if len(self._kept) >= _MOST_KEPT:
            self._kept.clear()
        self._kept[english] = found
        return found

    def _found(self, english: str) -> _Said | None:
        plain = self._without_words(english)
        plain = self._exact(english) if plain is None else plain
        return self._by_template(english) or self._in_pieces(english) if plain is None else _Said(plain)

    def _without_words(self, english: str) -> str | None:
        """Numbers with their units, dates, and what is no word in any language."""
        if _QUANTITY.fullmatch(english):
            return english.replace(".", get_decimal_symbol(self.tag))
        if _DATE.fullmatch(english):
            return _date(english, self.tag)
        if at := _MOMENT.fullmatch(english):
            return f"{_date(at[1], self.tag)}, {at[2]}"
        return english if _SIGNS.fullmatch(english) or _UNIT.fullmatch(english) else None

    def _exact(self, english: str) -> str | None:
        """As it is; or in the other case of its first letter, for the same words begin a sentence and stand within one."""
        assert self.entries is not None  # noqa: S101 - English never comes here
        found = self.entries.exact(english)
        if found is None and english[0].isupper():
            found = _upper_first(self.entries.exact(_lower_first(english)))
        return found or self.entries.exact(_upper_first(english) or "")

    def _by_template(self, english: str) -> _Said | None:
        found = self._filled(english)
        if found is None and english[0].isupper():
            found = self._filled(_lower_first(english))
            return None if found is None else _Said(_upper_first(found.text) or "", found.missing)
        return found or self._filled(_upper_first(english) or "")

    def _filled(self, english: str) -> _Said | None:
        assert self.entries is not None  # noqa: S101 - English never comes here
        for template in self.entries.templates:
            parts = template.parts(english)
            if parts is None:
                continue
            said = {name: self._part(name, part) for name, part in parts.items()}
            known = {name: one for name, one in said.items() if one is not None}
            if len(known) == len(said):
                text = self.entries.filled(template, parts, {name: one.text for name, one in known.items()})
                return _Said(text, tuple(missing for one in known.values() for missing in one.missing))
        return None

    def _part(self, name: str, english: str) -> _Said | None:
        """What stands at a placeholder."""
        if name in VERBATIM:
            return _Said(english)
        return self._by_sentences(english) if name in OPEN else self._whole(english)

    def _in_pieces(self, english: str) -> _Said | None:
        """Sentence by sentence, then clause by clause, then what commas part: all of them, or none."""
        sentences = _SENTENCE_END.split(english)
        if len(sentences) > 1:
            return self._joined(sentences, " ")
        if english.endswith("."):
            found = self._whole(english.removesuffix("."))
            return None if found is None else _Said(f"{found.text}.", found.missing)
        separator = next((one for one in ("; ", ", ") if one in english), None)
        return None if separator is None else self._joined(english.split(separator), separator)

    def _joined(self, pieces: Iterable[str], separator: str) -> _Said | None:
        said = [self._whole(piece) for piece in pieces]
        known = [one for one in said if one is not None]
        return _joined(known, separator) if len(known) == len(said) else None


ENGLISH = Language("en", None)


@cache
def language_of(tag: LanguageTag) -> Language:
    """Its catalogue is read once a process."""
    return ENGLISH if tag == "en" else Language(tag, entries_of(read_catalogue(tag)))


def _joined(said: Iterable[_Said], separator: str) -> _Said:
    several = tuple(said)
    return _Said(separator.join(one.text for one in several), tuple(missing for one in several for missing in one.missing))


def _date(text: str, tag: LanguageTag) -> str:
    try:
        return format_date(date.fromisoformat(text), "medium", tag)
    except ValueError:  # no day of the calendar
        return text


def _upper_first(text: str | None) -> str | None:
    return None if text is None else text[:1].upper() + text[1:]


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]
