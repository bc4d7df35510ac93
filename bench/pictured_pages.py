"""The pages that the documents show, and what is done on each before its picture is taken. All data are simulated."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tests.browser import Tab

#: Who looks; `nobody` has not signed in.
Who = Literal["radiologist", "administrator", "nobody"]
#: On a machine that has other things to do.
_PATIENCE_SECONDS = 240
_IS_DRAWN = "Number(document.querySelector('[data-view]')?.dataset.drawnFrame) > 0"
_HAS_PANEL = "document.querySelector('#review-panel[data-ready] #review-title') !== null"
_HAS_PLOTS = "document.querySelectorAll('.plot .u-over').length > 0"


@dataclass(frozen=True)
class Picture:
    """One file: which page, in which theme, how large, who looks, and what is done there first."""

    #: Of the file. A PNG has 256 colours; what has too many for that is a JPEG.
    name: str
    path: Callable[[], str]
    prepare: Callable[[Tab], None] = lambda _: None
    theme: Literal["dark", "light"] = "dark"
    width: int = 1440
    height: int = 900
    who: Who = "radiologist"


def pages(study: Callable[[str], str]) -> list[Picture]:
    """Every picture, of studies by what they show, in this order.

    The one that signs comes after the drafts, and those that look alike follow each other, for they share a tab.
    """

    def report(of: str) -> Callable[[], str]:
        return lambda: f"/studies/{study(of)}"

    return [
        Picture("viewer-calf-dark.jpg", report("calf"), at_a_peak),
        Picture("viewer-help.png", report("calf"), helped),
        Picture("review-amending.jpg", report("calf"), amending),
        Picture("viewer-wrist-dark.jpg", report("wrist"), drawn),
        Picture("viewer-trapezius-dark.jpg", report("trapezius"), plotted),
        Picture("comparison.jpg", report("later calf"), compared),
        Picture("live-dark.png", lambda: "/live"),
        Picture("worklist-dark.png", lambda: "/", live),
        Picture("operations-dark.png", lambda: "/operations", who="administrator"),
        Picture("associations-dark.png", lambda: "/operations/associations", refused, who="administrator"),
        Picture("audit-dark.png", lambda: "/audit", who="administrator"),
        Picture("viewer-calf-light.jpg", report("calf"), at_a_peak, theme="light"),
        Picture("report-signed.jpg", report("later calf"), signed, theme="light"),
        Picture("worklist-light.png", lambda: "/", live, theme="light"),
        Picture("users-light.png", lambda: "/users", theme="light", who="administrator"),
        Picture("sign-in-light.png", lambda: "/sign-in", theme="light", who="nobody"),
        Picture("viewer-calf-1280.jpg", report("calf"), at_a_peak, width=1280, height=800),
        Picture("viewer-calf-wide.jpg", report("calf"), at_a_peak, width=2560, height=1300),
    ]


def drawn(page: Tab) -> None:
    """A frame with its overlay, and the panel beside it."""
    page.wait(_IS_DRAWN, timeout_seconds=_PATIENCE_SECONDS)
    page.wait(_HAS_PANEL, timeout_seconds=_PATIENCE_SECONDS)


def plotted(page: Tab) -> None:
    """The same with the plots of its series."""
    drawn(page)
    page.wait(_HAS_PLOTS, timeout_seconds=_PATIENCE_SECONDS)


def at_a_peak(page: Tab) -> None:
    """In the middle of what happens in the cine."""
    plotted(page)
    page.page.keyboard.press("p")
    page.wait(_IS_DRAWN, timeout_seconds=_PATIENCE_SECONDS)


def helped(page: Tab) -> None:
    """What every key does."""
    at_a_peak(page)
    page.page.keyboard.press("?")
    page.wait("document.querySelector('[data-help]').open", timeout_seconds=_PATIENCE_SECONDS)


def amending(page: Tab) -> None:
    """The deep aponeurosis is being dragged, and the numbers follow."""
    at_a_peak(page)
    page.page.locator("[data-draw]").first.click()
    page.wait("!document.querySelector('[data-editing]').hidden", timeout_seconds=_PATIENCE_SECONDS)
    for key in (",", ",", ",", *["Shift+ArrowDown"] * 4):
        page.page.keyboard.press(key)
    page.wait("/mm|°/.test(document.querySelector('[data-drawn]').textContent)", timeout_seconds=_PATIENCE_SECONDS)
    page.page.locator("form[data-form=lines] [name=why]").fill("The lower line lay in the muscle beneath")


def compared(page: Tab) -> None:
    """Beside the same patient's examination of a year ago."""
    at_a_peak(page)
    page.page.get_by_role("heading", name="Change against the previous examination").scroll_into_view_if_needed()


def signed(page: Tab) -> None:
    """Signed just now; once it is, only looked at."""
    at_a_peak(page)
    if page.page.locator("[data-open=sign-form]").count():
        page.page.locator("[data-open=sign-form]").click()
        page.page.locator("form[data-form=sign] [type=submit]").click()
    page.wait("document.querySelector('.review-status')?.dataset.status === 'final'", timeout_seconds=_PATIENCE_SECONDS)


def live(page: Tab) -> None:
    """It hears of news."""
    page.wait("document.getElementById('live').dataset.state === 'on'")


def refused(page: Tab) -> None:
    """What the oldest association offered, and why that is not taken."""
    page.page.locator("details > summary").last.click()
