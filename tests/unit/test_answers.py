"""What the service answers, in German: every sentence in which it refuses something, and its advice while somebody examines."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.api.answers import answers_in, read_answers
from service.api.live_words import worded
from service.core.live import Guidance, Shown, Tick
from service.core.quality import Fault, Grade
from service.core.render.catalogue import msgids, read_catalogue
from tests.running import ROOT
from tests.unit.test_translated_sentences import is_translated, sentences

#: Where what a page or one of its scripts shows is refused.
REFUSING = (
    *(f"api/{name}.py" for name in ("dependencies", "events", "gate", "limits", "live", "problems", "readiness")),
    *(f"api/routes/{name}.py" for name in ("admin", "reports", "users")),
    *(f"adapters/{name}.py" for name in ("dead_letters", "deliveries", "job_queries", "passwords", "postgres", "queries")),
    *(f"adapters/{name}.py" for name in ("report_rows", "study_rows", "users")),
    # The newest error of a delivery stands on the operations page.
    *(f"adapters/{name}.py" for name in ("commitment_scu", "connection", "http_exchange", "mllp", "store_association")),
    *(f"adapters/{name}.py" for name in ("stow_confirmation", "triton")),
    *(f"core/{name}.py" for name in ("fhir_transaction", "hl7_acknowledgement", "outgoing_syntax")),
    *("commitment.py", "core/delivery_status.py", "core/measure/drawn_lines.py", "delivering.py"),
    *(f"core/{name}.py" for name in ("amendment", "association_policy", "drawn", "live_frames", "passwords", "report_life")),
    *("core/live.py", "review.py", "reaching.py", "web/cines.py", "web/ohif.py", "web/sign_in.py"),
)
ERRORS = {"Problem", "Conflict", "NotFound", "InputRejected", "Unavailable", "Rejection", "PartState"}
#: What an error's sentence is called before it is raised.
NAMES = {"said", "detail", "why", "follows"}
#: Whole in the catalogue, with what stands behind or before it.
PIECES = {
    "{} Several words that do not belong together make a good one.",
    "Version {} is not the current one any more: ",
    "The server stored the object and does not let us search for it ({}): leave confirm_by_search out",
    "The server could not take the report now ({}).{}",
    "The destination says that it does not hold the object ({})",
    "The destination stored the object and did not say within {} s that it holds it,",
    "No such transaction was opened with this AE title.",  # told to a peer alone
}


def refusals(path: Path) -> Iterator[str]:
    """Sentences in which a file refuses something, `{}` where something is put in."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ERRORS:
            yield from filter(None, map(text_of, (*node.args, *(one.value for one in node.keywords if one.arg == "why"))))
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id in NAMES:
            yield from filter(None, (text_of(node.value),))


def text_of(node: ast.expr) -> str | None:
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def texts() -> frozenset[str]:
    catalogues = (read_catalogue("de"), read_answers("de"))
    return frozenset(text for catalogue in catalogues for message in catalogue if message.id for text in msgids(message))


@pytest.mark.parametrize("name", REFUSING)
def test_sentence_that_refuses_something_has_its_german(name: str) -> None:
    found = [one for one in refusals(ROOT / "service" / name) if one.count(" ") > 1 and one not in PIECES]
    assert found
    assert [one for one in found if not is_translated(one.rstrip(" .;"), answers_in("de"), texts())] == []


def test_advice_while_somebody_examines_has_its_german() -> None:
    said = {one.strip(" .") for one in sentences(ROOT / "service/core/live.py") if one.count(" ") > 1}
    assert len(said) > 4
    lacking = [one for one in said if not is_translated(one, answers_in("de"), texts())]
    assert sorted(lacking) == ["no frame was seen"]  # a fault of a program, which nobody is told


@pytest.mark.parametrize(
    ("english", "german"),
    [
        ("This needs the role administrator.", "Das braucht die Rolle Administrator."),
        (
            "Thickness outside 1.0 to 80.0 mm is not plausible: is the unit right?",
            "Muskeldicke außerhalb von 1,0 bis 80,0 mm ist nicht plausibel: Stimmt die Einheit?",
        ),
        (
            "Version 1 is not the current one any more: version 2 (amended) is. Read it, and decide again.",
            "Version 1 ist nicht mehr die aktuelle: Das ist Version 2 (geändert). Lesen Sie sie, und entscheiden Sie neu.",
        ),
        (
            "The destination says that it does not hold the object (no such object); it is sent again.",
            "Das Ziel sagt, dass es das Objekt nicht hat (no such object); es wird noch einmal gesendet.",
        ),
        (
            "The destination stored the object and did not say within 600 s that it holds it, asked 3 times.",
            "Das Ziel hat das Objekt gespeichert und, 3-mal gefragt, nicht binnen 600 s gesagt, dass es das Objekt hat.",
        ),
        (
            "The peer refused the request for Storage Commitment for good, status 0x0122.",
            "Die Gegenstelle hat die Anfrage nach Storage Commitment endgültig abgelehnt, Status 0x0122.",
        ),
        ("The peer said something else altogether.", "The peer said something else altogether."),
    ],
)
def test_answer_is_read_in_german_with_what_was_put_into_it(english: str, german: str) -> None:
    assert answers_in("de").text(english) == german
    assert answers_in("en").text(english) == english


def test_guidance_is_in_german_and_what_programs_read_stays() -> None:
    fault = Fault(reason="off_centre", text="what matters lies too far left: move the probe to the left", move="left")
    title = "Dorsal longitudinal wrist"
    shown = Shown(plane="S5", title=title, probability=0.9, grade=Grade.B, faults=(fault,), missing=("lunate",))
    advice = f"Next S5, {title}: go to the dorsal side, then turn the probe to longitudinal."
    guidance = Guidance(shown=shown, advice=advice, next_plane="S5", checklist=(Tick(plane="S5", title=title),))
    german = worded(guidance, answers_in("de"))
    assert german.advice.endswith(": nach dorsal wechseln, dann den Schallkopf längs drehen.")
    assert german.shown is not None
    assert german.shown.title == german.checklist[0].title == "Dorsal longitudinal, Handgelenk"
    assert german.shown.faults[0].text.endswith("den Schallkopf nach links bewegen")
    assert (german.shown.missing, german.shown.faults[0].reason) == (("lunate",), "off_centre")
    assert worded(guidance, answers_in("en")) == guidance
