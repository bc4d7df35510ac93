"""The first moments of a viewer, and what its pages may load: a press that comes early is kept, no policy is broken."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Route
from sqlalchemy import Engine

from service.ports import UnitOfWorkFactory
from tests.browser import tab
from tests.integration.api_parts import STUDY, House
from tests.integration.viewer_parts import analysed, cine_file, contraction, sign_in, viewer_house

pytestmark = pytest.mark.timeout(600)
VIEW = "document.querySelector('[data-view]')"
PLAY = "document.querySelector('[data-play]')"


@pytest.fixture
def house(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> Iterator[House]:
    with viewer_house(engine, units, tmp_path) as made:
        analysed(made, cine_file(contraction()))
        yield made


def test_play_that_is_pressed_before_the_first_frame_is_there_plays_once_it_is(house: House) -> None:
    with house.served() as address, tab() as made:
        sign_in(house, made, address)
        held: list[Route] = []
        is_free: list[bool] = []

        def hold(route: Route) -> None:
            if is_free:
                route.continue_()
            else:
                held.append(route)

        made.page.route("**/frames/**", hold)
        made.page.goto(f"{address}/studies/{STUDY}", wait_until="commit")
        made.wait(f"{PLAY}?.disabled === false", timeout_seconds=60)
        made.page.evaluate(f"{PLAY}.click()")
        made.wait(f"{PLAY}.dataset.state === 'playing'")
        assert not made.page.evaluate(f"{VIEW}.dataset.shownFrame")
        is_free.append(True)
        for route in held:
            route.continue_()
        made.wait(f"{VIEW}.dataset.playing === 'true' && Number({VIEW}.dataset.shownFrame) > 1", timeout_seconds=60)


def test_printable_report_has_its_own_styles_and_no_other(house: House) -> None:
    report = house.client().get(f"/api/v1/studies/{STUDY}/report").json()["report_id"]
    with house.served() as address, tab() as made:
        sign_in(house, made, address)
        answer = made.page.goto(f"{address}/api/v1/reports/{report}")
        assert answer is not None
        policy = answer.headers["content-security-policy"]
        assert "style-src 'sha256-" in policy
        assert "unsafe" not in policy
        assert made.page.evaluate("[...document.styleSheets].every((one) => one.cssRules.length > 10)")
        assert made.page.evaluate("getComputedStyle(document.querySelector('th')).textAlign") == "left"
        assert made.problems == []
        made.page.evaluate(
            "document.body.append(Object.assign(document.createElement('style'), {textContent: '* {color: red}'}))"
        )
        made.page.wait_for_timeout(0)
        assert any("Content Security Policy" in problem for problem in made.problems)
