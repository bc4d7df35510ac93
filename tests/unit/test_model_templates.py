"""What a training writes into the model repository is what is served now: an export loses nothing that was set by hand."""

import re
from pathlib import Path
from string import Template

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = sorted((ROOT / "training").glob("*/*.pbtxt.template"))
#: What each version states of itself.
_STATEMENT = re.compile(r'parameters \{ key: "\w+_\d+" ')


def _shared(text: str) -> list[str]:
    return [line for line in text.splitlines() if line and not _STATEMENT.match(line)]


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_template_of_a_model_gives_the_configuration_that_is_served(template: Path) -> None:
    text = template.read_text(encoding="utf-8")
    name = re.match(r'name: "(\w+)"', text)
    assert name is not None
    served = (ROOT / "model_repository" / name[1] / "config.pbtxt").read_text(encoding="utf-8")
    versions = re.search(r"versions: \[ ([\d, ]+) \]", served)
    made = Template(text).safe_substitute(versions=versions[1] if versions else "", parameters="")
    assert _shared(made) == _shared(served)


def test_every_served_model_has_a_template() -> None:
    templates = {path.read_text(encoding="utf-8").split('"')[1] for path in TEMPLATES}
    assert templates == {path.parent.name for path in (ROOT / "model_repository").glob("*/config.pbtxt")}
