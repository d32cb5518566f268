"""`birdnet-nl install-service`: run `watch` and `serve` with the computer, as units of systemd."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from birdnet_nl.util.console import output_console
from birdnet_nl.util.errors import SetupError
from birdnet_nl.util.files import user_path

if TYPE_CHECKING:
    from pwd import struct_passwd

    from birdnet_nl.stations.service import ServiceSettings
    from birdnet_nl.stations.service_files import Installed

CONTEXT_SETTINGS = {"ignore_unknown_options": True}
RUNNING_SYSTEMD = Path("/run/systemd/system")
SYSTEM = Path("/")
LOOPBACK = ("127.0.0.1", "::1", "localhost")
OF_THE_SERVICE = ("--once", "--again", "--database")  # options of watch that a service cannot have


def install_service_command(
    station: Annotated[str, typer.Argument(help="birdnet-pi, birdnet-go or folder.")],
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[OPTIONS OF WATCH]...", help="Passed to birdnet-nl watch.")
    ] = None,
    user: Annotated[str, typer.Option(help="Account of the services; default the owner of the station.")] = "",
    host: Annotated[str, typer.Option(help="Address of the live page; 0.0.0.0 opens it to the network.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1024, max=65535, help="Port of the live page.")] = 8088,
    no_page: Annotated[bool, typer.Option("--no-page", help="Without the live page.")] = False,
    memory_mb: Annotated[int, typer.Option(help="Limit of the memory of each service.")] = 512,
    print_: Annotated[bool, typer.Option("--print", help="Print the units, and write nothing.")] = False,
    uninstall: Annotated[bool, typer.Option("--uninstall", help="Stop and remove; results stay.")] = False,
    root: Annotated[Path, typer.Option(hidden=True, help="Write below this folder, and start nothing.")] = SYSTEM,
) -> None:
    """Run watch and serve from the start of the computer on, hardened and after the station itself.

    Example: sudo birdnet-nl install-service birdnet-pi --model /opt/models --host 0.0.0.0
    """
    from birdnet_nl.stations.service_files import install, remove, verify

    command = station_command(station)
    if not print_:
        check_can_install(root)
    if uninstall:
        print_removed(remove(station, root), station)
        return
    values = checked_values(command, arguments or [])
    words = absolute_arguments(command, values, arguments or [])
    page = None if no_page else ("--host", host, "--port", str(port))
    settings = make_settings(station, words, values, user, memory_mb, page)
    units = settings.units()
    verify(units)
    if print_:
        for name, content in units.items():
            typer.echo(f"# {name}\n{content}")
        return
    print_installed(install(units, root, needs_token=not no_page and host not in LOOPBACK), settings, host, port)


def station_command(station: str) -> Any:
    """Return the command `watch <station>`; raises `SetupError` for another station."""
    from birdnet_nl.commands.watch import watch_app

    commands = typer.main.get_command(watch_app).commands
    if station not in commands:
        raise SetupError(f"there is no station {station}; choose one of {', '.join(commands)}")
    return commands[station]


def check_can_install(root: Path) -> None:
    """Raise `SetupError` without the rights, or the systemd, that installing needs."""
    if root != SYSTEM:
        return
    if not RUNNING_SYSTEMD.is_dir():
        raise SetupError(
            "this computer does not run systemd; start birdnet-nl watch in another way: with cron and --once, or in a "
            "container (docs/field.md)"
        )
    if os.geteuid() != 0:
        raise SetupError(
            "install-service writes to /etc/systemd/system; run it with sudo, or look at the units: --print"
        )


def absolute_arguments(command: Any, values: Mapping[str, Any], words: Sequence[str]) -> list[str]:
    """Return the words with relative paths made absolute, because a service starts in another folder.

    Args:
        values: of the parameters of the command, as it reads them.
    """
    is_path = {
        option: parameter.name == "model" or isinstance(values.get(parameter.name), Path)
        for parameter in command.params
        for option in parameter.opts
    }
    takes_value = {
        option: parameter.param_type_name == "option" and not getattr(parameter, "is_flag", False)
        for parameter in command.params
        for option in parameter.opts
    }
    has_folder = any(parameter.param_type_name == "argument" for parameter in command.params)
    result, option = [], ""
    for word in words:
        name, equals, value = word.partition("=")
        if option:
            result.append(str(user_path(word).absolute()) if is_path[option] else word)
            option = ""
        elif word.startswith("-"):
            result.append(f"{name}={user_path(value).absolute()}" if equals and is_path.get(name) else word)
            option = word if takes_value.get(word) else ""
        else:
            result.append(str(user_path(word).absolute()) if has_folder else word)
    return result


def checked_values(command: Any, words: Sequence[str]) -> dict[str, Any]:
    """Return the values of the options of watch; raises where watch would refuse them."""
    from birdnet_nl.commands.watch_options import parse_window
    from birdnet_nl.stations.classify import Window

    for word in words:
        if word.partition("=")[0] in OF_THE_SERVICE:
            raise SetupError(f"{word} is not for a service; run it by hand: birdnet-nl watch {command.name} {word} …")
    with command.make_context(f"birdnet-nl watch {command.name}", list(words)) as context:
        values = dict(context.params)
    Window(parse_window(values["window_s"]), values["context_s"])
    return values


def make_settings(
    station: str,
    words: Sequence[str],
    values: Mapping[str, Any],
    user: str,
    memory_mb: int,
    page: tuple[str, ...] | None,
) -> "ServiceSettings":
    """Find the station's files, the models and the account, and return the settings of the services."""
    import grp  # only where systemd may run

    from birdnet_nl.stations.service import ServiceSettings

    words, folders = [*words], []
    if station == "birdnet-pi":
        from birdnet_nl.stations.birdnet_pi_files import find_files

        files = find_files(values.get("db"), values.get("clips"))
        folders = [files.database.parent, files.clips]
        words += [] if values.get("db") else ["--db", str(files.database)]
        words += [] if values.get("clips") else ["--clips", str(files.clips)]
    elif station == "folder":
        folders = [user_path(values["folder"]).absolute()]
    if not any(word.partition("=")[0] in ("--model", "-m") for word in words):
        words += ["--model", str(find_models(values.get("model")))]
    account = find_account(user, folders)
    program = find_program()
    if program[0].startswith("/root/"):
        raise SetupError(
            f"{program[0]} is in the home folder of root, which {account.pw_name} may not read; install birdnet-nl in "
            "/opt (docs/field.md)"
        )
    try:
        group = grp.getgrgid(account.pw_gid).gr_name
    except KeyError:
        raise SetupError(f"the account {account.pw_name} has no group; give another --user") from None
    home = Path(account.pw_dir)
    return ServiceSettings(
        station, account.pw_name, group, home, program, tuple(words), page, tuple(folders), memory_mb
    )


