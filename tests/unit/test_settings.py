from pathlib import Path

import pytest
from pydantic import ValidationError

from service.errors import InputRejected
from service.settings import read_settings


def test_settings_with_an_unknown_variable_name_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SONOMYO_DESTINATION", "[]")
    with pytest.raises(InputRejected, match="SONOMYO_DESTINATION"):
        read_settings(None)


def test_settings_with_an_unknown_nested_variable_name_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SONOMYO_DICOM__PROT", "104")
    with pytest.raises(ValidationError, match="prot"):
        read_settings(None)


def test_settings_with_an_empty_variable_are_as_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SONOMYO_DICOM__PORT", "")
    assert read_settings(None).dicom.port == 11112


def test_settings_pass_over_what_another_program_keeps_in_the_same_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("COMPOSE_PROJECT_NAME=imaging\nSONOMYO_DICOM__PORT=104\n")
    assert read_settings(None).dicom.port == 104


def test_settings_with_an_unknown_name_in_the_env_file_name_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("SONOMYO_DESTINATION=[]\n")
    with pytest.raises(ValidationError, match="destination"):
        read_settings(None)


def test_settings_with_known_variables_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SONOMYO_DICOM__PORT", "104")
    assert read_settings(None).dicom.port == 104
