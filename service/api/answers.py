"""What the service answers to whoever asks, in their language: why something cannot be, and advice while somebody examines.

Errors are raised in English, as finished sentences. Their German is in `locale/de/LC_MESSAGES/answers.po`, which is asked in the
way of the reports' catalogue (`service/core/render/catalogue.py`), and together with it: a sentence names findings and planes.
"""

from copy import copy
from functools import cache
from importlib.resources import files

from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po

from service.core.languages import LanguageTag
from service.core.render.catalogue import entries_of, read_catalogue
from service.core.render.language import ENGLISH, Language


@cache
def answers_in(tag: LanguageTag) -> Language:
    """Its catalogues are read once a process. A sentence of which it lacks a part stays English as a whole."""
    if tag == ENGLISH.tag:
        return ENGLISH
    together = Catalog(locale=tag)
    for catalogue in (read_catalogue(tag), read_answers(tag)):
        for message in catalogue:
            if message.id:
                together[message.id] = copy(message)
    return Language(tag, entries_of(together))


def read_answers(tag: LanguageTag) -> Catalog:
    """The file of a language. Raises babel's PoFileError where it is malformed."""
    with (files("service.api") / "locale" / tag / "LC_MESSAGES" / "answers.po").open("rb") as file:
        return read_po(file, locale=tag, abort_invalid=True)