def find_models(model: str | None) -> Path:
    """Return the absolute path of the models: those of BIRDNET_NL_MODEL, else `models` in this folder."""
    if model:
        return user_path(model).absolute()
    models = Path("models").absolute()
    if not (models / "active").exists():
        raise SetupError("no model: give one with --model (a version, a pack or a .onnx file), see docs/field.md")
    return models


def find_account(name: str, folders: Sequence[Path]) -> "struct_passwd":
    """Return the named account, else the owner of the station's files, else the one that called sudo."""
    import pwd

    try:
        if name:
            return pwd.getpwnam(name)
        if folders and (owner := pwd.getpwuid(folders[0].stat().st_uid)).pw_uid:
            return owner
        return pwd.getpwnam(os.environ.get("SUDO_USER") or pwd.getpwuid(os.getuid()).pw_name)
    except KeyError:
        raise SetupError(f"there is no account {name or 'of the owner'}; give one with --user") from None
    except OSError as error:
        raise SetupError(f"{folders[0]} cannot be read ({error.strerror}); give the account with --user") from None


def find_program() -> tuple[str, ...]:
    """Return the command of this installation: `birdnet-nl` beside its Python, else Python with the module."""
    beside = Path(sys.executable).with_name("birdnet-nl")
    return (str(beside),) if beside.is_file() else (sys.executable, "-m", "birdnet_nl.cli")


def print_installed(installed: "Installed", settings: "ServiceSettings", host: str, port: int) -> None:
    from birdnet_nl.stations.database import SERVICE_PATH
    from birdnet_nl.stations.service import SECRETS

    out = output_console()
    for name in installed.changed:
        out.print(f"[bold]{name}[/] installed, as {settings.user}", soft_wrap=True)
    for name in installed.unchanged:
        out.print(f"[bold]{name}[/] unchanged", soft_wrap=True)
    if installed.has_new_secrets:
        out.print(f"/{SECRETS} holds passwords and the token (sudo nano /{SECRETS})", soft_wrap=True)
    if installed.has_new_token:
        out.print(f"a new token of the page: sudo grep TOKEN /{SECRETS}", soft_wrap=True)
    out.print(f"detections: {SERVICE_PATH}", soft_wrap=True)
    if settings.page is not None:
        out.print(
            f"live page: http://{host if host not in ('0.0.0.0', '::') else '<this computer>'}:{port}", markup=False
        )
    out.print(f"log: journalctl -f -u {settings.watch_unit}", soft_wrap=True)


def print_removed(installed: "Installed", station: str) -> None:
    from birdnet_nl.stations.database import SERVICE_PATH
    from birdnet_nl.stations.service import SECRETS

    out = output_console()
    if not installed.removed:
        out.print(f"no service of {escape(station)} is installed")
        return
    out.print(f"removed: {', '.join(installed.removed)}", soft_wrap=True)
    out.print(f"kept: {SERVICE_PATH} with all results and corrections, /{SECRETS}", soft_wrap=True)
