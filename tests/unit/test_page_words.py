"""What the pages say: every word of a template or a script has its German, and no German is left over."""

import json
import re
from pathlib import Path

import pytest

from service.web.words import ENGLISH_WORDS, words_of
from tests.running import ROOT

WEB = ROOT / "service" / "web"
SAID = re.compile(r'\bsay\(\s*"((?:[^"\\]|\\.)*)"')
SCRIPTS = [path for path in sorted((WEB / "static").rglob("*.js")) if "vendor" not in path.parts]


def said_in(*paths: Path) -> set[str]:
    return {found for path in paths for found in SAID.findall(path.read_text(encoding="utf-8"))}


def test_everything_that_a_template_says_has_its_german() -> None:
    said = said_in(*(WEB / "templates").glob("*.html"))
    assert len(said) > 100
    assert said - words_of("de").catalogue.keys() == set()


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_everything_that_a_script_says_is_given_to_it_in_german(path: Path) -> None:
    assert said_in(path) - json.loads(words_of("de").for_scripts()).keys() == set()


def test_no_script_raises_an_english_sentence() -> None:
    found = {
        path.name: re.findall(r"new \w*(?:Error|Exception)\(\s*[\"'`].*", path.read_text(encoding="utf-8")) for path in SCRIPTS
    }
    assert {name: lines for name, lines in found.items() if lines} == {}


def test_scripts_are_given_only_what_they_say_and_the_states_of_a_report() -> None:
    states = {"preliminary", "final", "amended", "cancelled"}
    assert words_of("de").of_scripts == said_in(*SCRIPTS) | states


def test_words_hold_the_values_that_they_are_given() -> None:
    assert words_of("de").say("Sign version {number}", number=3) == "Version 3 unterschreiben"
    assert ENGLISH_WORDS.say("Sign version {number}", number=3) == "Sign version 3"
    assert ENGLISH_WORDS.for_scripts({"Thickness"}) == "{}"
