"""scripts/web_packages.py with an npm that hands out what the test made: what is not what was pinned is not unpacked."""

import base64
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.running import ROOT

WANTED = {"LICENSE": b"MIT", "package.json": b"{}", "dist/uPlot.esm.js": b"export default 1", "dist/uPlot.min.css": b"a{}"}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A checkout with nothing but the script."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts/web_packages.py", tmp_path / "scripts")
    return tmp_path


def publish(tree: Path, files: dict[str, bytes], integrity: str | None = None) -> None:
    """Pin a package of these files, or another integrity, and let npm hand it out."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    (tree / "published").write_bytes(buffer.getvalue())
    pinned = integrity or "sha512-" + base64.b64encode(hashlib.sha512(buffer.getvalue()).digest()).decode()
    (tree / "constraints-web.txt").write_text(f"# name version integrity\nuplot 1.0.0 {pinned}\n")
    npm = tree / "bin" / "npm"
    npm.parent.mkdir(exist_ok=True)
    npm.write_text(f"#!/bin/sh\nexec cp {tree}/published uplot-1.0.0.tgz\n")
    npm.chmod(0o755)


def install(tree: Path, *names: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PATH": f"{tree}/bin:{os.environ['PATH']}"}
    command = [sys.executable, str(tree / "scripts/web_packages.py"), *names]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def installed(tree: Path) -> dict[str, bytes]:
    folder = tree / "service/web/static/vendor"
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_pinned_package_is_unpacked_once_and_needs_no_npm_after_that(tree: Path) -> None:
    publish(tree, {**WANTED, "README.md": b"-", "../../../outside.js": b"-", "dist/../../outside.css": b"-"})
    first = install(tree, "uplot")
    assert first.returncode == 0, first.stderr
    found = installed(tree)
    assert set(found) == {f"uplot/{name}" for name in ("LICENSE", "package.json", "uPlot.esm.js", "uPlot.min.css", ".installed")}
    assert found["uplot/uPlot.esm.js"] == WANTED["dist/uPlot.esm.js"]
    assert not list(tree.rglob("outside.*"))
    (tree / "published").unlink()
    assert install(tree).returncode == 0


def test_package_that_is_not_the_pinned_one_is_refused_and_the_one_before_stays(tree: Path) -> None:
    publish(tree, WANTED)
    install(tree)
    before = installed(tree)
    publish(tree, {**WANTED, "dist/uPlot.esm.js": b"export default 2"}, integrity="sha512-AAAA")
    refused = install(tree)
    assert refused.returncode == 1
    assert "pins sha512-AAAA; nothing was installed" in refused.stderr
    assert installed(tree) == before


def test_package_that_is_laid_out_anew_is_refused_by_name_of_what_is_missing(tree: Path) -> None:
    publish(tree, {name: content for name, content in WANTED.items() if name != "dist/uPlot.min.css"})
    refused = install(tree)
    assert refused.returncode == 1
    assert "has no dist/uPlot.min.css" in refused.stderr
    assert installed(tree) == {}


def test_name_that_is_not_pinned_is_refused(tree: Path) -> None:
    publish(tree, WANTED)
    refused = install(tree, "left-pad")
    assert refused.returncode == 1
    assert "left-pad is not pinned" in refused.stderr
