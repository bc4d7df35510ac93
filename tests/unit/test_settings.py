import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from service.commands.whole import environment_of
from service.destination_settings import (
    DestinationSettings,
    DicomDestinationSettings,
    MllpDestinationSettings,
    StowDestinationSettings,
    WebhookDestinationSettings,
)
from service.errors import InputRejected
from service.settings import Settings, read_settings


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


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, "-5") for name in (
            "STABLE_AGE_SECONDS", "DICOM__PORT", "DICOM__PROCESSES", "DICOM__MAXIMUM_ASSOCIATIONS",
            "DICOM__MAXIMUM_ASSOCIATIONS_PER_ADDRESS", "DICOM__MAXIMUM_OBJECT_BYTES", "DICOM__MAXIMUM_COMMAND_BYTES",
            "DICOM__PDU_TIMEOUT_SECONDS", "DICOM__NETWORK_TIMEOUT_SECONDS", "DICOM__MINIMUM_BYTES_PER_SECOND", "DICOM__TLS_PORT",
            "HTTP__PORT", "HTTP__MAXIMUM_UPLOAD_BYTES", "DATABASE__POOL_SIZE", "TRITON__DEADLINE_SECONDS",
            "TRITON__BATCHES_IN_FLIGHT", "STORE__RESERVE_BYTES", "WORKER__CONCURRENCY", "WORKER__TASK_TIMEOUT_SECONDS",
            "WORKER__MAXIMUM_ATTEMPTS", "WORKER__DECODER_MEMORY_BYTES", "WORKER__DECODER_TIMEOUT_SECONDS",
            "WORKER__MAXIMUM_QUEUED_JOBS", "RETENTION__MAXIMUM_AGE_DAYS", "RETENTION__MINIMUM_FREE_FRACTION",
            "RETENTION__INTERVAL_SECONDS",
        )),
        ("RETENTION__MINIMUM_FREE_FRACTION", "20"),
        ("STABLE_AGE_SECONDS", "inf"),
        ("WORKER__TASK_TIMEOUT_SECONDS", "nan"),
        ("DICOM__PDU_TIMEOUT_SECONDS", "0"),
        ("DICOM__TLS_PORT", "65536"),
    ],
)  # fmt: skip
def test_settings_with_an_impossible_number_name_it(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"SONOMYO_{name}", value)
    with pytest.raises(ValidationError) as refused:
        read_settings(None)
    (wrong,) = refused.value.errors()
    assert "__".join(map(str, wrong["loc"])).upper() == name


def test_settings_with_a_destination_that_has_no_time_to_answer_name_it(monkeypatch: pytest.MonkeyPatch) -> None:
    given = '[{"name": "pacs", "host": "pacs", "port": 104, "ae_title": "PACS", "timeout_seconds": -1}]'
    monkeypatch.setenv("SONOMYO_DESTINATIONS", given)
    with pytest.raises(ValidationError, match="timeout_seconds"):
        read_settings(None)


def destinations(monkeypatch: pytest.MonkeyPatch, *given: dict[str, Any]) -> tuple[DestinationSettings, ...]:
    monkeypatch.setenv("SONOMYO_DESTINATIONS", json.dumps(given))
    return read_settings(None).destinations


PACS = {"name": "pacs", "host": "pacs", "port": 104, "ae_title": "PACS"}
WEB = {"name": "web", "protocol": "stow", "url": "https://pacs.example/dicom-web/"}
HOOK = {
    "name": "hook",
    "protocol": "webhook",
    "url": "https://hook.example/sonomyo/",
    "secret": f"whsec_{'Canary00' * 4}",
    "allowed_addresses": ["192.0.2.7", "2001:db8::/32"],
}


def test_settings_with_a_destination_that_names_no_protocol_are_of_c_store(monkeypatch: pytest.MonkeyPatch) -> None:
    (pacs,) = destinations(monkeypatch, PACS)
    assert isinstance(pacs, DicomDestinationSettings)
    assert (pacs.kinds, pacs.speaks_tls) == (("sr", "ko"), False)


def test_settings_with_storage_commitment_by_stow_say_what_to_set_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValidationError, match="set confirm_by_search instead of commitment") as refused:
        destinations(monkeypatch, {**WEB, "commitment": {}})
    (wrong,) = refused.value.errors()
    assert wrong["loc"][:2] == ("destinations", 0)
    (web,) = destinations(monkeypatch, {**WEB, "confirm_by_search": {"maximum_requests": 2}})
    assert isinstance(web, StowDestinationSettings)
    assert web.confirm_by_search is not None
    assert (web.confirm_by_search.wait_seconds, web.confirm_by_search.maximum_requests) == (5, 2)


