"""The first frame of a viewer: there before any script, asked for once with all that follows it, and told when it fails."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Route
from sqlalchemy import Engine

from service.ports import UnitOfWorkFactory
from tests.browser import Tab, tab
from tests.integration.api_parts import STUDY, House
from tests.integration.viewer_parts import analysed, cine_file, contraction, sign_in, viewer_house

pytestmark = pytest.mark.timeout(600)
VIEW = "document.querySelector('[data-view]')"
EARLY = "document.querySelector('[data-early]')"
#: Left, top, right, bottom of what the page itself shows the picture in, and how; of the view; and of the stage's picture.
OF_THE_PAGE = f"""(() => {{ const {{ left, top, right, bottom }} = {EARLY}.getBoundingClientRect();
  return [left, top, right, bottom, getComputedStyle({EARLY}).objectFit]; }})()"""
OF_THE_VIEW = f"""(() => {{ const {{ left, top, right, bottom }} = {VIEW}.getBoundingClientRect();
  return [left, top, right, bottom]; }})()"""
OF_THE_STAGE = """(() => { const { left, top, right, bottom } = document.querySelector("[data-picture]").getBoundingClientRect();
  return [left, top, right, bottom]; })()"""
#: Paths below the version of the static files.
MODULES = """performance.getEntriesByType("resource").map(({ name }) => new URL(name).pathname)
  .filter((path) => path.endsWith(".js")).map((path) => path.split("/").slice(3).join("/"))"""
PRELOADED = """[...document.querySelectorAll("link[rel=modulepreload]")].map(({ href }) =>
  new URL(href).pathname.split("/").slice(3).join("/"))"""


@pytest.fixture
def house(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> Iterator[House]:
    with viewer_house(engine, units, tmp_path) as made:
        analysed(made, cine_file(contraction()))
        yield made


@contextmanager
def reader(house: House, *, language: str = "en-GB") -> Iterator[tuple[Tab, str]]:
    """Somebody who has signed in, and the address of the report's page."""
    with house.served() as address, tab(language=language) as made:
        sign_in(house, made, address)
        yield made, f"{address}/studies/{STUDY}"


def test_first_frame_is_seen_before_any_module_runs_and_where_the_stage_shows_it_afterwards(house: House) -> None:
    with reader(house) as (made, page):
        held: list[Route] = []
        is_free: list[bool] = []
        made.page.route("**/static/**/viewer/*.js", lambda route: route.continue_() if is_free else held.append(route))
        made.page.goto(page, wait_until="commit")
        made.wait(f"{EARLY}?.complete && {EARLY}.naturalWidth > 0 && {VIEW}.clientWidth > 0", timeout_seconds=60)
        assert made.page.evaluate(f"{EARLY}.checkVisibility()")
        assert made.page.evaluate(OF_THE_PAGE) == [*made.page.evaluate(OF_THE_VIEW), "contain"]
        shape = made.page.evaluate(f"[{EARLY}.naturalWidth, {EARLY}.naturalHeight]")
        frame = int(re.findall(r"/frames/(\d+)\.jpg", made.page.evaluate(f"{EARLY}.src"))[0])
        assert not made.page.evaluate(f"{VIEW}.dataset.shownFrame")
        is_free.append(True)
        for route in held:
            route.continue_()
        made.wait(f"{VIEW}.dataset.shownFrame === '{frame}'", timeout_seconds=60)
        assert made.page.evaluate(f"{EARLY} === null")
        stage, view = made.page.evaluate(f"[{OF_THE_STAGE}, {OF_THE_VIEW}]")
        assert stage == pytest.approx(contained(shape, view), abs=1)
        assert made.problems == []


def contained(shape: list[float], view: list[float]) -> list[float]:
    """Where `object-fit: contain` shows a picture of that width and height (CSS Images 5.5)."""
    left, top, right, bottom = view
    scale = min((right - left) / shape[0], (bottom - top) / shape[1])
    beside = [(right - left - shape[0] * scale) / 2, (bottom - top - shape[1] * scale) / 2]
    return [left + beside[0], top + beside[1], right - beside[0], bottom - beside[1]]


