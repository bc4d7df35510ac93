"""A gettext catalogue that is asked for finished sentences, not only for msgids.

Reports are stored in English for good, so what was put into a sentence has to be found in it again. A msgid is an English text
with placeholders in Python's brace format; the name of a placeholder says what may stand there (`_PATTERNS` and below).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from gettext import GNUTranslations
from importlib.resources import files
from io import BytesIO
from string import Formatter

from babel.messages.catalog import Catalog, Message
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from service.core.languages import LanguageTag

_DOMAIN = "sonomyo"
_NUMBER = r"[+\u2212-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?"
#: A number with its unit, in symbols that are the same in every language.
QUANTITY = rf"{_NUMBER}(?:°| (?:mm/s|mm²|mm|cm|px|Hz|s|%|N m))?"
DATE = r"\d{4}-\d{2}-\d{2}"
#: Characters of private use, each in the place of what a person typed (`typed_words.py`).
FIRST_MARK = 0xF0000
MARK = r"[\U000F0000-\U000FFFFD]"

_NUMBERS = (
    *("fascicles", "first", "frame", "height", "last", "least", "most", "number", "percent", "rate", "share"),
    *("shown", "total", "value", "width", "x", "y"),
)
#: What may stand at a placeholder of this name; at another stands text that has a translation of its own.
_PATTERNS: Mapping[str, str] = {
    **dict.fromkeys(_NUMBERS, _NUMBER),
    **dict.fromkeys(("across", "area", "at", "depth", "limit", "often", "peak", "quantity", "until", "variation"), QUANTITY),
    **dict.fromkeys(("analysis", "attribute", "code", "model", "report_id", "version"), r"\S+"),
    **dict.fromkeys(("institution", "person", "typed"), MARK),
    "change": rf"{QUANTITY}(?: \([^()]+\))?",
    "chosen": rf"S\d{{1,2}}|{MARK}",
    "count": r"\d+",
    "date": DATE,
    "grade": "[A-C]",
    "muscle": r"[^\d()]+",
    "persons": rf"{MARK}(?:, {MARK})*",
    "plane": r"S\d{1,2}",
    **dict.fromkeys(("range", "interval"), rf"{_NUMBER} to {QUANTITY}"),
    "side": "left|right|bilateral",
}
#: Names, which no language changes.
VERBATIM = frozenset(
    {"ae_title", "analysis", "attribute", "chosen", "code", "codes", "grade", "institution", "keyword", "model"}
    | {"person", "persons", "plane", "planes", "pretraining", "report_id", "runtime", "source", "typed", "version"}
)
#: Text from elsewhere, such as the message of an error: it stays English where it has no translation.
OPEN = frozenset({"why"})


@dataclass(frozen=True, slots=True)
class Template:
    """One form of a msgid with placeholders."""

    #: The msgid, and its plural where it has one.
    forms: tuple[str, ...]
    pattern: re.Pattern[str]
    #: The longest piece of fixed text, by which most texts are passed over quickly.
    landmark: str
    #: Letters of fixed text; the template with most of them describes a text best.
    weight: int

    def parts(self, text: str) -> Mapping[str, str] | None:
        """What stands at the placeholders; None unless the whole text is of this form."""
        found = self.pattern.fullmatch(text) if self.landmark in text else None
        return None if found is None else found.groupdict()


@dataclass(frozen=True, slots=True)
class Entries:
    """A catalogue that is ready to be asked."""

    translations: GNUTranslations
    #: All msgids, to be looked up as they are.
    texts: frozenset[str]
    #: In the order in which they are tried.
    templates: tuple[Template, ...]

    def exact(self, text: str) -> str | None:
        """The translation of a text that is a msgid."""
        return self.translations.gettext(text) if text in self.texts else None

    def filled(self, template: Template, english: Mapping[str, str], translated: Mapping[str, str]) -> str:
        """The translation of a template; where it has plural forms, that of the number at `{count}`."""
        if len(template.forms) == 1:
            return self.translations.gettext(template.forms[0]).format(**translated)
        singular, plural = template.forms
        return self.translations.ngettext(singular, plural, int(english["count"])).format(**translated)


@cache
def read_catalogue(tag: LanguageTag) -> Catalog:
    """The file of a language. Raises babel's PoFileError where it is malformed."""
    path = files("service.core.render") / "locale" / tag / "LC_MESSAGES" / f"{_DOMAIN}.po"
    with path.open("rb") as file:
        return read_po(file, locale=tag, domain=_DOMAIN, abort_invalid=True)


def entries_of(catalogue: Catalog) -> Entries:
    """What is translated in it; fuzzy entries are not."""
    binary = BytesIO()
    write_mo(binary, catalogue)
    binary.seek(0)
    usable = [message for message in catalogue if message.id and message.string and not message.fuzzy]
    templates = [
        _template(form, msgids(message)) for message in usable for form in dict.fromkeys(msgids(message)) if placeholders(form)
    ]
    return Entries(
        translations=GNUTranslations(binary),
        texts=frozenset(msgids(message)[0] for message in usable),
        templates=tuple(sorted(templates, key=lambda template: -template.weight)),
    )


def msgids(message: Message) -> tuple[str, ...]:
    """One, or singular and plural."""
    return (message.id,) if isinstance(message.id, str) else tuple(message.id)


def placeholders(text: str) -> list[str]:
    """Their names, in order. Raises ValueError where braces do not pair."""
    return [name for _, name, _, _ in Formatter().parse(text) if name is not None]


def _template(form: str, forms: tuple[str, ...]) -> Template:
    pieces = [(literal, name) for literal, name, _, _ in Formatter().parse(form)]
    literals = [literal for literal, _ in pieces]
    pattern = "".join(re.escape(literal) + (_group(name) if name is not None else "") for literal, name in pieces)
    return Template(
        forms=forms,
        pattern=re.compile(pattern, re.DOTALL),
        landmark=max(literals, key=len),
        weight=sum(map(len, literals)),
    )


def _group(name: str) -> str:
    return f"(?P<{name}>{_PATTERNS.get(name, '.+?')})"