def test_settings_with_destinations_of_both_protocols_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = {"token": "Canary-token"}
    pacs, web = destinations(monkeypatch, {**PACS, "protocol": "dicom", "tls": {"ca_file": "ca.pem"}}, {**WEB, **secret})
    assert isinstance(web, StowDestinationSettings)
    assert (pacs.speaks_tls, web.speaks_tls, web.url) == (True, True, "https://pacs.example/dicom-web")
    assert "Canary" not in f"{web!r}{read_settings(None).model_dump_json()}"


def test_settings_with_a_webhook_keep_its_url_as_it_is_and_its_secret_to_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    (hook,) = destinations(monkeypatch, HOOK)
    assert isinstance(hook, WebhookDestinationSettings)
    assert (hook.kinds, hook.speaks_tls, hook.url) == (("notice",), True, HOOK["url"])
    assert "Canary" not in f"{hook!r}{read_settings(None).model_dump_json()}"


def test_settings_with_a_scheme_in_capitals_are_of_tls_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    (web,) = destinations(monkeypatch, {**WEB, "url": "HTTPS://pacs.example/"})
    assert web.speaks_tls


@pytest.mark.parametrize("given", [{"secret": "Canary"}, {"url": "https://user:Canary@hook/"}])
def test_webhook_settings_read_alone_do_not_repeat_what_they_refuse(given: dict[str, str]) -> None:
    with pytest.raises(ValidationError) as refused:
        WebhookDestinationSettings.model_validate({**HOOK, **given})
    assert "Canary" not in str(refused.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {**PACS, "protocol": "ftp"},
        {**PACS, "url": "https://pacs"},
        {**PACS, "kinds": ["fhir"]},
        {**PACS, "tls": {"key_file": "own.key"}},
        {**PACS, "kinds": ["oru"]},
        {"name": "ris", "protocol": "mllp", "host": "ris", "port": 2575, "kinds": ["sr"]},
        {**WEB, "url": "https://user:Canary@pacs/dicom-web"},
        {**WEB, "url": "https://pacs/dicom-web?key=Canary"},
        {**WEB, "url": "ftp://pacs/dicom-web"},
        {**WEB, "url": "pacs/dicom-web"},
        {**WEB, "url": "http://pacs/dicom-web", "tls": {"ca_file": "ca.pem"}},
        {**WEB, "username": "Canary"},
        {**WEB, "username": "a:b", "password": "Canary"},
        {**WEB, "username": "a", "password": "Canary", "token": "Canary"},
        {**WEB, "token": "Canary\r\nX-Injected: yes"},
        {**WEB, "token": ""},
        {**WEB, "url": "https://pacs/dicom web"},
        {**WEB, "url": "HTTP://pacs/dicom-web", "tls": {"ca_file": "ca.pem"}},
        {**HOOK, "secret": "Canary"},
        {**HOOK, "secret": "whsec_Canary"},
        {**HOOK, "allowed_addresses": []},
        {**HOOK, "allowed_addresses": ["hook.example"]},
        {name: value for name, value in HOOK.items() if name != "allowed_addresses"},
        {**HOOK, "kinds": ["sr"]},
        {**HOOK, "url": "http://192.0.2.999/"},
        {**HOOK, "url": "http:///sonomyo"},
        {**HOOK, "url": "https://user:Canary@hook/"},
        {**HOOK, "url": "https://hook/?key=Canary"},
        {**HOOK, "url": "http://hook/", "tls": {"ca_file": "ca.pem"}},
    ],
)
def test_settings_with_a_destination_that_cannot_be_are_refused_without_its_secrets(
    wrong: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValidationError) as refused:
        destinations(monkeypatch, wrong)
    assert "destinations.0" in str(refused.value)
    assert "Canary" not in str(refused.value)


@pytest.mark.parametrize(
    "tree",
    [
        Settings,
        DicomDestinationSettings,
        StowDestinationSettings,
        MllpDestinationSettings,
        WebhookDestinationSettings,
    ],
)
def test_settings_hold_no_number_without_bounds(tree: type[BaseModel]) -> None:
    assert list(numbers_without_bounds(tree.model_json_schema())) == []


