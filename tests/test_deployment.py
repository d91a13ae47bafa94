"""The files that an installation starts from are sound to others' tools, and agree with the code and each other."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from compose_spec import PyOptions

from controller.settings import HttpTable

ROOT = Path(__file__).parent.parent
COMPOSE = ROOT / "docker-compose.yml"
DOCKERFILE = ROOT / "Dockerfile"
HADOLINT = Path(sys.executable).with_name("hadolint")


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def composed(text: str) -> dict[str, Any]:
    """The services as the specification reads them, with the defaults of their variables. Raises ValueError."""
    plain = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)
    compose = PyOptions(apply_merge=True).from_yaml(plain)
    compose.validate()
    found: dict[str, Any] = compose.to_dict()
    return found


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = composed(read(COMPOSE))["services"]
    return found


def test_the_compose_file_is_sound(services: dict[str, Any]) -> None:
    assert services.keys() == {"broker", "service", "bench", "prometheus"}
    assert {name: each.get("profiles") for name, each in services.items()} == {
        "broker": None, "service": ["device"], "bench": ["bench"], "prometheus": ["prometheus"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("found", "put"),
    [
        ("read_only: true", "read_onyl: true"),
        ("cap_drop: [ALL]", "cap_drop: yes"),
        ("    profiles: [bench]", "    profile: [bench]"),
        ("- data:/var/lib", "- date:/var/lib"),
        ('["8883:8883"]', '["8883:x"]'),
        ("stop_grace_period: 20s", "stop_grace_period: soon"),
        ("restart: unless-stopped", "restart: perhaps"),
    ],
)
def test_a_planted_fault_of_the_compose_file_is_seen(found: str, put: str) -> None:
    text = read(COMPOSE)
    assert found in text
    with pytest.raises(ValueError, match=r"\w"):
        composed(text.replace(found, put))


def test_every_container_is_hardened(services: dict[str, Any]) -> None:
    for name, each in services.items():
        assert (each["read_only"], each["cap_drop"]) == (True, ["ALL"]), name
        assert each["security_opt"] == ["no-new-privileges:true"], name


def test_every_file_that_a_container_mounts_is_there_or_made_by_the_command(services: dict[str, Any]) -> None:
    mounts = [mount.partition(":")[0] for each in services.values() for mount in each["volumes"]]
    ours = {mount for mount in mounts if mount.startswith("./")}
    assert {mount for mount in ours if not (ROOT / mount).exists()} == {"./deploy/site", "./deploy/site/mqtt/broker"}


def linted(text: str) -> list[str]:
    """What the linter finds wrong with a Dockerfile: its rules' names."""
    found = subprocess.run([HADOLINT, "--format", "gnu", "-"], input=text, capture_output=True, text=True, check=False)
    assert found.returncode in {0, 1}, found.stderr
    return re.findall(r"\b(?:DL|SC)\d{4}\b", found.stdout)


def test_the_dockerfile_is_sound() -> None:
    assert linted(read(DOCKERFILE)) == []


@pytest.mark.parametrize(
    ("found", "put", "rule"),
    [
        ("USER 10001:10001", "USER root", "DL3002"),
        ("FROM python:3.12-slim-bookworm\n", "FROM python\n", "DL3006"),
        ("WORKDIR /src", "WORKDIR src", "DL3000"),
        ('ENTRYPOINT ["stimwarden"]', "ENTRYPOINT stimwarden", "DL3025"),
    ],
)
def test_a_planted_fault_of_the_dockerfile_is_seen(found: str, put: str, rule: str) -> None:
    text = read(DOCKERFILE)
    assert found in text
    assert rule in linted(text.replace(found, put))


def test_the_image_asks_its_health_where_the_service_answers_and_copies_all_that_is_shipped() -> None:
    text = read(DOCKERFILE)
    assert f"http://127.0.0.1:{HttpTable().port}/healthz" in text
    assert re.findall(r"(?m)^USER (.*)$", text) == ["10001:10001"]
    packages = tomllib.loads(read(ROOT / "pyproject.toml"))["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert [line for package in packages if (line := f"COPY {package} {package}") not in text] == []


def test_prometheus_asks_where_the_service_answers(services: dict[str, Any]) -> None:
    targets = re.findall(r'"(\w+):(\d+)"', read(ROOT / "deploy" / "prometheus.yml"))
    assert targets == [("service", str(HttpTable().port)), ("bench", str(HttpTable().port))]
    assert {name for name, _ in targets} < services.keys()
    for name, port in targets:
        assert services[name]["expose"] == [int(port)]
        assert services[name]["environment"] == {"STIMWARDEN_HTTP__HOST": "0.0.0.0"}  # noqa: S104 - in its own network
