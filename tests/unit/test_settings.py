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


def test_settings_with_known_variables_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SONOMYO_DICOM__PORT", "104")
    assert read_settings(None).dicom.port == 104