def numbers_without_bounds(schema: Any, name: str = "") -> Iterator[str]:
    """Names in a JSON schema that any number would do for."""
    if isinstance(schema, list):
        for part in schema:
            yield from numbers_without_bounds(part, name)
    if isinstance(schema, dict):
        if schema.get("type") in ("integer", "number") and not {"minimum", "exclusiveMinimum"} & schema.keys():
            yield name
        for key, part in schema.items():
            yield from numbers_without_bounds(part, name if key == "anyOf" else key)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(
            ("HTTP__PUBLIC_URL", wrong)
            for wrong in ("canary", "ftp://canary", "https://canary/path", "http://user:canary@host", "http://canary:0")
        ),
        ("STORE__URL", "s3://bucket/prefix"),
        ("STORE__URL", "file:store"),
        ("STORE__URL", "/var/lib/sonomyo"),
        ("STORE__URL", "file://host/share"),
        ("STORE__URL", "file:/var/../.."),
        ("STORE__URL", "file:/"),
        ("DATABASE__URL", "postgresql//canary:canary@db/sonomyo"),
        ("DATABASE__URL", "mysql://canary:canary@db/sonomyo"),
        ("DATABASE__URL", "postgresql://canary:canary@db:canary/sonomyo"),
        ("DATABASE__URL", "postgresql://canary:canary@db:99999/sonomyo"),
        ("TRITON__URL", "http://canary:8001"),
        ("TRITON__URL", "canary"),
        ("TRITON__URL", "canary:0"),
        ("TRITON__URL", "canary:65536"),
        ("DICOM__AE_TITLE", "SEVENTEEN_LETTERS"),
        ("DICOM__AE_TITLE", "   "),
        ("DICOM__AE_TITLE", "A\\B"),
        ("DICOM__AE_TITLE", "A\tB"),
        ("DICOM__AE_TITLE", "МЫШЦА"),
    ],
)
def test_settings_with_an_impossible_address_or_title_name_it_and_never_show_it(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"SONOMYO_{name}", value)
    with pytest.raises(ValidationError) as refused:
        read_settings(None)
    (wrong,) = refused.value.errors(include_input=False)
    assert "__".join(map(str, wrong["loc"])).upper() == name
    assert "canary" not in wrong["msg"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DICOM__ALLOWED_PEERS", '[{"ae_title": "SEVENTEEN_LETTERS"}]'),
        ("DICOM__ALLOWED_PEERS", '[{"ae_title": " "}]'),
        ("DICOM__ANALYSIS_AE_TITLES", '{"SEVENTEEN_LETTERS": "muscle_architecture"}'),
        ("DESTINATIONS", '[{"name": "pacs", "host": "pacs", "port": 104, "ae_title": "A\\\\B"}]'),
    ],
)
def test_settings_with_an_impossible_title_in_a_list_are_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"SONOMYO_{name}", value)
    with pytest.raises(ValidationError, match="an AE title has 1 to 16 ASCII characters"):
        read_settings(None)


@pytest.mark.parametrize("proxy", ["*", "proxy.example", "10.0.0.5/8"])
def test_settings_that_trust_what_is_no_address_or_network_are_refused(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("SONOMYO_HTTP__TRUSTED_PROXIES", f'["{proxy}"]')
    with pytest.raises(ValidationError, match=r"http\.trusted_proxies\.0"):
        read_settings(None)


@pytest.mark.parametrize("network", ["0.0.0.0/0", "::/0"])
def test_settings_that_trust_every_address_are_refused_and_say_why(monkeypatch: pytest.MonkeyPatch, network: str) -> None:
    monkeypatch.setenv("SONOMYO_HTTP__TRUSTED_PROXIES", f'["10.0.0.5", "{network}"]')
    with pytest.raises(ValidationError, match="would let every client choose its address; name the proxies alone"):
        read_settings(None)


def test_settings_with_possible_addresses_and_titles_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "STORE__URL": "file:///var/lib/sonomyo",
        "DATABASE__URL": "postgresql:///sonomyo?host=/run/postgresql",
        "TRITON__URL": "[::1]:8001",
        "DICOM__AE_TITLE": " Sonomyo 2 ",
    }
    for name, value in given.items():
        monkeypatch.setenv(f"SONOMYO_{name}", value)
    settings = read_settings(None)
    assert (settings.triton.url, settings.dicom.ae_title) == ("[::1]:8001", "Sonomyo 2")
    assert settings.store.url == "file:/var/lib/sonomyo"


def test_settings_with_a_tls_port_and_no_certificate_name_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SONOMYO_DICOM__TLS_PORT", "2762")
    with pytest.raises(ValidationError, match="TLS_PORT needs TLS_CERTIFICATE_FILE"):
        read_settings(None)


def test_settings_handed_to_a_process_are_equal_secrets_of_destinations_included(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("SONOMYO_")]:
        monkeypatch.delenv(name)
    secret = "whsec_" + base64.b64encode(b"a secret of thirty-two bytes, ok").decode()
    hook = {"protocol": "webhook", "name": "hook", "url": "https://a.example/h", "secret": secret}
    given = Settings.model_validate(
        {
            "api": {"key": "a-key"},
            "destinations": [
                {**hook, "allowed_addresses": ["192.0.2.0/24"]},
                {"protocol": "stow", "name": "web", "url": "https://b.example", "username": "u", "password": "p-4711"},
                {"protocol": "fhir", "name": "record", "url": "https://c.example", "token": "t-4711"},
            ],
        }
    )
    for name, value in environment_of(given).items():
        if name.startswith("SONOMYO_"):
            monkeypatch.setenv(name, value)
    assert Settings(_env_file=None) == given
