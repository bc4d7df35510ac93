"""A page in a browser, looked through: what axe finds, whether it is too wide, and what of a German one is English."""

import re
from collections.abc import Iterator
from contextlib import suppress

from axe_playwright_python.sync_playwright import Axe

from service.web.words import words_of
from tests.browser import Tab

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
#: Words of English sentences that no German one has, and no identifier that is shown; keys, and dates, as English has them.
_ENGLISH = re.compile(
    r"\b(the|is|are|were|and|of|with|without|this|that|from|have|been|your|by|to|for|it|no|not|on|or|at|its|which|than|between"
    r"|missing|found|seen|shown|frames?|muscles?|units?|planes?|nerve|left|right|measured|learnt|"
    r"Arrow\w+|Space|Enter)\b|\d{4}-\d{2}-\d{2}",
    re.IGNORECASE,
)
#: All that is read on a page or told of it, but for what is English on purpose, for code, and for what somebody typed.
_TEXTS = """
[...document.querySelectorAll('body, body *')]
  .filter(one => !one.closest('[lang=en]:not(html), code, bdi, kbd, script, style, .mono, .secret, [data-typed]'))
  .flatMap(one => [
    ...[...one.childNodes].filter(node => node.nodeType === Node.TEXT_NODE).map(node => node.data),
    ...['aria-label', 'title', 'placeholder', 'aria-valuetext'].map(name => one.getAttribute(name) ?? ''),
  ])
  .concat(document.title)
  .map(text => text.trim().replaceAll(/\\s+/g, ' '))
  .filter(Boolean)
"""


def english_in(made: Tab) -> list[str]:
    """Texts of a German page that its catalogue has a translation for, or that read as English."""
    left = words_left()
    return sorted(
        {text for text in made.page.evaluate(_TEXTS) if _ENGLISH.search(text) or any(one.fullmatch(text) for one in left)}
    )


def words_left() -> list[re.Pattern[str]]:
    """The English of the catalogue where the German is another; what is put in may be anything."""
    catalogue = words_of("de").catalogue
    return [
        re.compile("".join(_parts(english))) for english, german in catalogue.items() if german != english and len(english) > 2
    ]


def _parts(english: str) -> Iterator[str]:
    for part in re.split(r"(\{\w+\})", english):
        yield ".+" if part.startswith("{") else re.escape(part)


def faults_in(made: Tab) -> list[object]:
    """What axe finds: the rule, and the first three places."""
    found = Axe().run(made.page, options={"runOnly": RULES}).response["violations"]
    return [(fault["id"], [node["target"] for node in fault["nodes"]][:3]) for fault in found]


def scrolls_sideways_by(made: Tab) -> int:
    """Pixels that a page is wider than its window, once what is drawn to measure has been drawn anew."""
    wider = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    with suppress(AssertionError):
        made.wait(f"{wider} <= 0", timeout_seconds=5)
    return int(made.page.evaluate(wider))
