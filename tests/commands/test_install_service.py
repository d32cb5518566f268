"""`birdnet-nl install-service`: finds the station, its owner and the models, and refuses what cannot run."""

import os
import pwd
import shlex

import pytest
from typer.testing import CliRunner

from birdnet_nl.cli import app
from birdnet_nl.commands import install_service

ME = pwd.getpwuid(os.getuid()).pw_name
OTHER = next(entry.pw_name for entry in pwd.getpwall() if entry.pw_name in ("nobody", "daemon"))


def run(*arguments, code=0):
    done = CliRunner().invoke(app, ["install-service", *map(str, arguments)])
    assert done.exit_code == code, done.output
    return " ".join(done.output.split())


@pytest.fixture
def station(tmp_path, monkeypatch):
    """A BirdNET-Pi in the home folder, and models."""
    home, models = tmp_path / "home", tmp_path / "models"
    (home / "BirdNET-Pi" / "scripts").mkdir(parents=True)
    (home / "BirdNET-Pi" / "scripts" / "birds.db").write_bytes(b"")
    (home / "BirdSongs" / "Extracted" / "By_Date").mkdir(parents=True)
    models.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr("birdnet_nl.stations.service_files.shutil.which", lambda name: None)
    monkeypatch.setattr(install_service, "find_program", lambda: ("/opt/birdnet-nl/bin/birdnet-nl",))
    monkeypatch.delenv("BIRDNET_NL_MODEL", raising=False)
    monkeypatch.chdir(tmp_path)
    return home


def exec_start(root, name="birdnet-nl-watch-birdnet-pi"):
    lines = (root / "etc/systemd/system" / f"{name}.service").read_text().splitlines()
    return shlex.split(next(line.partition("=")[2] for line in lines if line.startswith("ExecStart=")))


def test_the_station_is_found_and_paths_become_absolute(station, tmp_path):
    root = tmp_path / "root"
    run("birdnet-pi", "--user", OTHER, "--model", "models", "--mqtt-host", "broker", "--root", root)
    assert exec_start(root) == [
        "/opt/birdnet-nl/bin/birdnet-nl", "watch", "birdnet-pi", "--model", str(tmp_path / "models"),
        "--mqtt-host", "broker", "--db", str(station / "BirdNET-Pi/scripts/birds.db"),
        "--clips", str(station / "BirdSongs/Extracted/By_Date"),
    ]  # fmt: skip
    assert exec_start(root, "birdnet-nl-serve")[1:] == ["serve", "--host", "127.0.0.1", "--port", "8088"]
    assert "unchanged" in run(
        "birdnet-pi", "--user", OTHER, "--model", "models", "--mqtt-host", "broker", "--root", root
    )
    assert "removed: birdnet-nl-watch-birdnet-pi.service" in run("birdnet-pi", "--uninstall", "--root", root)
    assert "no service of birdnet-pi is installed" in run("birdnet-pi", "--uninstall", "--root", root)


def test_other_stations_and_options_with_an_equals_sign(station, tmp_path, monkeypatch):
    root, other = tmp_path / "root", tmp_path / "other"
    (tmp_path / "my clips").mkdir()
    run("folder", "my clips", "--model=models", "--species", "Merel", "--user", OTHER, "--no-page", "--root", root)
    assert exec_start(root, "birdnet-nl-watch-folder")[1:] == [
        "watch", "folder", str(tmp_path / "my clips"), f"--model={tmp_path / 'models'}", "--species", "Merel",
    ]  # fmt: skip
    assert not (root / "etc/systemd/system/birdnet-nl-serve.service").exists()
    monkeypatch.setenv("BIRDNET_NL_MODEL", "models")
    run("birdnet-go", "--url", "http://127.0.0.1:8080", "--comment", "--user", OTHER, "--root", other)
    words = exec_start(other, "birdnet-nl-watch-birdnet-go")[3:]
    assert words == ["--url", "http://127.0.0.1:8080", "--comment", "--model", str(tmp_path / "models")]


def test_a_page_for_the_network_gets_a_token(station, tmp_path):
    root = tmp_path / "root"
    text = run("birdnet-pi", "--user", OTHER, "--model", "models", "--host", "0.0.0.0", "--root", root)
    assert "a new token of the page: sudo grep TOKEN /etc/birdnet_nl/secrets.env" in text
    assert "BIRDNET_NL_TOKEN=" in (root / "etc/birdnet_nl/secrets.env").read_text().replace("#BIRDNET_NL_TOKEN=", "")


def test_print_writes_nothing(station, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    text = run("birdnet-pi", "--user", OTHER, "--model", "models", "--print")
    assert "# birdnet-nl-serve.service" in text and f"User={OTHER}" in text and sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["chickens", "--print"], "there is no station chickens; choose one of birdnet-pi, birdnet-go, folder"),
        (["birdnet-pi", "--user", OTHER, "--print"], "no model: give one with --model"),
        (["birdnet-pi", "--user", "nobody_here", "--model", "models", "--print"], "there is no account nobody_here"),
        (["birdnet-pi", "--user", "root", "--model", "models", "--print"], "needs no rights of root"),
        (["birdnet-pi", "--once", "--model", "models", "--print"], "--once is not for a service"),
        (["birdnet-pi", "--window-s", "4,1", "--model", "models", "--print"], "4,1 is no part of a clip"),
        (["birdnet-pi", "--context-s", "-1", "--model", "models", "--print"], "--context-s -1 must be 0 or more"),
        (["birdnet-pi", "--db", "none.db", "--model", "models", "--print"], "there is no database"),
        (["birdnet-pi", "--user", OTHER, "--model", "models", "--memory-mb", "5", "--print"], "give at least 128"),
    ],
)
def test_what_cannot_run_is_refused_in_a_sentence(station, arguments, message):
    assert message in run(*arguments, code=1)


def test_an_option_that_watch_does_not_have_is_refused(station):
    assert "No such option: --mqtt-hots" in run(
        "birdnet-pi", "--mqtt-hots", "x", "--model", "models", "--print", code=2
    )


def test_without_root_or_systemd_nothing_is_written(station, monkeypatch, tmp_path):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(install_service, "RUNNING_SYSTEMD", tmp_path)
    assert "run it with sudo, or look at the units: --print" in run("birdnet-pi", "--model", "models", code=1)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(install_service, "RUNNING_SYSTEMD", tmp_path / "none")
    for extra in ([], ["--uninstall"]):
        assert "does not run systemd" in run("birdnet-pi", "--model", "models", *extra, code=1)
