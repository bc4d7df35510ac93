"""What the viewer draws that is no line of the software's and no map: lines that a person drew, and the badge of a wrist."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine

from service.access import Role
from service.ports import UnitOfWorkFactory
from tests.browser import Tab, tab
from tests.integration.api_parts import STUDY, House
from tests.integration.known_analyses import CASES
from tests.integration.test_report_life import amend, done, official
from tests.integration.test_viewer_browser import DEEP, ROWS_OF, VIEW
from tests.integration.viewer_parts import INSTANCE, analysed, cine_file, contraction, sign_in, viewer_house
from tests.peers import PLOTS

pytestmark = pytest.mark.timeout(300)

FRAME, ROW = 24, 300
LINES = {"sop_instance_uid": INSTANCE, "frame": FRAME, "superficial": [[20, 80], [430, 80]], "deep": [[20, ROW], [430, ROW]]}
AMENDED, BADGE = "[data-kind=amended]", "[data-kind=badge]"
SHOWN = "document.querySelector('[data-shown]')"


@pytest.fixture
def amended(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> Iterator[House]:
    """A contraction; in the frame of its peak a person drew both lines, the deep one four centimetres lower."""
    with viewer_house(engine, units, tmp_path) as house:
        analysed(house, cine_file(contraction()))
        done(amend(house.reviewer(), official(house.client()), lines=[LINES]))
        yield house


@contextmanager
def opened(house: House, language: str = "en-GB") -> Iterator[Tab]:
    with house.served() as address, tab(width=1280, height=900, is_still=True, language=language) as made:
        sign_in(house, made, address, Role.VIEWER)
        made.page.goto(f"{address}/studies/{STUDY}")
        made.wait(f"Number({VIEW}?.dataset.drawnFrame) > 0", timeout_seconds=120)
        yield made
        assert made.problems == []


def go(made: Tab, frame: int) -> None:
    made.page.evaluate(f"document.dispatchEvent(new CustomEvent('sonomyo:seek', {{detail: {{frame: {frame}}}}}))")
    made.wait(f"{VIEW}.dataset.drawnFrame === '{frame}'")


def deep_rows(made: Tab) -> list[list[float]]:
    """Where the deep line lies in each of some columns; none between dashes."""
    return [made.page.evaluate(ROWS_OF, [column, *DEEP]) for column in range(150, 300, 2)]


def test_overlay_of_a_frame_in_which_a_person_drew_has_that_person_s_lines_and_no_other(amended: House) -> None:
    report = official(amended.client())
    address = f"/api/v1/reports/{report['report_id']}/overlays/{INSTANCE}"
    (told,) = amended.client().get(address, params={"frames": f"{FRAME}-{FRAME + 1}"}).json()["analyses"]
    theirs, after = ({line["label"]: line for line in frame["lines"]} for frame in told["frames"])
    assert (theirs["deep_aponeurosis"]["points"], theirs["deep_aponeurosis"]["is_amended"]) == (LINES["deep"], True)
    assert (theirs["superficial_aponeurosis"]["points"], theirs["fascicle"]["is_amended"]) == (LINES["superficial"], False)
    assert [line["label"] for line in told["frames"][0]["lines"]].count("deep_aponeurosis") == 1
    assert {line["is_amended"] for line in after.values()} == {False}
    # The version before is as it was.
    before = f"/api/v1/reports/{report['predecessor']}/overlays/{INSTANCE}"
    (said,) = amended.client().get(before, params={"frames": f"{FRAME}-{FRAME}"}).json()["analyses"]
    assert not any(line["is_amended"] for line in said["frames"][0]["lines"])


def test_amended_line_is_dashed_in_its_frame_and_a_kind_of_the_legend(amended: House) -> None:
    with opened(amended) as made:
        go(made, FRAME + 1)
        rows = deep_rows(made)
        assert all(rows)
        assert max(max(column) for column in rows) < ROW - 20
        go(made, FRAME)
        rows = deep_rows(made)
        assert [] in rows
        assert any(rows)
        assert all(abs(row - ROW) < 3 for column in rows for row in column)
        assert made.page.locator(AMENDED).inner_text() == "Amended line"
        made.page.click(AMENDED)
        assert not any(deep_rows(made))
        made.page.press(AMENDED, " ")
        assert any(deep_rows(made))


def test_amended_line_is_told_of_in_german(amended: House) -> None:
    with opened(amended, "de-DE") as made:
        go(made, FRAME)
        assert made.page.locator(AMENDED).inner_text() == "Geänderte Linie"


def test_line_is_shown_as_amended_as_soon_as_it_is_saved(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> None:
    with viewer_house(engine, units, tmp_path) as house:
        analysed(house, cine_file(contraction()))
        with opened(house) as made:
            go(made, FRAME)
            assert made.page.locator(AMENDED).count() == 0
            saved = done(amend(house.reviewer(), official(house.client()), lines=[LINES]))
            # As the panel beside the picture tells it.
            detail = {name: saved[name] for name in ("report_id", "version", "status")}
            made.page.evaluate("(detail) => document.dispatchEvent(new CustomEvent('sonomyo:report', { detail }))", detail)
            made.wait(f"document.querySelector('{AMENDED}') !== null")
            assert any(deep_rows(made))
            assert all(abs(row - ROW) < 3 for column in deep_rows(made) for row in column)


@pytest.mark.skipif(not PLOTS.exists(), reason="uPlot is not installed: python scripts/web_packages.py uplot")
def test_plot_of_an_amended_number_says_whose_its_curve_is_and_what_the_person_measured(amended: House) -> None:
    figure = "[...document.querySelectorAll('.plot')].find((one) => one.textContent.startsWith('Thickness'))"
    with opened(amended) as made:
        made.wait(f"{figure}?.querySelector('.whose')", timeout_seconds=60)
        note = made.page.evaluate(f"{figure}.querySelector('.whose').textContent")
        assert note == f"◆ After amendment, frame {FRAME}: 22 mm. The curve is the software's."
        go(made, FRAME)
        made.wait(f"{figure}.querySelector('output').textContent.startsWith('◆ 22 mm, software 1')")
        go(made, FRAME + 1)
        made.wait(f"!{figure}.querySelector('output').textContent.includes('software')")


def test_badge_of_a_wrist_is_hidden_and_faded_with_the_overlay_and_a_kind_of_its_legend(
    engine: Engine, units: UnitOfWorkFactory, tmp_path: Path
) -> None:
    case = CASES["wrist_hand"]()
    with viewer_house(engine, units, tmp_path, analysis=case.analysis, rules=case.rules) as house:
        analysed(house, case.file)
        with opened(house) as made:
            made.wait(f"!{SHOWN}.hidden")
            made.page.focus("[data-view]")
            made.page.keyboard.press("o")
            made.wait(f"{SHOWN}.hidden")
            made.page.keyboard.press("o")
            made.wait(f"!{SHOWN}.hidden")
            assert made.page.locator(BADGE).inner_text() == "Plane and grade"
            made.page.click(BADGE)
            made.wait(f"{SHOWN}.hidden")
            made.page.focus(BADGE)
            made.page.keyboard.press("Space")
            made.wait(f"!{SHOWN}.hidden && document.querySelector('{BADGE}').ariaPressed === 'true'")
            made.page.fill("[data-opacity]", "40")
            made.wait(f"getComputedStyle({SHOWN}).opacity === '0.4'")
