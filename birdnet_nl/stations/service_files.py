"""Installing and removing units of systemd, and the file with their secrets; nothing changes where nothing has to."""

import secrets
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from birdnet_nl.stations.service import PAGE_UNIT, SECRETS, UNITS, secrets_template, watch_unit
from birdnet_nl.util.errors import SetupError
from birdnet_nl.util.files import atomic_path, write_text_atomic

SYSTEM = Path("/")
TOKEN = "BIRDNET_NL_TOKEN"
PRIVATE = 0o600


@dataclass
class Installed:
    """Files that were written, changed or removed.

    Attributes:
        changed, unchanged, removed: names of units.
        has_new_secrets: whether the file with secrets was made now.
        has_new_token: whether a token for the page was made now.
    """

    changed: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    has_new_secrets: bool = False
    has_new_token: bool = False


def verify(units: Mapping[str, str]) -> bool:
    """Let systemd check the units, and return whether it could; raises `SetupError` with what it refuses."""
    program = shutil.which("systemd-analyze")
    if program is None:
        return False
    with TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in units]
        for path, content in zip(paths, units.values(), strict=True):
            path.write_text(content, encoding="utf-8")
        command = [program, "verify", "--man=no", *map(str, paths)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    about_ours = [line for line in done.stderr.splitlines() if any(name in line for name in units)]
    if done.returncode and about_ours:  # else it is about other units of this computer
        raise SetupError(f"systemd-analyze verify refuses a unit: {about_ours[0].replace(f'{folder}/', '')}")
    return True


def install(units: Mapping[str, str], root: Path, needs_token: bool) -> Installed:
    """Write the units and the file with secrets below `root`, and start what changed where that is the system.

    Raises:
        SetupError: if another station is installed, since one program watches for one database, or where systemd
            refuses to start a unit.
    """
    for path in sorted((root / UNITS).glob(watch_unit("*"))):
        if path.name not in units:
            station = path.name.removeprefix(watch_unit("").removesuffix(".service")).removesuffix(".service")
            raise SetupError(
                f"{path.name} is installed, and only one station is watched with a database; remove it first: sudo "
                f"birdnet-nl install-service {station} --uninstall"
            )
    installed = Installed()
    _write_secrets(root / SECRETS, needs_token, installed)
    for name, content in units.items():
        path = root / UNITS / name
        if path.is_file() and path.read_text(encoding="utf-8") == content:
            installed.unchanged.append(name)
        else:
            write_text_atomic(path, content)
            path.chmod(0o644)
            installed.changed.append(name)
    if root == SYSTEM:
        if installed.changed:
            _systemctl("daemon-reload")
        _systemctl("enable", *units)
        restarted = [*units] if installed.has_new_token else installed.changed
        if restarted:
            _systemctl("restart", *restarted)
        _systemctl("start", *units)
    return installed


def remove(station: str, root: Path) -> Installed:
    """Stop and remove the units of a station and of the page; results and secrets stay."""
    folder = root / UNITS
    is_installed = (folder / watch_unit(station)).is_file()
    names = [watch_unit(station), PAGE_UNIT] if is_installed else []
    installed = Installed(removed=[name for name in names if (folder / name).is_file()])
    if root == SYSTEM and installed.removed:
        _systemctl("disable", "--now", *installed.removed)
    for name in installed.removed:
        (folder / name).unlink()
    if root == SYSTEM and installed.removed:
        _systemctl("daemon-reload")
    return installed


def _write_secrets(path: Path, needs_token: bool, installed: Installed) -> None:
    """Make the file, or add a token to it; what somebody wrote into it stays."""
    exists = path.is_file()
    text = path.read_text(encoding="utf-8") if exists else secrets_template()
    if needs_token and not _is_set(text):
        text = f"{text.rstrip()}\n{TOKEN}={secrets.token_urlsafe(24)}\n"
        installed.has_new_token = True
    installed.has_new_secrets = not exists
    if not exists or installed.has_new_token:
        with atomic_path(path) as temporary:
            temporary.touch(PRIVATE)
            temporary.write_text(text, encoding="utf-8")
    path.chmod(PRIVATE)


def _is_set(text: str) -> bool:
    return any(line.partition("=")[2].strip() for line in text.splitlines() if line.strip().startswith(f"{TOKEN}="))


def _systemctl(*arguments: str) -> None:
    done = subprocess.run(["systemctl", *arguments], capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[0]
        raise SetupError(f"systemctl {' '.join(arguments)} failed: {reason}")
