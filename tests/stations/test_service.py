"""Units of systemd for a station: accepted by systemd, hardened, quoted, and written once."""

import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from birdnet_nl.stations import service_files
from birdnet_nl.stations.service import PAGE_UNIT, SECRETS, UNITS, ServiceSettings, argument, quoted
from birdnet_nl.stations.service_files import install, remove, verify
from birdnet_nl.util.errors import SetupError

WATCH_UNIT = "birdnet-nl-watch-birdnet-pi.service"
needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")


def settings(**changes):
    values = {
        "station": "birdnet-pi", "user": "pi", "group": "pi", "home": Path("/home/pi"), "program": ("/bin/true",),
        "watch": ("--db", "/home/pi/BirdNET-Pi/scripts/birds.db"), "page": ("--host", "127.0.0.1"),
        "folders": (Path("/home/pi/BirdNET-Pi/scripts"), Path("/home/pi/Bird Songs")),
    }  # fmt: skip
    return ServiceSettings(**values | changes)


def values_of(unit: str) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    for line in unit.splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            values.setdefault(name, []).append(value)
    return values


@needs_systemd
def test_systemd_accepts_the_units():
    assert verify(settings(user="root2").units())


@needs_systemd
def test_a_unit_that_systemd_refuses_is_not_installed():
    with pytest.raises(SetupError, match=f"refuses a unit: {WATCH_UNIT}"):
        verify({WATCH_UNIT: settings().units()[WATCH_UNIT].replace("/bin/true", "bin/true")})


@needs_systemd
def test_systemd_calls_the_exposure_low(tmp_path):
    for name, content in settings().units().items():
        (tmp_path / name).write_text(content)
        command = ["systemd-analyze", "security", "--offline=true", "--threshold=25", str(tmp_path / name)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if "unrecognized option" in done.stderr or "Unknown" in done.stderr:
            pytest.skip("this systemd-analyze cannot look at a file")
        assert done.returncode == 0, done.stdout[-400:]


def test_the_station_comes_first_and_its_files_stay_read_only():
    unit = values_of(settings().units()[WATCH_UNIT])
    assert unit["User"] == ["pi"] and unit["Restart"] == ["on-failure"] and unit["NoNewPrivileges"] == ["yes"]
    assert unit["IOSchedulingClass"] == ["idle"] and int(unit["Nice"][0]) > 0 and int(unit["CPUWeight"][0]) < 100
    assert unit["ProtectSystem"] == ["strict"] and unit["ProtectHome"] == ["read-only"]
    assert unit["ReadOnlyPaths"] == ["-/home/pi/BirdNET-Pi/scripts", '-"/home/pi/Bird Songs"']
    assert unit["StateDirectory"] == ["birdnet_nl"] and unit["MemoryMax"] == ["512M"]
    assert unit["EnvironmentFile"] == [f"-/{SECRETS}"]
    assert "WatchdogSec" not in unit  # watch does not notify systemd
    assert unit["ExecStart"] == ["/bin/true watch birdnet-pi --db /home/pi/BirdNET-Pi/scripts/birds.db"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/plain/path-1.db", "/plain/path-1.db"),
        ("with blank", '"with blank"'),
        ("100% $HOME", '"100%% $$HOME"'),
        ('quote" and \\', '"quote\\" and \\\\"'),
        ("50%", '"50%%"'),
        ("a'b;c", '"a\'b;c"'),
        ("Vögel", "Vögel"),
        ("", '""'),
    ],
)
def test_arguments_reach_the_program_as_they_are(text, expected):
    assert argument(text) == expected


def test_a_line_break_cannot_add_a_setting():
    with pytest.raises(SetupError, match="holds characters"):
        quoted("/clips\nExecStartPre=/bin/evil")
    for name in ("pi\nUser=root", "", "a b", "root"):
        with pytest.raises(SetupError):
            settings(user=name)


def test_installing_again_changes_nothing(tmp_path):
    first = install(settings().units(), tmp_path, needs_token=False)
    assert first.changed == [WATCH_UNIT, PAGE_UNIT] and first.has_new_secrets and not first.has_new_token
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    second = install(settings().units(), tmp_path, needs_token=False)
    assert second.unchanged == [WATCH_UNIT, PAGE_UNIT] and not second.changed and not second.has_new_secrets
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == before
    third = install(settings(memory_mb=300).units(), tmp_path, needs_token=False)
    assert third.changed == [WATCH_UNIT, PAGE_UNIT]
    assert "MemoryMax=300M" in (tmp_path / UNITS / PAGE_UNIT).read_text()


def test_secrets_are_private_and_what_somebody_wrote_stays(tmp_path):
    install(settings().units(), tmp_path, needs_token=False)
    path = tmp_path / SECRETS
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert all(line.startswith("#") for line in path.read_text().splitlines())
    path.write_text(path.read_text() + "BIRDNET_NL_MQTT_PASSWORD=geheim\n")
    path.chmod(0o644)
    assert install(settings().units(), tmp_path, needs_token=True).has_new_token
    text = path.read_text()
    token = text.split("\nBIRDNET_NL_TOKEN=")[1].strip()
    assert "BIRDNET_NL_MQTT_PASSWORD=geheim" in text and len(token) >= 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not install(settings().units(), tmp_path, needs_token=True).has_new_token
    assert path.read_text() == text
    assert all(token not in unit.read_text() for unit in (tmp_path / UNITS).iterdir())


def test_removing_keeps_secrets(tmp_path):
    install(settings().units(), tmp_path, needs_token=False)
    assert remove("birdnet-go", tmp_path).removed == []
    assert remove("birdnet-pi", tmp_path).removed == [WATCH_UNIT, PAGE_UNIT]
    assert remove("birdnet-pi", tmp_path).removed == []
    assert list((tmp_path / UNITS).iterdir()) == [] and (tmp_path / SECRETS).is_file()


def test_a_second_station_is_refused(tmp_path):
    install(settings().units(), tmp_path, needs_token=False)
    with pytest.raises(SetupError, match="remove it first: sudo birdnet-nl install-service birdnet-pi --uninstall"):
        install(settings(station="birdnet-go").units(), tmp_path, needs_token=False)
    assert sorted(path.name for path in (tmp_path / UNITS).iterdir()) == [PAGE_UNIT, WATCH_UNIT]


def test_systemctl_is_called_only_for_what_changed(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(service_files, "_systemctl", lambda *arguments: calls.append(arguments))
    monkeypatch.setattr(service_files, "SYSTEM", tmp_path)
    install(settings().units(), tmp_path, needs_token=False)
    units = (WATCH_UNIT, PAGE_UNIT)
    assert calls == [("daemon-reload",), ("enable", *units), ("restart", *units), ("start", *units)]
    calls.clear()
    install(settings().units(), tmp_path, needs_token=False)
    assert calls == [("enable", *units), ("start", *units)]
    calls.clear()
    remove("birdnet-pi", tmp_path)
    assert calls == [("disable", "--now", *units), ("daemon-reload",)]
