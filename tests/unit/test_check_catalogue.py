"""The check of translations finds what would be wrong in a reader's report."""

import pytest
from babel.messages.catalog import Catalog

from scripts.check_catalogue import troubles_of
from service.core.languages import LANGUAGES, LanguageTag
from service.core.render.catalogue import read_catalogue


@pytest.mark.parametrize("tag", [tag for tag in LANGUAGES if tag != "en"])
def test_catalogue_of_each_language_is_whole(tag: LanguageTag) -> None:
    assert list(troubles_of(read_catalogue(tag))) == []


@pytest.mark.parametrize(
    ("msgid", "msgstr", "trouble"),
    [
        ("frame {frame}", "Bild {bild}", "placeholders differ"),
        ("frame {frame}", "Bild", "placeholders differ"),
        ("frame", "Bild {frame}", "placeholders differ"),
        ("frame {frame}", "Bild {frame", "no placeholders"),
        ("frame {frame}", "Bild {frame:d}", "no placeholders"),
        ("{frame} and {frame}", "{frame} und {frame}", "twice"),
        ("frame", "", "not translated"),
        (("{number} frame", "{number} frames"), ("{number} Bild", "{number} Bilder"), "no {count}"),
        (("{count} frame", "{count} frames"), ("{count} Bild", "{number} Bilder"), "placeholders differ"),
        (("{count} frame", "{count} frames"), ("{count} Bild", ""), "not translated"),
    ],
)
def test_entry_that_cannot_be_used_is_named(msgid: str | tuple[str, str], msgstr: str | tuple[str, str], trouble: str) -> None:
    catalogue = Catalog(locale="de")
    catalogue.add(msgid, msgstr)
    (found,) = troubles_of(catalogue)
    assert trouble in found
    assert (msgid if isinstance(msgid, str) else msgid[0]) in found


def test_entry_that_is_marked_fuzzy_is_named() -> None:
    catalogue = Catalog(locale="de")
    catalogue.add("frame", "Rahmen", flags=["fuzzy"])
    (found,) = troubles_of(catalogue)
    assert "fuzzy" in found
