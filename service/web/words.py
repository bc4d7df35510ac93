"""The pages in the language of their reader: their own words, and those of the report that they show.

The own words are in `locale/de/LC_MESSAGES/pages.po`, by their English: a template says `say("Version {number}", number=2)`, a
script the same. What software said of a study is translated as the printable report has it (`service/core/render/language.py`).
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Annotated

from babel.messages.pofile import read_po
from fastapi import Depends, Request

from service.api.dependencies import Parts
from service.api.negotiation import choose_language
from service.core.languages import LanguageTag
from service.core.render.language import ENGLISH, Language, language_of


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
        return self.catalogue.get(english, english).format(**values)

    def told(self, english: str) -> str:
        """What software said of a study; a person's own words are kept from it."""
        return self.language.text(english)

    def for_scripts(self, names: Iterable[str] = ()) -> str:
        """JSON by the English: all that scripts say, and `names` of what they show; nothing in English."""
        if self.tag == ENGLISH.tag:
            return "{}"
        shown = {english: self.catalogue[english] for english in sorted(self.of_scripts)}
        return json.dumps(shown | {name: self.told(name) for name in names}, ensure_ascii=False)


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


def wanted_words(request: Request, parts: Parts) -> Words:
    """As `Accept-Language` prefers, else in the language of the service: the rule of the printable report."""
    return words_of(choose_language(", ".join(request.headers.getlist("accept-language")), parts.language))


Wording = Annotated[Words, Depends(wanted_words)]
Told = Callable[[str], str]
