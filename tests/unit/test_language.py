"""English texts in another language: by msgid, by template, by sentence; never by halves."""

import pytest
from babel.messages.catalog import Catalog

from service.core.conditions import Arrival
from service.core.instance import InstanceAttributes
from service.core.render.catalogue import entries_of
from service.core.render.language import ENGLISH, Language, language_of
from service.core.report import RESEARCH_USE
from service.core.routing import RoutingRules, reason_left_out, select_analyses
from tests.calf_report import instance

GERMAN = language_of("de")


def small(*entries: tuple[str | tuple[str, str], str | tuple[str, str]]) -> tuple[Language, list[str]]:
    """A language that knows these entries only, and what it lacked."""
    catalogue, missing = Catalog(locale="de"), list[str]()
    for msgid, msgstr in entries:
        catalogue.add(msgid, msgstr)
    return Language("de", entries_of(catalogue), missing=missing.append), missing


@pytest.mark.parametrize(
    ("english", "german"),
    [
        ("18.2 mm", "18,2 mm"),
        ("\N{MINUS SIGN}0.5", "\N{MINUS SIGN}0,5"),
        ("21.4°", "21,4°"),
        ("104 px", "104 px"),
        ("16.9 to 19.5", "16,9 bis 19,5"),
        ("17.0 to 18.0 (95%)", "17,0 bis 18,0 (95 %)"),
        ("2026-11-20", "20.11.2026"),
        ("2026-13-41", "2026-13-41"),
        ("2026-11-20 09:30 UTC", "20.11.2026, 09:30 UTC"),
        ("58 of 60", "58 von 60"),
        ("1, 2, 3", "1, 2, 3"),
        ("", ""),
    ],
)
def test_number_and_date_are_written_as_the_language_writes_them(english: str, german: str) -> None:
    assert GERMAN.text(english) == german


@pytest.mark.parametrize(
    "text", ["1.4.0", "2.25.58882585377666005303138527352", "0123456789abcdef", "Sonomyo 0.1.0, muscle_architecture 1.4.0"]
)
def test_identifier_stays_as_it_is(text: str) -> None:
    assert GERMAN.text(text) == text


def test_word_is_found_in_either_case_of_its_first_letter() -> None:
    language, missing = small(("Thickness", "Muskeldicke"), ("not found", "nicht gefunden"))
    assert (language.text("thickness"), language.text("Not found"), missing) == ("Muskeldicke", "Nicht gefunden", [])


def test_template_is_found_in_either_case_of_its_first_letter() -> None:
    language, missing = small(("Part {number}", "Teil {number}"), ("not in {name}", "nicht in {name}"), ("end", "Ende"))
    assert (language.text("part 3"), language.text("Not in end"), missing) == ("Teil 3", "Nicht in Ende", [])


def test_template_with_most_fixed_text_is_taken() -> None:
    language, _ = small(
        ("{name} of {place}", "{name} von {place}"), ("end of {place}", "Ende: {place}"), ("it", "es"), ("end", "Rand")
    )
    assert language.text("end of it") == "Ende: es"


def test_version_in_a_template_is_no_number() -> None:
    language, _ = small(("{model} version {version}", "{model} Version {version}"))
    assert language.text("unet version 2.0") == "unet Version 2.0"


@pytest.mark.parametrize(("count", "german"), [(1, "1 Bild fehlt."), (3, "3 Bilder fehlen.")])
def test_plural_follows_the_count(count: int, german: str) -> None:
    language, _ = small(
        (("{count} frame is absent.", "{count} frames are absent."), ("{count} Bild fehlt.", "{count} Bilder fehlen."))
    )
    assert language.text(f"{count} frame{' is' if count == 1 else 's are'} absent.") == german


def test_sentence_of_which_a_part_is_unknown_stays_english_as_a_whole() -> None:
    language, missing = small(("Not measured: {reason}", "Nicht gemessen: {reason}"), ("Grade {grade}.", "Güte {grade}."))
    said = language.text("Not measured: the moon was full. Grade B.")
    assert (said, missing) == ("Not measured: the moon was full. Güte B.", ["Not measured: the moon was full."])


def test_message_from_elsewhere_stays_english_within_its_sentence() -> None:
    said = GERMAN.text("wrist_hand could not be completed for one instance (socket closed); it can be run again.")
    assert said.startswith("wrist_hand konnte für eine Instanz nicht abgeschlossen werden (socket closed); ")


def test_text_with_braces_is_no_template() -> None:
    language, _ = small(("none: {why}", "keine: {why}"))
    assert language.text("none: {0.__class__} {why}") == "keine: {0.__class__} {why}"


def test_banner_says_it_in_both_languages() -> None:
    assert GERMAN.banner() == f"Nur für Forschungszwecke - nicht zur Diagnose · {RESEARCH_USE}"
    assert ENGLISH.banner() == RESEARCH_USE


def test_english_is_left_alone() -> None:
    assert ENGLISH.text("Median over 58 of 60 frames. 18.2 mm") == "Median over 58 of 60 frames. 18.2 mm"


TISSUE, DOPPLER = 1, 3
PHOTO, ENHANCED, CAPTURE, SEGMENTATION, KEYS, REPORT, DOCUMENT, PHOTOACOUSTIC = (
    f"1.2.840.10008.5.1.4.1.1.{suffix}" for suffix in ("77.1.4", "6.2", "7.4", "66.4", "88.59", "88.34", "104.1", "6.3")
)


@pytest.mark.parametrize(
    ("attributes", "called"),
    [
        *((instance(sop_class_uid=uid), None) for uid in (PHOTO, ENHANCED, CAPTURE, SEGMENTATION, KEYS, REPORT, DOCUMENT)),
        (instance(sop_class_uid=PHOTOACOUSTIC), None),
        (instance(sop_class_uid="1.2.3"), None),
        (instance(has_pixel_data=False), None),
        (instance(quality_control_image=True), None),
        (instance(region_data_types=(DOPPLER,)), None),
        (instance(image_type=("ORIGINAL", "PRIMARY", "X", "0002")), None),
        (instance(number_of_frames=1, anatomic_region_code="31764008"), None),
        (instance(anatomic_region_code="31764008"), "WRISTS ONLY"),
    ],
)
def test_reason_to_leave_an_instance_out_is_translated(attributes: InstanceAttributes, called: str | None) -> None:
    rules = RoutingRules().with_ae_titles({"WRISTS ONLY": "wrist_hand"})
    rules = rules.model_copy(update={"rules": [rule.model_copy(update={"enabled": called is None}) for rule in rules.rules]})
    told = reason_left_out([one for one in select_analyses(Arrival(attributes, called), rules) if not one.selected])
    missing: list[str] = []
    language = Language("de", GERMAN.entries, missing=missing.append)
    said = language.text(f"1 stored instance was not analysed because {told}.")
    assert missing == []
    assert said.startswith("1 gespeicherte Instanz wurde nicht analysiert: ")
