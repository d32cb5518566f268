"""Dockerfile and compose file: what they copy and run exists, and containers have no more rights than they need."""

import re
from pathlib import Path

import pytest
import typer
import yaml

from birdnet_nl.cli import app

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "docker"
INSTRUCTIONS = {"FROM", "WORKDIR", "COPY", "RUN", "ARG", "ENV", "USER", "VOLUME", "ENTRYPOINT", "CMD"}
SERVICES = yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))["services"]


def instructions():
    text = re.sub(r"^#.*\n", "", (DOCKER / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = text.replace("\\\n", " ").splitlines()
    return [tuple(line.split(maxsplit=1)) for line in lines if line.strip()]


def test_the_dockerfile_copies_what_the_package_consists_of():
    assert {name for name, _ in instructions()} <= INSTRUCTIONS
    copied = [
        word for name, rest in instructions() if name == "COPY" for word in rest.split()[:-1] if word[0] not in "-/"
    ]
    assert [word for word in copied if not (ROOT / word).exists()] == []
    sent = (DOCKER / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    assert {f"!{word}" for word in copied} == {line for line in sent if line.startswith("!")}
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    packages = set(re.findall(r'^    "(\w+)[\w.]*",$', project, re.MULTILINE))
    assert packages <= {"conf", *copied}


def test_the_image_does_not_run_as_root():
    users = [rest for name, rest in instructions() if name == "USER"]
    assert users == ["birdnet"]


@pytest.mark.parametrize("name", SERVICES)
def test_commands_of_the_services_are_valid(name):
    words = SERVICES[name]["command"]
    command = typer.main.get_command(app).commands[words[0]]
    rest = words[1:]
    if hasattr(command, "commands"):
        command, rest = command.commands[rest[0]], rest[1:]
    with command.make_context(words[0], rest):
        pass


@pytest.mark.parametrize("name", SERVICES)
def test_services_have_no_more_rights_than_they_need(name):
    service = SERVICES[name]
    assert service["read_only"] and service["cap_drop"] == ["ALL"] and "privileged" not in service
    assert service["security_opt"] == ["no-new-privileges:true"] and service["env_file"] == ["secrets.env"]
    writable = [volume for volume in service["volumes"] if not volume.endswith(":ro")]
    assert writable == ["data:/data"]
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    assert service["cpu_shares"] < 1024 and service["restart"] == "unless-stopped"


def test_the_database_folder_is_mounted_and_not_the_file():
    """A file that is replaced would stay the old one in the container."""
    mounts = SERVICES["watch-birdnet-pi"]["volumes"]
    assert any(mount.endswith("/scripts:/station:ro") for mount in mounts)
    assert not any("birds.db" in mount for mount in mounts)


def test_secrets_are_never_committed():
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert "/docker/secrets.env" in ignored and "/docker/models/" in ignored
    text = (DOCKER / "compose.yaml").read_text(encoding="utf-8")
    assert not re.search(r"(PASSWORD|TOKEN)\s*[:=]\s*\S", text)
