"""The command line as a person types it: what is wrong is one line that names it, and never shows a secret."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.running import ROOT


def sonomyo(folder: Path, *arguments: str | Path, **settings: str) -> "subprocess.CompletedProcess[str]":
    """Run a command with its data folder in `folder`; `settings` are SONOMYO_* variables without the prefix."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SONOMYO_")}
    given = {f"SONOMYO_{name.upper()}": value for name, value in settings.items()}
    return subprocess.run(
        [sys.executable, "-m", "service", *map(str, arguments)],
        cwd=ROOT,
        env={**inherited, "SONOMYO_DATA_DIR": str(folder / "data"), **given},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("name", ["destinations", "dicom__allowed_peers", "api"])
def test_settings_of_malformed_json_are_one_line_without_the_value(name: str, tmp_path: Path) -> None:
    done = sonomyo(tmp_path, "doctor", **{name: "{canary"})
    assert done.returncode == 2
    assert done.stderr == f"sonomyo: setting SONOMYO_{name.upper()}: this is no valid JSON\n"


def test_settings_unknown_are_one_line(tmp_path: Path) -> None:
    done = sonomyo(tmp_path, "doctor", destination="[]")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "SONOMYO_DESTINATION" in done.stderr


@pytest.mark.parametrize("content", [b"canary = \n", b"[dicom\n", b"\xff\xfe"])
def test_config_file_of_malformed_toml_is_one_line_that_names_it(content: bytes, tmp_path: Path) -> None:
    config = tmp_path / "bad.toml"
    config.write_bytes(content)
    done = sonomyo(tmp_path, "--config", config, "doctor")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert str(config) in done.stderr
    assert "canary" not in done.stderr


def test_simulate_into_an_impossible_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    done = sonomyo(tmp_path, "simulate", "calf", "-o", tmp_path / "taken" / "x")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert str(tmp_path / "taken") in done.stderr
