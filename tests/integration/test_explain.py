"""`sonomyo explain` as a person or a program uses it: a tester of the rules file, without database, server or destination."""

import json
from pathlib import Path
from typing import Any

import pytest

from simulator.write import simulate
from tests.integration.test_command_line import sonomyo
from tests.running import ROOT

EXAMPLE = ROOT / "deploy" / "rules.example.toml"
DESTINATIONS = json.dumps(
    [
        {"name": "pacs", "host": "pacs.example", "port": 104, "ae_title": "PACS"},
        {"name": "record", "protocol": "mllp", "host": "record.example", "port": 2575},
        {"name": "hand-surgery", "host": "hand.example", "port": 104, "ae_title": "HAND", "kinds": ["sr", "pdf"]},
        {"name": "reading-room", "host": "room.example", "port": 104, "ae_title": "ROOM"},
    ]
)


@pytest.fixture(scope="module")
def calf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("calf")
    written = simulate("calf", folder, n=1, seed=1, transfer_syntax="explicit", number_of_frames=2)
    return next(path for path in written if path.suffix == ".dcm")


def explained(tmp_path: Path, file: Path, *options: str | Path) -> dict[str, Any]:
    done = sonomyo(tmp_path, "explain", file, "--json", *options, destinations=DESTINATIONS)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def chosen(told: dict[str, Any]) -> dict[str, str | None]:
    """Selected destinations and the rule of each."""
    return {one["destination"]: one["rule"] for one in told["destinations"] if one["selected"]}


def test_explain_with_the_example_rules_shows_values_analyses_and_destinations(calf: Path, tmp_path: Path) -> None:
    told = explained(tmp_path, calf, "--rules", EXAMPLE, "--calling-ae", "US1", "--called-ae", "SONOMYO")
    seen = told["looked_at"]
    assert (seen["body_part_examined"], seen["number_of_frames"], seen["region_data_types"]) == ("LEG", 2, [1])
    assert (seen["calling_ae_title"], seen["called_ae_title"]) == ("US1", "SONOMYO")
    assert {one["analysis_name"]: (one["selected"], one["rule"]) for one in told["analyses"]} == {
        "muscle_architecture": (True, "muscles, but not necks and breasts"),
        "wrist_hand": (False, "wrists and hands"),
    }
    assert chosen(told) == {"pacs": None}


@pytest.mark.parametrize(
    ("options", "destinations"),
    [
        (["--status", "final"], {"pacs": None, "record": "only signed reports to the record"}),
        (["--needs-review"], {"pacs": None, "reading-room": "what somebody should look at to the reading room"}),
        (["--calling-ae", "PHANTOM", "--status", "final"], {}),
    ],
)
def test_explain_supposes_the_report_that_it_is_told(
    calf: Path, tmp_path: Path, options: list[str], destinations: dict[str, str | None]
) -> None:
    assert chosen(explained(tmp_path, calf, "--rules", EXAMPLE, *options)) == destinations


def test_explain_without_rules_sends_everything_everywhere_and_makes_no_folder(calf: Path, tmp_path: Path) -> None:
    told = explained(tmp_path, calf)
    assert told["rules"] is None
    assert set(chosen(told)) == {"pacs", "record", "hand-surgery", "reading-room"}
    assert list(tmp_path.iterdir()) == []


def test_explain_of_what_no_analysis_is_for_sends_it_nowhere(calf: Path, tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text('[[rules]]\nanalysis = "wrist_hand"\nbody_parts = ["WRIST"]\n')
    told = explained(tmp_path, calf, "--rules", rules)
    assert chosen(told) == {}
    assert "no analysis is selected" in told["destinations"][0]["why"]


def test_explain_to_people_names_rules_and_reasons(calf: Path, tmp_path: Path) -> None:
    done = sonomyo(tmp_path, "explain", calf, "--rules", EXAMPLE, destinations=DESTINATIONS)
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert "body_part_examined: LEG" in lines
    assert any(line.startswith("muscle_architecture: yes: [muscles, but not necks and breasts]") for line in lines)
    assert any(line.startswith("record: no: [no rule]") and "asks for final" in line for line in lines)


def test_explain_tries_another_file_though_that_of_the_settings_is_wrong(calf: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("[[rules")
    done = sonomyo(tmp_path, "explain", calf, "--rules", EXAMPLE, destinations=DESTINATIONS, routing_file=str(wrong))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[[delivery_rules", "no TOML"),
        ('[[delivery_rules]]\nname = "a"\ndestinations = ["pasc"]\n', "delivery rule 1 (a) names the destination pasc"),
        ('[[delivery_rules]]\nname = "a"\nanalyses = ["knee"]\n', "delivery rule 1 (a) names the analysis knee"),
        ('[[rules]]\nanalysis = "knee"\n', "rule 1 is for the analysis knee"),
        ('[[delivery_rules]]\nname = "a"\nstatus = "final"\n', "delivery rule 1: status"),
        (None, "No such file"),
    ],
)
def test_explain_with_wrong_rules_is_one_line_that_names_file_and_mistake(
    calf: Path, tmp_path: Path, content: str | None, said: str
) -> None:
    rules = tmp_path / "rules.toml"
    if content is not None:
        rules.write_text(content)
    done = sonomyo(tmp_path, "explain", calf, "--rules", rules, destinations=DESTINATIONS)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert str(rules) in done.stderr
    assert said in done.stderr


@pytest.mark.parametrize("command", ["listener", "worker", "api", "up"])
def test_delivery_rule_for_an_unknown_destination_stops_the_start(command: str, tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text('[[delivery_rules]]\nname = "to the ward"\ndestinations = ["ward"]\n')
    done = sonomyo(tmp_path, command, routing_file=str(rules), destinations=DESTINATIONS)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    for word in ("SONOMYO_ROUTING_FILE", str(rules), "to the ward", "destination ward", "pacs"):
        assert word in done.stderr
