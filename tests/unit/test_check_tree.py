"""The tree check finds what must not be committed, and the committed tree holds none of it."""

import subprocess
from pathlib import Path

import pytest

from scripts import check_tree

#: Written in pieces, for this file is looked at, too.
HOST = "files.python" + "hosted.org"
#: As a regular expression writes a dot.
PATTERN_DOT = chr(92) + "."
MACHINE_PATH = "/wo" + "rk/main/x"
NOTE = "TO" + "DO"
KEY = "-----BEGIN " + "PRIVATE KEY-----"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(check_tree, "ROOT", tmp_path)
    return tmp_path


def write(root: Path, name: str, content: bytes) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "text",
    [f"from https://{HOST}/x", f'compile(r"{HOST.replace(".", PATTERN_DOT)}")', f"see {MACHINE_PATH}", f"# {NOTE}: later", KEY],
)
def test_violations_of_a_forbidden_text_name_file_and_line(root: Path, text: str) -> None:
    path = write(root, "service/part.py", f"first = 1\n{text}\n".encode())

    found = list(check_tree.violations(path))

    assert len(found) == 1
    assert found[0].startswith("service/part.py:2: ")


@pytest.mark.parametrize("host", check_tree.REGISTRY_HOSTS)
def test_violations_of_each_registry_host_are_found(root: Path, host: str) -> None:
    assert len(list(check_tree.violations(write(root, "a.md", f"see https://{host}/x".encode())))) == 1


def test_violations_of_the_check_itself_are_none() -> None:
    assert list(check_tree.violations(Path(check_tree.__file__))) == []


@pytest.mark.parametrize("text", ["data/work/x", "a/work/b", "https://example.org/root/x", "TODOS", "$root/home/x"])
def test_violations_of_a_text_that_only_looks_like_one_are_none(root: Path, text: str) -> None:
    assert list(check_tree.violations(write(root, "a.md", text.encode()))) == []


def test_violations_of_a_binary_file_are_none(root: Path) -> None:
    assert list(check_tree.violations(write(root, "model.onnx", b"\0" + NOTE.encode()))) == []


def test_violations_of_a_file_larger_than_weights_may_be_name_its_size(root: Path) -> None:
    path = write(root, "model.onnx", b"\0" * (21 << 20))
    assert list(check_tree.violations(path)) == ["model.onnx: 21 MiB, at most 20 belong here"]


def test_violations_of_init_files_ask_for_emptiness_and_for_none_in_alembic(root: Path) -> None:
    assert list(check_tree.violations(write(root, "service/__init__.py", b""))) == []
    assert len(list(check_tree.violations(write(root, "service/core/__init__.py", b"x = 1\n")))) == 1
    assert len(list(check_tree.violations(write(root, "alembic/__init__.py", b"")))) == 1


def test_long_files_lists_python_of_more_than_300_lines_only(root: Path) -> None:
    short, long = write(root, "short.py", b"x\n" * 300), write(root, "long.py", b"x\n" * 301)
    prose = write(root, "long.md", b"x\n" * 301)

    assert list(check_tree.long_files([short, long, prose])) == [(301, long)]


def test_main_fails_on_a_tracked_file_and_passes_without_it(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE"):  # set when a hook of git runs the tests
        monkeypatch.delenv(name, raising=False)
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    write(root, "good.py", b"x = 1\n")
    bad = write(root, "bad.py", f"# {NOTE}\n".encode())
    subprocess.run(["git", "add", "."], cwd=root, check=True)

    with pytest.raises(SystemExit) as failed:
        check_tree.main()
    assert failed.value.code == 1
    assert "bad.py:1" in capsys.readouterr().err

    bad.unlink()
    with pytest.raises(SystemExit) as passed:
        check_tree.main()
    assert passed.value.code == 0
