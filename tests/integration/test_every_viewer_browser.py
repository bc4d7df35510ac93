"""The viewer of each analysis in a real browser: no English is left in German, and axe finds nothing in either theme."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from sqlalchemy import Engine

from service.access import Role
from service.ports import UnitOfWorkFactory
from tests.browser import tab
from tests.integration.api_parts import PASSWORD, House
from tests.integration.known_analyses import CASES, Case
from tests.integration.viewer_parts import analysed, read_by_anna, viewer_house
from tests.page_checks import english_in, faults_in, scrolls_sideways_by
from tests.peers import PLOTS

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(not PLOTS.exists(), reason="uPlot is not installed: python scripts/web_packages.py uplot"),
]
UNFOLD = "document.querySelectorAll('main details:not([data-window])').forEach((one) => { one.open = true; })"
Language = Literal["de-DE", "en-GB"]


@pytest.fixture(params=sorted(CASES))
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]()


@pytest.fixture
def reading_room(case: Case, engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> Iterator[House]:
    with viewer_house(engine, units, tmp_path, analysis=case.analysis, rules=case.rules) as made:
        made.users.add(login="anna", full_name="Dr Anna Grau", role=Role.RADIOLOGIST, password=PASSWORD, actor="test")
        analysed(made, case.file)
        yield made


@pytest.mark.parametrize("language", ["de-DE", "en-GB"])
def test_viewer_of_each_analysis_is_in_its_readers_language_and_has_no_fault_that_axe_finds(
    reading_room: House, case: Case, language: Language
) -> None:
    found = list[object]()
    with reading_room.served() as address, tab(language=language, is_still=True) as made:
        read_by_anna(made, address)
        made.page.evaluate(UNFOLD)
        made.wait(case.shows, timeout_seconds=60)
        for theme in ("dark", "light"):
            made.page.evaluate("(theme) => { document.documentElement.dataset.theme = theme; }", theme)
            found += [(theme, fault) for fault in faults_in(made)]
        found += [("too wide by", pixels) for pixels in [scrolls_sideways_by(made)] if pixels > 0]
        made.page.set_viewport_size({"width": 320, "height": 900})
        found += [("too wide at 320 by", pixels) for pixels in [scrolls_sideways_by(made)] if pixels > 0]
        found += [("English", one) for one in english_in(made) if language == "de-DE"]
        assert found == []
        assert made.problems == []
