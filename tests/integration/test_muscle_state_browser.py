"""Muscle states in a real browser: bands under the cine, whose places are frames; both muscles over it; German; hostile names."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from service.access import Role
from service.core.routing import RoutingRule, RoutingRules
from service.ports import UnitOfWorkFactory
from tests.browser import Tab, tab
from tests.calf_parts import FRAMES, SECONDS, scanned
from tests.cine_files import EXPLICIT, region
from tests.integration.api_parts import STUDY, House, as_file, dicom_dataset
from tests.integration.known_analyses import known_states
from tests.integration.viewer_parts import analysed, sign_in, viewer_house
from tests.peers import PLOTS

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(not PLOTS.exists(), reason="uPlot is not installed: python scripts/web_packages.py uplot"),
]

HOSTILE = "<script>alert(1)</script>^<img src onerror>"
VIEW = "document.querySelector('[data-view]')"
FIRST = "[...document.querySelectorAll('[data-first] .plot')]"
STATES = ("Joint angle", "Activity gastrocnemius", "Activity soleus", "Joint moment")


def calf_cine() -> bytes:
    """The pictures, filling the frame, five a second."""
    of = scanned()
    rows, columns = of.pictures[0].sector.shape
    tissue = region(0, 0, columns - 1, rows - 1, PhysicalDeltaX=of.mm_per_pixel / 10, PhysicalDeltaY=of.mm_per_pixel / 10)
    own: dict[str, Any] = {
        "FrameIncrementPointer": 0x00181063,
        "FrameTime": str(1000 * SECONDS),
        "SequenceOfUltrasoundRegions": [tissue],
        "PatientName": HOSTILE,
        "SeriesDescription": "<b onclick=alert(2)>calf",
    }
    dataset = dicom_dataset("1.2.3", frames=len(of.pictures), **own)
    dataset.Rows, dataset.Columns = rows, columns
    dataset.PixelData = b"".join(one.sector.tobytes() for one in of.pictures)
    return as_file(dataset, EXPLICIT)


@pytest.fixture
def house(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> Iterator[House]:
    rules = RoutingRules(rules=(RoutingRule(analysis="muscle_state", minimum_frames=2),))
    with viewer_house(engine, units, tmp_path, analysis=known_states(), rules=rules) as made:
        analysed(made, calf_cine())
        yield made


@pytest.fixture(params=["en-GB"])
def viewer(house: House, request: pytest.FixtureRequest) -> Iterator[Tab]:
    with house.served() as address, tab(width=1280, height=1000, language=request.param) as made:
        sign_in(house, made, address, Role.VIEWER)
        made.page.goto(f"{address}/studies/{STUDY}")
        made.wait(f"Number({VIEW}.dataset.drawnFrame) > 0", timeout_seconds=60)
        made.wait(f"{FIRST}.length >= {len(STATES)}")
        yield made
        assert made.problems == []


def captions(viewer: Tab) -> list[str]:
    return [str(one) for one in viewer.page.evaluate(f"{FIRST}.map((one) => one.querySelector('figcaption span').textContent)")]


def test_states_are_plotted_first_each_with_a_band_and_the_value_of_the_frame(viewer: Tab, house: House) -> None:
    told = captions(viewer)
    assert [one.split(",")[0].split("90 %")[0] for one in told[: len(STATES)]] == list(STATES)
    assert all("90 % band" in one for one in told[: len(STATES)])
    findings = house.client().get(f"/api/v1/studies/{STUDY}/report").json()["findings"]
    angle = next(one for one in findings if one["name"] == "joint_angle")
    viewer.page.keyboard.press("End")
    viewer.wait(f"{VIEW}.dataset.drawnFrame === '{FRAMES}'")
    value = viewer.page.evaluate(f"{FIRST}[0].querySelector('output').textContent")
    assert float(value.replace("°", "").replace("\N{MINUS SIGN}", "-")) == pytest.approx(angle["series"]["values"][-1], abs=0.1)


def test_click_on_the_plot_of_a_band_goes_to_its_frame(viewer: Tab) -> None:
    for share, plot in ((0.25, 0), (0.75, 3)):
        over = viewer.page.locator("[data-first] .plot .u-over").nth(plot)
        over.scroll_into_view_if_needed()
        box = over.bounding_box()
        assert box is not None
        over.click(position={"x": box["width"] * share, "y": box["height"] / 2})
        wanted = 1 + share * (FRAMES - 1)
        viewer.wait(f"Math.abs({VIEW}.dataset.shownFrame - {wanted}) <= 1")


def test_both_muscles_are_tinted_over_the_cine(viewer: Tab) -> None:
    legend = str(viewer.page.locator("[data-kinds]").first.text_content())
    assert "Gastrocnemius" in legend
    assert "Soleus" in legend
    tinted = """
    () => {
      const over = document.querySelector("[data-over]");
      const data = over.getContext("2d").getImageData(0, 0, over.width, over.height).data;
      let blue = 0, orange = 0;
      for (let at = 0; at < data.length; at += 4) {
        if (!data[at + 3]) continue;
        if (data[at + 2] > data[at] + 40) blue += 1;
        if (data[at] > data[at + 2] + 40) orange += 1;
      }
      return [blue, orange];
    }
    """
    blue, orange = viewer.page.evaluate(tinted)
    assert min(blue, orange) > 1000


@pytest.mark.parametrize("viewer", ["de-DE"], indirect=True)
def test_viewer_of_muscle_states_is_german_for_a_german_reader(viewer: Tab) -> None:
    told = captions(viewer)
    assert told[0].startswith("Gelenkwinkel")
    assert not any(word in " ".join(told) for word in ("Activity", "Joint", "band"))
    legend = str(viewer.page.locator("[data-kinds]").first.text_content())
    assert "Gastrocnemius" in legend
    assert "aponeurosis" not in legend
    text = str(viewer.page.text_content("body"))
    assert "Nur an simulierten Bildern gelernt, nicht an Menschen validiert." in text


def test_hostile_name_and_description_of_a_calf_stay_text(viewer: Tab) -> None:
    assert "<script>alert(1)</script>" in str(viewer.page.text_content("body"))
    assert viewer.page.evaluate("document.querySelectorAll('img[onerror], b[onclick], h1 script').length") == 0
