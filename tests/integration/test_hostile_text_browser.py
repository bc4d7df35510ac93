"""Values of DICOM objects that are made to hide or to mislead: long ones, and ones that turn the direction of text."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from service.ports import UnitOfWorkFactory
from tests.browser import tab
from tests.integration.api_parts import STUDY, House, dicom_file, upload
from tests.integration.viewer_parts import analysed, cine_file, contraction, sign_in, viewer_house
from tests.page_checks import scrolls_sideways_by

pytestmark = pytest.mark.timeout(300)
LONG = "Wolfeschlegelsteinhausenbergerdorffwelchevoralternwarengewissenha"[:64]
#: Read as it is stored it ends on "live", as a browser obeys it on "evil".
TURNED = "Anna \u202eevil\u202c"
TURNS = "[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
WRITTEN = "Anna [U+202E]evil[U+202C]"
#: How far what a row holds, or the row itself, reaches beyond what is seen of the table.
HIDDEN = """(() => {
  const seen = document.getElementById('studies').getBoundingClientRect().right;
  const told = [...document.querySelectorAll('.worklist tr > *, .worklist .flag')];
  return Math.max(...told.map(one => one.getBoundingClientRect().right)) - seen;
})()"""


@pytest.fixture
def house(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> Iterator[House]:
    with viewer_house(engine, units, tmp_path) as made:
        yield made


@pytest.mark.parametrize("width", [1280, 1920])
def test_long_unbroken_values_leave_status_and_flags_of_every_row_in_sight(house: House, width: int) -> None:
    hostile = dicom_file(
        "1.9.1", study="1.8.1", PatientName=LONG, PatientID=LONG, AccessionNumber=LONG[:16], StudyDescription=LONG
    )
    upload(house.client(), dicom_file("1.9.0", study="1.8.0"), hostile).raise_for_status()
    with house.served() as address, tab(width=width) as made:
        sign_in(house, made, address)
        made.page.goto(address)
        assert made.page.locator("tr[data-study]").count() == 2
        assert made.page.evaluate(HIDDEN) <= 0
        assert scrolls_sideways_by(made) <= 0
        assert made.page.evaluate("document.querySelector(`[data-study='1.8.1']`).clientHeight") < 160
        assert made.page.locator("[data-study='1.8.1'] a").get_attribute("title") == LONG
        assert made.page.locator("[data-study='1.8.1'] .description bdi").get_attribute("title") == LONG


def test_characters_that_turn_text_are_written_out_on_every_page(house: House) -> None:
    shown = ("PatientName", "PatientID", "AccessionNumber", "StudyDescription", "SeriesDescription")
    values: dict[str, Any] = dict.fromkeys(shown, TURNED)
    report_id = analysed(house, cine_file(contraction(5), **values), cine_file(contraction(5), "1.2.4", **values))
    upload(house.client(), dicom_file("1.9.0", study="1.8.0", **values)).raise_for_status()
    pages = ("/", f"/studies/{STUDY}", f"/studies/{STUDY}/review", "/studies/1.8.0", f"/api/v1/reports/{report_id}")
    with house.served() as address, tab() as made:
        sign_in(house, made, address)
        for path in pages:
            made.page.goto(address + path)
            text = made.page.evaluate("document.body.innerText + document.documentElement.outerHTML")
            assert WRITTEN in text, path
            assert not made.page.evaluate(f"/{TURNS}/u.test(document.documentElement.outerHTML)"), path


def test_long_name_of_a_patient_breaks_in_the_viewer_and_leaves_its_status_in_sight(house: House) -> None:
    analysed(house, cine_file(contraction(5), PatientName=LONG, StudyDescription=LONG))
    with house.served() as address, tab() as made:
        sign_in(house, made, address)
        made.page.goto(f"{address}/studies/{STUDY}")
        assert scrolls_sideways_by(made) <= 0
        right = made.page.evaluate("document.querySelector('.patient .state').getBoundingClientRect().right")
        assert right <= 1280
