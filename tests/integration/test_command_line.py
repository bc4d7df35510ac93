"""The command line as a person types it: what is wrong is one line that names it, and never shows a secret."""

import os
import re
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from service.embedded.triton import EmbeddedTriton
from simulator.write import simulate
from tests.running import ROOT, free_port


def sonomyo(folder: Path, *arguments: str | Path, cwd: Path = ROOT, **settings: str) -> "subprocess.CompletedProcess[str]":
    """Run a command with its data folder in `folder`; `settings` are SONOMYO_* variables without the prefix."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SONOMYO_")}
    given = {f"SONOMYO_{name.upper()}": value for name, value in settings.items()}
    return subprocess.run(
        [sys.executable, "-m", "service", *map(str, arguments)],
        cwd=cwd,
        env={**inherited, "SONOMYO_DATA_DIR": str(folder / "data"), **given},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("name", ["destinations", "dicom__allowed_peers", "api"])
def test_settings_of_malformed_json_are_one_line_without_the_value(name: str, tmp_path: Path) -> None:
    done = sonomyo(tmp_path, "doctor", cwd=ROOT, **{name: "{canary"})
    assert done.returncode == 2
    assert done.stderr == f"sonomyo: setting SONOMYO_{name.upper()}: this is no valid JSON\n"


def test_settings_unknown_are_one_line(tmp_path: Path) -> None:
    done = sonomyo(tmp_path, "doctor", destination="[]")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "SONOMYO_DESTINATION" in done.stderr


@pytest.mark.parametrize("command", ["up", "listener"])
@pytest.mark.parametrize("content", [None, b"canary"], ids=["missing", "no PEM"])
def test_certificate_that_cannot_be_used_stops_the_start_in_one_line(command: str, content: bytes | None, tmp_path: Path) -> None:
    certificate = tmp_path / "server.crt"
    if content is not None:
        certificate.write_bytes(content)
    done = sonomyo(tmp_path, command, dicom__tls_port="2762", dicom__tls_certificate_file=str(certificate))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"SONOMYO_DICOM__TLS_CERTIFICATE_FILE and TLS_KEY_FILE: {certificate} cannot be used" in done.stderr
    assert "canary" not in done.stderr


@pytest.mark.parametrize("command", ["up", "worker"])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"db.example canary", "give PostgreSQL's address"),
        (b"mysql://u:canary@db/sonomyo", "give PostgreSQL's address"),
        (b"\xff\xfe", "this is no text in UTF-8"),
        (None, "it cannot be read"),
    ],
)
def test_database_address_in_a_file_that_holds_none_is_one_line_without_it(
    command: str, content: bytes | None, said: str, tmp_path: Path
) -> None:
    file = tmp_path / "url"
    if content is not None:
        file.write_bytes(content)
    done = sonomyo(tmp_path, command, database__url_file=str(file))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"SONOMYO_DATABASE__URL_FILE, {file}: {said}" in done.stderr
    assert "canary" not in done.stderr


@pytest.mark.parametrize("content", [b"canary = \n", b"[dicom\n", b"\xff\xfe"])
def test_config_file_of_malformed_toml_is_one_line_that_names_it(content: bytes, tmp_path: Path) -> None:
    config = tmp_path / "bad.toml"
    config.write_bytes(content)
    done = sonomyo(tmp_path, "--config", config, "doctor")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert str(config) in done.stderr
    assert "canary" not in done.stderr


@pytest.mark.parametrize("command", ["listener", "worker", "api", "up", "demo", "analyze", "explain"])
def test_routing_rule_for_an_unknown_analysis_stops_the_start(command: str, tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text('[[rules]]\nanalysis = "muscle_architecture"\n[[rules]]\nanalysis = "knee_joint"\n')
    file: list[str | Path] = [rules] if command in ("analyze", "explain") else []
    output: list[str | Path] = ["-o", tmp_path / "out"] if command == "analyze" else []
    done = sonomyo(tmp_path, command, *file, *output, routing_file=str(rules))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    for word in (str(rules), "rule 2", "knee_joint", "muscle_architecture"):
        assert word in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["rules.toml"]


@pytest.mark.parametrize("content", [b"[[rules", b"[[rules]]\nanalysis = 1\n", b"\xff\xfe", None])
def test_routing_file_that_cannot_be_read_stops_the_start(content: bytes | None, tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    if content is not None:
        rules.write_bytes(content)
    done = sonomyo(tmp_path, "worker", routing_file=str(rules))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert str(rules) in done.stderr
    assert "SONOMYO_ROUTING_FILE" in done.stderr


def test_ae_title_for_an_unknown_analysis_is_one_line(tmp_path: Path) -> None:
    done = sonomyo(tmp_path, "worker", dicom__analysis_ae_titles='{"HEART": "cardiac"}')
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "SONOMYO_DICOM__ANALYSIS_AE_TITLES" in done.stderr
    assert "cardiac" in done.stderr


def test_simulate_into_an_impossible_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    done = sonomyo(tmp_path, "simulate", "calf", "-o", tmp_path / "taken" / "x")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert str(tmp_path / "taken") in done.stderr


def test_up_with_a_taken_port_stops_at_once_and_names_the_setting(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = sonomyo(tmp_path, "up", http__port=str(port), dicom__port=str(free_port()))
    assert done.returncode == 1
    assert f"port {port}" in done.stderr
    assert "SONOMYO_HTTP__PORT" in done.stderr
    assert not (tmp_path / "data" / "postgres" / "data").exists()
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) in {0o700, 0o711}


def test_analyze_of_no_dicom_file_starts_nothing(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no DICOM")
    done = sonomyo(tmp_path, "analyze", tmp_path / "notes.txt", "-o", tmp_path / "out")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_analyze_by_an_unknown_analysis_starts_nothing(calf: Path, tmp_path: Path) -> None:
    done = sonomyo(tmp_path, "analyze", calf, "-o", tmp_path / "out", "--analysis", "nonsense")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "muscle_architecture" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.timeout(120)
def test_analyze_from_any_folder_with_a_triton_of_its_own_leaves_only_the_results(calf: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    done = sonomyo(tmp_path, "analyze", calf, "-o", tmp_path / "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert " | " not in done.stdout + done.stderr
    assert list((tmp_path / "data").iterdir()) == []
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "report.json",
        "report.html",
        "report.pdf",
        "sr.dcm",
        "seg.dcm",
        "sc.dcm",
    }


@pytest.mark.parametrize("content", [b"no archive", b"", bytes(10240)])
def test_restore_of_no_archive_makes_no_database(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(content)
    done = sonomyo(tmp_path, "restore", tmp_path / "a.tar")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "no backup" in done.stderr
    assert not (tmp_path / "data").exists()


def test_models_to_a_program_are_written_whole(triton_server: EmbeddedTriton, tmp_path: Path) -> None:
    done = sonomyo(tmp_path, "models", triton__url=triton_server.url)
    assert done.returncode == 0, done.stderr
    assert "muscle_segmentation" in done.stdout
    assert re.search(r"\b[0-9a-f]{64}\b", done.stdout)


@pytest.fixture(scope="module")
def calf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated cine of a few frames."""
    folder = tmp_path_factory.mktemp("calf")
    written = simulate("calf", folder, n=1, seed=1, transfer_syntax="explicit", number_of_frames=2)
    return next(path for path in written if path.suffix == ".dcm")
