"""The pages in the language of their reader: their own words, and those of the report that they show.

The own words are in `locale/de/LC_MESSAGES/pages.po`, by their English: a template says `say("Version {number}", number=2)`, a
script the same. What software said of a study is translated as the printable report has it (`service/core/render/language.py`).
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Annotated

from babel.messages.pofile import read_po
from babel.numbers import format_decimal
from fastapi import Depends
from starlette.requests import HTTPConnection

from service.api.answers import answers_in
from service.api.dependencies import services_of
from service.api.preferences import choose_language
from service.core.languages import LanguageTag
from service.core.render.language import ENGLISH, Language, language_of
from service.core.render.typed_words import TypedWords, without_typed_words
from service.core.report import Report
from service.core.wording import date, moment


@dataclass(frozen=True, slots=True)
class Words:
    """Without a catalogue they are English."""

    language: Language = ENGLISH
    #: Of the pages' own, by the English.
    catalogue: Mapping[str, str] = field(default_factory=dict)
    #: Those that scripts say, too.
    of_scripts: frozenset[str] = frozenset()

    @property
    def tag(self) -> LanguageTag:
        """As `lang` and Content-Language have it."""
        return self.language.tag

    def say(self, english: str, **values: object) -> str:
        """Words of a page; what has no translation stays English. Who shows it escapes it, as any text."""
        text = self.catalogue.get(english, english)
        return text.format(**values) if values else text

    def told(self, english: str) -> str:
        """What software said of a study; a person's own words are kept from it."""
        return self.language.text(english)

    def answered(self, english: str) -> str:
        """What the service answers: why something cannot be done, what a destination said. What others wrote stays as it is."""
        return answers_in(self.tag).text(english)

    def counted(self, number: int) -> str:
        """`1,234`, or `1.234` in German."""
        return format_decimal(number, locale=self.tag)

    def day(self, value: str | None) -> str:
        """`2026-11-20` of a DICOM date (PS3.5 6.2, DA), in German `20.11.2026`; what is no such date as it came."""
        written = date(value)
        return self.told(written) if written and written != value else value or ""

    def moment(self, at: datetime) -> str:
        """`2026-11-20 09:30:12 UTC`, in German `20.11.2026, 09:30:12 UTC`: to the second, as logs and the audit trail have it."""
        return self.told(moment(at, to_the_second=True))

    def for_scripts(self, names: Iterable[str] = ()) -> str:
        """JSON by the English: all that scripts say, and `names` of what they show; nothing in English."""
        if self.tag == ENGLISH.tag:
            return "{}"
        shown = {english: self.catalogue[english] for english in sorted(self.of_scripts)}
        return json.dumps(shown | {name: self.told(name) for name in names}, ensure_ascii=False)

    def unsaid(self, report: Report) -> tuple[Report, TypedWords]:
        """A report with marks for what persons typed, to be kept from the catalogue and put back; in English as it is."""
        return (report, TypedWords()) if self.tag == ENGLISH.tag else without_typed_words(report)


ENGLISH_WORDS = Words()


@cache
def words_of(tag: LanguageTag) -> Words:
    """Its catalogue is read once a process."""
    if tag == ENGLISH.tag:
        return ENGLISH_WORDS
    with (files("service.web") / "locale" / tag / "LC_MESSAGES" / "pages.po").open("rb") as file:
        messages = [message for message in read_po(file, locale=tag, abort_invalid=True) if message.id]
    return Words(
        language=language_of(tag),
        catalogue={str(message.id): str(message.string) for message in messages},
        of_scripts=frozenset(str(one.id) for one in messages if any(place.endswith(".js") for place, _ in one.locations)),
    )


def words_for(connection: HTTPConnection) -> Words:
    """As `Accept-Language` prefers, else in the language of the service: the rule of the printable report."""
    asked = ", ".join(connection.headers.getlist("accept-language"))
    return words_of(choose_language(asked, services_of(connection).language))


Wording = Annotated[Words, Depends(words_for)]
Told = Callable[[str], str]
