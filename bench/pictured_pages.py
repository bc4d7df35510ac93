"""The pages that the documents show, and what is done on each before its picture is taken. All data are simulated."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from service.web.vendored import ohif_bundle, ohif_url
from tests.browser import Tab

#: Who looks; `nobody` has not signed in.
Who = Literal["radiologist", "administrator", "nobody"]
#: On a machine that has other things to do.
_PATIENCE_SECONDS = 240
_IS_DRAWN = "Number(document.querySelector('[data-view]')?.dataset.drawnFrame) > 0"
_HAS_PANEL = "document.querySelector('#review-panel[data-ready] #review-title') !== null"
#: The names of the first cine of the study that the page of live guidance names.
_CINE = """async () => {
  const study = document.querySelector("[name=study]").value;
  const asked = { headers: { Accept: "application/dicom+json" } };
  const answer = await fetch(`/dicom-web/studies/${study}/instances?Modality=US`, asked);
  const [{ "0020000E": { Value: [series] }, "00080018": { Value: [instance] } }] = await answer.json();
  return { series, instance };
}"""
_HAS_GUIDANCE = """document.getElementById("grade").dataset.grade === "A"
  && document.querySelectorAll("#checklist .frozen").length > 3"""
_HAS_UNITS = "document.querySelectorAll('button.unit').length > 0"
#: OHIF gives its parts to the page by these names; what is not there yet counts as false.
_VIEWPORT = "services.cornerstoneViewportService.getCornerstoneViewport(services.viewportGridService.getActiveViewportId())"
_IS_IN_OHIF = f"(() => {{ try {{ return {_VIEWPORT}.getImageIds().length > 1; }} catch {{ return false; }} }})()"
_HAS_MASKS = "services.segmentationService.getSegmentations().length > 0"
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
    language: Literal["en-GB", "de-DE"] = "en-GB"
    #: Whether the page draws with WebGL, which is slow here.
    is_webgl: bool = False


def pages(study: Callable[[str], str]) -> list[Picture]:
    """Every picture, of studies by what they show, in this order.

    The one that signs comes after the drafts, and those that look alike follow each other, for they share a tab.
    """

    def report(of: str) -> Callable[[], str]:
        return lambda: f"/studies/{study(of)}"

    def in_ohif() -> str:
        return ohif_url(study("calf")) or ""

    return [
        Picture("viewer-calf-dark.jpg", report("calf"), at_a_peak),
        Picture("viewer-help.png", report("calf"), helped),
        Picture("review-amending.jpg", report("calf"), amending),
        Picture("viewer-wrist-dark.jpg", report("wrist"), drawn),
        Picture("viewer-trapezius-dark.jpg", report("trapezius"), plotted),
        Picture("viewer-motor-units-dark.jpg", report("motor units"), fired, width=1280, height=1000),
        Picture("viewer-muscle-state-dark.jpg", report("muscle states"), plotted, width=1280, height=1000),
        Picture("comparison.jpg", report("later calf"), compared),
        Picture("live-dark.jpg", lambda: f"/live?study={study('wrist')}", guided),
        Picture("worklist-dark.png", lambda: "/", live),
        Picture("operations-dark.png", lambda: "/operations", who="administrator"),
        Picture("associations-dark.png", lambda: "/operations/associations", refused, who="administrator"),
        Picture("audit-dark.png", lambda: "/audit", who="administrator"),
        Picture("account-dark.png", lambda: "/account", height=760),
        Picture("viewer-calf-german.jpg", report("calf"), at_a_peak, language="de-DE"),
        Picture("viewer-calf-light.jpg", report("calf"), at_a_peak, theme="light"),
        Picture("report-signed.jpg", report("later calf"), signed, theme="light"),
        Picture("worklist-light.png", lambda: "/", live, theme="light"),
        Picture("users-light.png", lambda: "/users", theme="light", who="administrator"),
        Picture("sign-in-light.png", lambda: "/sign-in", theme="light", who="nobody"),
        Picture("viewer-calf-1280.jpg", report("calf"), at_a_peak, width=1280, height=800),
        Picture("viewer-calf-wide.jpg", report("calf"), at_a_peak, width=2560, height=1300),
        *([Picture("ohif-masks.jpg", in_ohif, masked, is_webgl=True)] if ohif_bundle() else []),
    ]


def drawn(page: Tab) -> None:
    """A frame with its overlay, and the panel beside it."""
    page.wait(_IS_DRAWN, timeout_seconds=_PATIENCE_SECONDS)
    page.wait(_HAS_PANEL, timeout_seconds=_PATIENCE_SECONDS)


def plotted(page: Tab) -> None:
    """The same with the plots of its series."""
    drawn(page)
    page.wait(_HAS_PLOTS, timeout_seconds=_PATIENCE_SECONDS)


def fired(page: Tab) -> None:
    """The second motor unit is chosen, somewhere in the cine."""
    drawn(page)
    page.wait(_HAS_UNITS, timeout_seconds=_PATIENCE_SECONDS)
    track = page.page.locator("button.unit .unit-track")
    box = track.nth(min(1, track.count() - 1))
    box.click(position={"x": 0.4 * (box.bounding_box() or {"width": 1.0})["width"], "y": 6})
    page.wait(_HAS_PLOTS, timeout_seconds=_PATIENCE_SECONDS)
    page.wait(_IS_DRAWN, timeout_seconds=_PATIENCE_SECONDS)


def masked(page: Tab) -> None:
    """In OHIF: the masks of every frame over the cine."""
    page.wait(_IS_IN_OHIF, timeout_seconds=_PATIENCE_SECONDS)
    page.page.dblclick("[data-cy=series-description-label]:has-text('segmentation')")
    page.wait(_HAS_MASKS, timeout_seconds=_PATIENCE_SECONDS)
    page.page.evaluate(f"(() => {{ {_VIEWPORT}.setImageIdIndex(30); }})()")
    page.page.wait_for_timeout(5000)  # it tells nobody when it has drawn


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


def guided(page: Tab) -> None:
    """Guidance along the stored cine of a wrist, some planes of which were seen."""
    cine = page.page.evaluate(_CINE)
    page.page.select_option("[name=source]", "cine")
    page.page.fill("[name=series]", cine["series"])
    page.page.fill("[name=instance]", cine["instance"])
    page.page.click("[data-start]")
    page.wait(_HAS_GUIDANCE, timeout_seconds=_PATIENCE_SECONDS)


def live(page: Tab) -> None:
    """It hears of news."""
    page.wait("document.getElementById('live').dataset.state === 'on'")


def refused(page: Tab) -> None:
    """What a scanner of another kind offered, and why that is not taken."""
    scanner = page.page.locator("tr", has_text="CT_SCANNER").first
    scanner.locator("summary").click()
    scanner.locator("li").last.scroll_into_view_if_needed()
