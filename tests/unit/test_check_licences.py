"""The licence check reads what packages state, follows what they need, and refuses what contradicts Apache-2.0."""

import importlib.metadata
from collections.abc import Iterable
from pathlib import Path

import pytest

from scripts import check_licences
from scripts.check_licences import Environment, closure, ffmpeg_troubles, is_allowed, licence_of, troubles_of


def install(site: Path, name: str, *lines: str, files: Iterable[str] = ()) -> importlib.metadata.Distribution:
    folder = site / f"{name}-1.0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text("\n".join(["Metadata-Version: 2.1", f"Name: {name}", "Version: 1.0", *lines, ""]))
    (folder / "RECORD").write_text("".join(f"{file},,\n" for file in files))
    return importlib.metadata.PathDistribution(folder)


@pytest.mark.parametrize(
    ("lines", "licence"),
    [
        (["License-Expression: MIT OR Apache-2.0"], "MIT OR Apache-2.0"),
        (["Classifier: License :: OSI Approved :: MIT License", "License: whatever"], "MIT"),
        (["License: BSD"], "BSD-3-Clause"),
        (["Classifier: License :: OSI Approved"], "not stated"),
        ([], "not stated"),
    ],
)
def test_licence_of_a_package_is_its_expression_then_classifier_then_words(
    tmp_path: Path, lines: list[str], licence: str
) -> None:
    assert licence_of(install(tmp_path, "part", *lines)) == licence


@pytest.mark.parametrize("expression", ["MIT", "GPL-3.0-only OR MIT", "MIT AND (BSD-3-Clause OR GPL-2.0-only)"])
def test_is_allowed_of_a_permissive_choice_is_true(expression: str) -> None:
    assert is_allowed(expression)


@pytest.mark.parametrize("expression", ["GPL-3.0-only", "AGPL-3.0-only", "MIT AND GPL-2.0-only", "not stated", "", "Proprietary"])
def test_is_allowed_of_anything_else_is_false(expression: str) -> None:
    assert not is_allowed(expression)


def test_troubles_of_gpl_package_names_it(tmp_path: Path) -> None:
    package = install(tmp_path, "codec", "Classifier: License :: OSI Approved :: GNU General Public License v3 (GPLv3)")

    assert [trouble.partition(":")[0] for trouble in troubles_of(package)] == ["codec"]


def test_troubles_of_permissive_package_with_gpl_library_names_the_library(tmp_path: Path) -> None:
    package = install(tmp_path, "video", "License-Expression: MIT", files=["video.libs/libx264-1.so", "video.libs/libz-1.so"])

    (trouble,) = troubles_of(package)

    assert "libx264-1.so" in trouble


def test_troubles_of_an_exception_are_none_until_its_licence_changes(tmp_path: Path) -> None:
    name, (licence, reason) = next(iter(check_licences.EXCEPTIONS.items()))
    assert reason

    assert list(troubles_of(install(tmp_path / "a", name, f"License-Expression: {licence}"))) == []
    assert len(list(troubles_of(install(tmp_path / "b", name, "License-Expression: MIT")))) == 1


def test_closure_follows_requirements_and_extras_and_leaves_out_what_is_not_wanted(tmp_path: Path) -> None:
    install(tmp_path, "top", "Requires-Dist: middle[fast]", "Requires-Dist: absent ; extra == 'test'")
    install(tmp_path, "middle", "Requires-Dist: quick ; extra == 'fast'", "Requires-Dist: old ; python_version < '3'")
    install(tmp_path, "quick", "Requires-Dist: top")
    install(tmp_path, "stranger")

    found = closure(Environment("test", tmp_path, ("top",)))

    assert [package.metadata["Name"] for package in found] == ["middle", "quick", "top"]


def test_closure_of_an_absent_package_stops_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="absent is not installed"):
        closure(Environment("test", tmp_path, ("absent",)))


def test_ffmpeg_troubles_follow_the_licence_that_the_library_states(tmp_path: Path) -> None:
    library = tmp_path / "libavcodec.so"

    library.write_bytes(b"\0libavcodec license: LGPL version 2.1 or later\0")
    assert list(ffmpeg_troubles("video", library)) == []
    library.write_bytes(b"\0libavcodec license: GPL version 2 or later\0")
    assert len(list(ffmpeg_troubles("video", library))) == 1
    library.write_bytes(b"\0")
    assert len(list(ffmpeg_troubles("video", library))) == 1


def test_exceptions_are_all_still_needed() -> None:
    service = next(check_licences.environments())

    assert {package.metadata["Name"].lower() for package in closure(service)} >= check_licences.EXCEPTIONS.keys()