def test_page_names_every_module_that_its_scripts_import_and_no_other(house: House) -> None:
    with reader(house) as (made, page):

        def without_names(route: Route) -> None:
            answer = route.fetch()
            route.fulfill(response=answer, body=re.sub(r'<link rel="modulepreload"[^>]*>', "", answer.text()))

        made.page.goto(page, wait_until="commit")
        made.wait(f"Number({VIEW}?.dataset.shownFrame) > 0", timeout_seconds=60)
        named = made.page.evaluate(PRELOADED)
        made.page.route(page, without_names)
        made.page.goto(page, wait_until="commit")
        made.wait(f"Number({VIEW}?.dataset.shownFrame) > 0", timeout_seconds=60)
        made.wait("document.querySelector('#review-panel[data-ready]') !== null", timeout_seconds=60)
        assert made.page.evaluate(PRELOADED) == []
        assert len(named) == len(set(named)) > 15
        is_own = "(path) => path !== 'theme.js' && !path.startsWith('uplot/')"  # which comes when it comes
        # A browser notes a file somewhat later than it runs it.
        made.wait(f"{MODULES}.filter({is_own}).length >= {len(named)}", timeout_seconds=10)
        assert sorted(named) == sorted(set(made.page.evaluate(f"{MODULES}.filter({is_own})")))


def test_what_the_page_asks_for_ahead_of_its_scripts_is_asked_for_once(house: House) -> None:
    with reader(house) as (made, page):
        asked: list[str] = []
        made.page.on("request", lambda request: asked.append(request.url))
        made.page.goto(page, wait_until="commit")
        made.wait(f"Number({VIEW}?.dataset.shownFrame) > 0", timeout_seconds=60)
        made.wait("performance.getEntriesByType('resource').some(({ name }) => name.includes('/api/v1/reports/'))")
        ahead = made.page.evaluate("[...document.querySelectorAll('link[rel=preload]')].map(({ href }) => href)")
        assert len(ahead) == 3
        assert [asked.count(one) for one in ahead] == [1, 1, 1]
        scripts = made.page.evaluate(MODULES)
        assert len(scripts) == len(set(scripts))
        report = next(place for place, one in enumerate(asked) if "/api/v1/reports/" in one and "/overlays/" not in one)
        assert max(asked.index(one) for one in ahead) < report


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (None, "Der Dienst war nicht zu erreichen."),
        (
            b"",
            "Bild {frame} kann nicht gezeigt werden: Der Dienst war nicht zu erreichen.",
        ),
        (b"\0\0\0\4none", "Bild {frame} lässt sich nicht dekodieren."),
    ],
    ids=["no answer", "no frame", "no picture"],
)
def test_frames_that_do_not_come_are_told_in_german(house: House, answer: bytes | None, told: str) -> None:
    def refuse(route: Route) -> None:
        if answer is None or route.request.url.split("?")[0].endswith(".jpg"):
            route.abort()
        else:
            begun = int(re.findall(r"/frames/(\d+)-", route.request.url)[0])
            route.fulfill(body=answer * (17 if begun else 1), content_type="application/octet-stream")

    with reader(house, language="de-DE") as (made, page):
        made.page.route(re.compile(r"/frames/\d+(-\d+|\.jpg)"), refuse)
        made.page.goto(page, wait_until="commit")
        made.wait("document.querySelector('[data-problem]')?.hidden === false", timeout_seconds=60)
        frame = made.page.evaluate("document.querySelector('[data-cine]').dataset.start")
        assert (
            made.page.locator("[data-stage] [data-problem]").inner_text()
            == f"Dieser Cineloop lässt sich nicht zeigen: {told.format(frame=frame)}"
        )
