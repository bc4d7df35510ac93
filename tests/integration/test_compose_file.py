"""docker-compose.yml and Dockerfile, as far as they can be checked without a container engine.

The schema is the Compose Specification's, as the package check-jsonschema ships it; `docker compose config` is asked as well
where it is there.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "docker-compose.yml"
#: Without a default: those that are not set are not there.
PASSED_ON = {
    "SONOMYO_ORGANIZATION",
    "SONOMYO_ROUTING_FILE",
    "SONOMYO_HTTP__PUBLIC_URL",
    "SONOMYO_HTTP__SESSION_IDLE_SECONDS",
    "SONOMYO_HTTP__SESSION_SECONDS",
    "SONOMYO_RETENTION__MAXIMUM_AGE_DAYS",
    "SONOMYO_RETENTION__MINIMUM_FREE_FRACTION",
}
OURS = ("migrate", "listener", "worker", "api")
INSIDE = ("postgres", "triton-gpu", "triton-cpu", "migrate")
_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    return dict(loaded["services"])


def test_compose_file_is_valid_by_the_specification() -> None:
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(COMPOSE)]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_compose_file_is_taken_by_docker_compose() -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("docker compose is not installed; the schema check stands alone")
    for profile in ("gpu", "cpu"):
        config = ["compose", "--env-file", "deploy/compose.env", "--profile", profile, "config", "--quiet"]
        subprocess.run([docker, *config], cwd=ROOT, check=True, capture_output=True)


def test_every_variable_has_a_default_and_stands_in_the_example() -> None:
    used = dict(_VARIABLE.findall(COMPOSE.read_text()))
    example = dict(line.split("=", 1) for line in example_lines())
    assert used == {name: example[name] for name in used}
    assert set(example) == set(used) | PASSED_ON


def example_lines() -> Iterator[str]:
    """Settings of the example, those that are commented out included."""
    for line in (ROOT / "deploy" / "compose.env").read_text().splitlines():
        if re.match(r"#?[A-Z_]+=", line):
            yield line.removeprefix("#")


def test_environment_of_each_role_is_made_of_valid_settings(services: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    for role in OURS:
        for name in [name for name in os.environ if name.startswith("SONOMYO_")]:
            monkeypatch.delenv(name)
        # The time zone is the C library's, not a setting of ours.
        environment = {name: value for name, value in services[role]["environment"].items() if name != "TZ"}
        for name, value in environment.items():
            if value is not None:
                monkeypatch.setenv(name, _VARIABLE.sub(lambda found: found[2], str(value)))
        settings = Settings(_env_file=None)
        assert leaves(environment) <= known_settings(settings), role
        assert settings.triton.url == "triton:8001"
        assert str(settings.database.url_file) == "/run/secrets/database_url"


def leaves(environment: dict[str, Any]) -> set[str]:
    return {name.removeprefix("SONOMYO_").lower().replace("__", ".") for name in environment}


def known_settings(settings: Settings) -> set[str]:
    dumped = settings.model_dump()
    nested = {f"{name}.{leaf}" for name, section in dumped.items() if isinstance(section, dict) for leaf in section}
    return nested | {name for name, section in dumped.items() if not isinstance(section, dict)}


@pytest.mark.parametrize("name", ["postgres", "triton-gpu", "triton-cpu", *OURS])
def test_each_container_is_confined(services: dict[str, Any], name: str) -> None:
    service = services[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert int(service["user"].split(":")[0]) > 0
    assert any(mount.startswith("/tmp:") for mount in service["tmpfs"])  # noqa: S108 - inside a container
    assert {"cpus", "memory", "pids"} <= set(service["deploy"]["resources"]["limits"])
    assert "privileged" not in service
    assert not [value for value in service.get("environment", {}).values() if "password" in str(value).lower().split("/")]


@pytest.mark.parametrize("name", ["postgres", "triton-gpu", "triton-cpu", "listener", "worker", "api"])
def test_each_long_lived_container_has_a_health_check(services: dict[str, Any], name: str) -> None:
    assert services[name]["healthcheck"]["test"][0] == "CMD"


@pytest.mark.parametrize("name", INSIDE)
def test_database_and_inference_are_reached_from_inside_only(services: dict[str, Any], name: str) -> None:
    assert "ports" not in services[name]
    assert list(services[name]["networks"]) == ["internal"]
    assert yaml.safe_load(COMPOSE.read_text())["networks"]["internal"]["internal"] is True


def test_published_ports_are_on_loopback_by_default(services: dict[str, Any]) -> None:
    published = [port for service in services.values() for port in service.get("ports", [])]
    assert len(published) == 2
    assert all(port.startswith("${PUBLISH_ADDRESS:-127.0.0.1}:") for port in published)


@pytest.mark.parametrize("role", ["listener", "worker", "api"])
def test_roles_wait_for_a_healthy_database_and_a_finished_migration(services: dict[str, Any], role: str) -> None:
    wanted = services[role]["depends_on"]
    assert wanted["postgres"]["condition"] == "service_healthy"
    assert wanted["migrate"]["condition"] == "service_completed_successfully"


def test_secrets_are_files_outside_the_repository(services: dict[str, Any]) -> None:
    secrets = yaml.safe_load(COMPOSE.read_text())["secrets"]
    named = {secret for service in services.values() for secret in service.get("secrets", [])}
    assert named == set(secrets)
    assert all(secret["file"].startswith("./deploy/secrets/") for secret in secrets.values())
    assert (ROOT / "deploy" / "secrets" / ".gitignore").read_text().split() == ["*", "!.gitignore"]


def test_triton_takes_every_option_that_it_is_given(services: dict[str, Any]) -> None:
    server = next(ROOT.glob(".triton/lib/python3*/site-packages/pytriton/tritonserver/bin/tritonserver"), None)
    if server is None:
        pytest.skip("the embedded Triton is not set up: run `make setup`")
    libraries = {"LD_LIBRARY_PATH": str(server.parents[3] / "nvidia_pytriton.libs")}
    text = subprocess.run([server, "--help"], env=libraries, capture_output=True, text=True, check=False)
    options = set(re.findall(r"--[a-z-]+", " ".join(services["triton-cpu"]["command"])))
    assert len(options) == 7
    assert options <= set(re.findall(r"--[a-z-]+", text.stdout + text.stderr))


def test_triton_in_a_container_is_new_enough(services: dict[str, Any]) -> None:
    """Below 25.07 it has known vulnerabilities (CVE-2025-23310 and others)."""
    version = _VARIABLE.search(services["triton-gpu"]["image"])
    assert version is not None
    assert tuple(int(part) for part in version[2].split(".")) >= (25, 7)


def test_image_runs_unprivileged_and_is_pinned() -> None:
    text = (ROOT / "Dockerfile").read_text()
    final = text.rpartition("\nFROM ")[2]
    assert re.search(r"^ARG PYTHON=python:\d+\.\d+\.\d+-\w", text, re.MULTILINE)
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", final, re.MULTILINE)
    assert re.search(r"^HEALTHCHECK ", final, re.MULTILINE)
    assert "apt-get" not in final
    command = re.search(r"^CMD (\[.*\])$", final, re.MULTILINE)
    assert command is not None
    assert json.loads(command[1]) == ["api"]


def test_image_is_made_of_what_the_build_context_lets_in() -> None:
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    copied = [
        part.removeprefix("./")
        for line in (ROOT / "Dockerfile").read_text().splitlines()
        if line.startswith("COPY ") and "--from=" not in line
        for part in line.split()[1:-1]
    ]
    assert {f"!{part}" for part in copied} <= set(ignore)
    assert all((ROOT / part).exists() for part in copied)
