"""What the viewer asks for: plots again after a failure, and no more frames ahead than it keeps."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Route
from sqlalchemy import Engine

from service.access import Role
from service.ports import UnitOfWorkFactory
from tests.browser import tab
from tests.integration.api_parts import STUDY, House
from tests.integration.viewer_parts import analysed, cine_file, contraction, sign_in, viewer_house
from tests.peers import PLOTS

pytestmark = pytest.mark.timeout(300)

#: Twenty batches of 48 MB each, of which the viewer keeps 192 MB; what is asked for is counted, and answered when it is said.
FETCHED_AHEAD = """
async () => {
  const answers = [], size = 48 << 20;
  window.fetch = (address) => new Promise((resolve) => address.includes(".jpg") || answers.push(resolve));
  const { Frames } = await import("/static/viewer/frames.js");
  const frames = new Frames("/nowhere", { version: "1", count: 320, batch: 16 });
  const settled = () => new Promise((resolve) => setTimeout(resolve));
  frames.prefetch(1);
  for (let at = 0; at < answers.length; at += 1) {
    const content = new ArrayBuffer(size);
    new DataView(content).setUint32(0, size - 4); // one picture, which nobody can decode
    answers[at](new Response(content));
    for (let turns = 0; turns < 99; turns += 1) await settled();
  }
  frames.close();
  return answers.length;
}
"""


@pytest.mark.skipif(not PLOTS.exists(), reason="uPlot is not installed: python scripts/web_packages.py uplot")
def test_plots_whose_report_did_not_come_are_asked_for_again_on_demand(
    engine: Engine, units: UnitOfWorkFactory, tmp_path: Path
) -> None:
    is_down = True

    def answer(route: Route) -> None:
        if is_down:
            route.abort()
        else:
            route.continue_()

    with viewer_house(engine, units, tmp_path) as house:
        analysed(house, cine_file(contraction()))
        with house.served() as address, tab(is_still=True) as made:
            sign_in(house, made, address, Role.VIEWER)
            made.page.route(re.compile(r"/api/v1/reports/[^/]+$"), answer)
            made.page.goto(f"{address}/studies/{STUDY}")
            made.wait("document.querySelector('[data-plots-failed]')?.hidden === false", timeout_seconds=120)
            told = made.page.locator("[data-plots-why]").inner_text()
            assert told == "The series cannot be plotted: The service could not be reached."
            assert made.page.locator("[data-stage] [data-problem]").is_hidden()
            is_down = False
            made.page.click("[data-plot-again]")
            made.wait("document.querySelectorAll('.plot .u-over').length >= 4", timeout_seconds=60)
            assert made.page.locator("[data-plots-failed]").is_hidden()


def test_no_more_frames_are_asked_for_ahead_than_are_kept(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> None:
    with House(engine, units, tmp_path) as house, house.served() as address, tab() as made:
        made.page.goto(f"{address}/sign-in")
        assert made.page.evaluate(FETCHED_AHEAD) == 4
