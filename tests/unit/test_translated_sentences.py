"""Every sentence in the code that a report can show is in the catalogue: read from the source, so that a new one is noticed."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.core import codes
from service.core.measure.wrist_grading import FAULTS
from service.core.render.catalogue import msgids, read_catalogue
from service.core.render.language import Language, language_of
from service.core.wording import label
from service.core.wrist_planes import PLANES, STRUCTURES
from tests.running import ROOT

#: Where what a report says is worded, and where what cannot be read is refused.
WORDED = (
    *(f"core/{name}.py" for name in ("compose", "evidence", "quality", "regions", "review_words", "time_axis", "wording")),
    *(f"core/measure/{name}.py" for name in ("architecture_findings", "architecture_quality", "colour", "contraction_findings")),
    *(f"core/measure/{name}.py" for name in ("motor_findings", "motor_velocity")),
    *(
        f"core/measure/{name}.py"
        for name in ("pain_findings", "state_findings", "wrist_findings", "wrist_grading", "wrist_study")
    ),
    *(f"core/analyses/{name}.py" for name in ("muscle_architecture", "myofascial_pain", "prepared", "wrist_hand")),
    *(f"core/render/{name}.py" for name in ("comparison_view", "drawings", "report_view")),
    *(f"core/{name}.py" for name in ("cine_header", "clips", "codestreams", "frame_codecs", "pixel_format", "pixels")),
    *(f"adapters/{name}.py" for name in ("cine_decoder", "decoder_process", "fragments", "pixel_source", "video_frames")),
)
#: What is put into a sentence that the catalogue holds whole; reports in German (test_render_german.py) show that it does.
PIECES = frozenset(
    {
        "(muscle not coded)",
        "measured with two versions",
        "{}, left minus right",
        "not shown to differ from zero",
        "not shown to have changed",
        "absent or malformed",
        "in any frame",
        "in more than {} of {} frames",
        "no muscle between two aponeuroses was recognised {}; mostly, {}",
        "two lines were found in {} of {} frames, but {} in any: this may be no muscle",
        "{}, with a rise of the pennation by more than {}: {}.{}",
        "speak most for it",
        "speak most against it",
        "Probability of myofascial pain {}, {}; frames {} to {} {}",
        "gastrocnemius and soleus could not be read {}; mostly, {}",
        "{} {}{}, {}shown best by frame {}{}",
        "{} {}{}{}, at the tunnel's inlet, {}",
        "Of the {} standard planes {} were found, {}.{}",
        "known on {} images",
        "The software said {}{}",
        "The software said: {}",
        "This draft was withdrawn before anybody signed it",
        "This report was withdrawn",
        "beside version {}, which is signed",
        "drawn by the software, before a person amended findings",
        "{} had been {} by {} ({}){}",
        "this was not carried over, for the finding is not there any more or rests on other frames or another scale",
    }
)
#: What no report shows: the SR's trace, the choice of a region, programs' own errors.
NOT_SHOWN = frozenset(
    {
        "model {} version {}, sha256 {}, evidence {}",
        "region {} is the {} 2D tissue region in the image",
        "region {} is a smaller tissue region",
        "is not 2D (spatial format {})",
        "has no usable location",
        "lies outside the image",
        "of unknown data type",
        "a trace, bar or other graphic",
        "the whole frame, since",
        "PW spectral Doppler",
        "CW spectral Doppler",
        "{}; {} is a display rate, so times are nominal",
        "frame {} shows no plane",
        "no window was watched",
        "The cine has frames 1 to {}",
        "{} images of velocity instead of {}: the cine has fewer frames than it says",
    }
)
_WORD = re.compile(r"[A-Za-z]{2,}")


def sentences(path: Path) -> Iterator[str]:
    """Texts of three words or more that are no docstring, `{}` where something is put in."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    silent: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):
            silent.add(id(node.value))
        elif isinstance(node, ast.JoinedStr):
            silent |= {id(part) for part in node.values}
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in silent:
            yield node.value


def is_translated(sentence: str, language: Language, texts: frozenset[str]) -> bool:
    """Whether the catalogue holds it, or something of its form, or translates it with numbers put in."""
    form = ".+".join(map(re.escape, sentence.split("{}")))
    if any(re.fullmatch(form + r"\.?", text, re.IGNORECASE) for text in texts):
        return True
    sample = sentence.replace("{}", "1")
    missing: list[str] = []
    Language(language.tag, language.entries, missing=missing.append).text(sample)
    return not missing


@pytest.mark.parametrize("name", WORDED)
def test_sentence_that_a_report_can_show_has_a_translation(name: str) -> None:
    texts = frozenset(text for message in read_catalogue("de") if message.id for text in msgids(message))
    found = {sentence.strip(" ,;.").removeprefix("Not measured: ") for sentence in sentences(ROOT / "service" / name)}
    worded = {one for one in found if " " in one and len(_WORD.findall(one)) > 2} - PIECES - NOT_SHOWN
    lacking = [one for one in sorted(worded) if not is_translated(one, language_of("de"), texts)]
    assert lacking == [], "add these to the catalogue"


def test_sentence_that_is_in_no_catalogue_is_noticed(tmp_path: Path) -> None:
    source = tmp_path / "part.py"
    source.write_text('"""A docstring of this file."""\nFAULT = f"the moon was {phase} that night"\n')
    assert list(sentences(source)) == ["the moon was {} that night"]
    assert not is_translated("the moon was {} that night", language_of("de"), frozenset({"the sun shone that night"}))


def names() -> Iterator[str]:
    yield from (label(name) for name in (*codes.FINDING_CODES, *codes.STRUCTURE_CODES, *STRUCTURES))
    yield from (plane.title for plane in PLANES)
    yield from (fault.replace("_", " ") for fault in FAULTS)
    yield from codes.LATERALITIES
    yield from codes.STATISTICS
    muscles = (
        codes.MUSCLE_OF_LOWER_LIMB,
        codes.ANKLE_JOINT,
        codes.SKELETAL_MUSCLE,
        codes.TRAPEZIUS_MUSCLE,
        codes.GASTROCNEMIUS,
        codes.GASTROCNEMIUS_LATERAL_HEAD,
    )
    heads = (codes.GASTROCNEMIUS_MEDIAL_HEAD, codes.SOLEUS, codes.VASTUS_LATERALIS, *codes.WRIST_AND_HAND)
    yield from (code.meaning for code in (*muscles, *heads))


@pytest.mark.parametrize("name", sorted(set(names())))
def test_name_that_a_report_can_show_has_a_translation(name: str) -> None:
    missing: list[str] = []
    Language("de", language_of("de").entries, missing=missing.append).text(name)
    assert missing == []
