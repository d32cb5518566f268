"""`birdnet-nl watch`: a type for every detection of a station, as it arrives."""

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from birdnet_nl.commands.watch_options import CommonOptions, parse_again, parse_window, with_common_options
from birdnet_nl.util.console import screen
from birdnet_nl.util.errors import BirdnetNlError
from birdnet_nl.util.files import user_path
from birdnet_nl.util.signals import exit_code

if TYPE_CHECKING:
    from birdnet_nl.stations.outbox import Channel
    from birdnet_nl.stations.station import Station

STOPPED, SIGTERM_CODE = 0, 143
DELIVERY_S, ONCE_DELIVERY_S = 1.0, 10.0  # for messages that are left at the end
EPILOG = (
    "Every detection ends as done, uncertain, no model, audio gone or failed (with the reason); one whose clip is not "
    "written yet waits, with longer and longer pauses. A species that gets a model is predicted then; results of an "
    "earlier model stay, unless --again asks for others, also while another process watches. Exit codes: 0 ended as "
    "asked (SIGTERM, or --once), 1 unexpected error, 2 not possible as called, 3 another instance runs, 4 the station "
    "could not be read (--once), 5 the database could not be written, 130 Ctrl-C. The health file is replaced at least "
    "once a minute."
)

watch_app = typer.Typer(
    help="Give each detection of a station its type: song, call or alarm. The station is never changed.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@watch_app.command("birdnet-pi", epilog=EPILOG)
@with_common_options
def birdnet_pi(
    db: Annotated[
        Path | None,
        typer.Option("--db", show_default="~/BirdNET-Pi/scripts/birds.db", help="Database of BirdNET-Pi, read only."),
    ] = None,
    clips: Annotated[
        Path | None, typer.Option(show_default="~/BirdSongs/Extracted/By_Date", help="Folder of its clips.")
    ] = None,
    options: CommonOptions = CommonOptions(),  # noqa: B008  replaced by the decorator
) -> None:
    """Watch a BirdNET-Pi on this computer; the 3 seconds in the middle of a clip are predicted."""

    def make_station() -> "Station":
        from birdnet_nl.stations.birdnet_pi import BirdnetPiStation
        from birdnet_nl.stations.birdnet_pi_files import find_files

        return BirdnetPiStation(find_files(db, clips))

    run_watch(make_station, options)


@watch_app.command("birdnet-go", epilog=EPILOG)
@with_common_options
def birdnet_go(
    url: Annotated[str, typer.Option(help="Address of BirdNET-Go.")] = "http://127.0.0.1:8080",
    comment: Annotated[
        bool, typer.Option("--comment", help="Write each type to BirdNET-Go as a comment; needs a login.")
    ] = False,
    go_user: Annotated[str, typer.Option(help="Name for the login.")] = "birdnet-client",
    go_password_file: Annotated[
        Path | None, typer.Option(show_default=False, help="Or set BIRDNET_NL_GO_PASSWORD.")
    ] = None,
    go_token_file: Annotated[Path | None, typer.Option(show_default=False, help="Or set BIRDNET_NL_GO_TOKEN.")] = None,
    go_ca: Annotated[Path | None, typer.Option(show_default=False, help="Certificates of an authority.")] = None,
    pre_capture_s: Annotated[float, typer.Option(help="Seconds of a clip before the detection.")] = 3.0,
    options: CommonOptions = CommonOptions(),  # noqa: B008
) -> None:
    """Watch a BirdNET-Go through its API; the 3 seconds after the pre-capture are predicted."""

    def make_station() -> "Station":
        from birdnet_nl.stations.birdnet_go import BirdnetGo
        from birdnet_nl.stations.birdnet_go_login import PASSWORD_VARIABLE, Login
        from birdnet_nl.stations.secrets import read_secret
        from birdnet_nl.util.errors import SetupError

        password_file, token_file = (file and user_path(file) for file in (go_password_file, go_token_file))
        login = Login(
            go_user,
            read_secret(PASSWORD_VARIABLE, password_file, "--go-password-file"),
            read_secret("BIRDNET_NL_GO_TOKEN", token_file, "--go-token-file"),
        )
        if comment and not login:
            raise SetupError(f"--comment needs a login; set {PASSWORD_VARIABLE} or give --go-password-file")
        ca_file = str(user_path(go_ca)) if go_ca else ""
        return BirdnetGo(url, login=login, comments=comment, pre_capture_s=pre_capture_s, ca_file=ca_file)

    run_watch(make_station, options, comments=comment)


@watch_app.command("folder", epilog=EPILOG)
@with_common_options
def folder_command(
    folder: Annotated[Path, typer.Argument(help="Folder that receives sound files, with all below it.")],
    species: Annotated[str, typer.Option(help="Any name. Default: from the names of folders and files.")] = "",
    options: CommonOptions = CommonOptions(),  # noqa: B008
) -> None:
    """Watch a folder; whole files are predicted, of longer ones 15 seconds around the middle."""

    def make_station() -> "Station":
        from birdnet_nl.species.table import get_species
        from birdnet_nl.stations.folder import FolderStation

        return FolderStation(folder, get_species(species) if species else None)

    run_watch(make_station, options)


def run_watch(make_station: "Callable[[], Station]", options: CommonOptions, comments: bool = False) -> None:
    """Watch a station until a signal comes; raises `typer.Exit` with a code of `ExitCode`."""
    from birdnet_nl.stations.database import check_local, check_ours, default_path
    from birdnet_nl.stations.instance_lock import AnotherInstanceError, InstanceLock
    from birdnet_nl.stations.watch import ExitCode
    from birdnet_nl.stations.watch_log import logging_to_stderr

    try:
        with logging_to_stderr():
            database = user_path(options.database).absolute() if options.database else default_path()
            check_local(database)
            check_ours(database)
            with InstanceLock(database) as lock:
                code = _watch(make_station, options, database, lock, comments)
    except AnotherInstanceError as error:
        code = _again_by_other(make_station, options, database, error)
    except (BirdnetNlError, ValueError) as error:
        code = _refused(error, ExitCode.NOT_POSSIBLE)
    except PermissionError as error:
        code = _refused(f"{error.filename} cannot be written; give another --database", ExitCode.NOT_POSSIBLE)
    except OSError as error:
        text = f"{error.filename or database}: {error.strerror or error}; give another --database if it stays so"
        code = _refused(text, ExitCode.DATABASE_UNAVAILABLE)
    except KeyboardInterrupt:
        code = STOPPED if exit_code() == SIGTERM_CODE else exit_code()
    if code:
        raise typer.Exit(int(code))


def _refused(error: Exception | str, code: int) -> int:
    screen.print(f"[red]{escape(str(error))}[/]", soft_wrap=True)
    return code


def _again_by_other(make_station: "Callable[[], Station]", options: CommonOptions, database: Path, error: Any) -> int:
    """Let the instance that runs, such as a service, predict the detections of `--again`; refuse anything else."""
    from birdnet_nl.inference.model import load_model
    from birdnet_nl.stations.database import open_database
    from birdnet_nl.stations.models_of_station import StationModels
    from birdnet_nl.stations.results import predict_again
    from birdnet_nl.stations.watch import ExitCode

    if not options.again:
        return _refused(error, ExitCode.ANOTHER_INSTANCE)
    try:
        since, models = parse_again(options.again), StationModels(options.model, load_model)
        with closing(make_station()) as station, closing(open_database(database)) as connection:
            count = predict_again(connection, station.name, since, models.fingerprint)
    except (BirdnetNlError, sqlite3.Error) as problem:
        return _refused(problem, ExitCode.NOT_POSSIBLE)
    screen.print(f"{count} detections are predicted again by the process that runs, within minutes", soft_wrap=True)
    return 0


def _watch(
    make_station: "Callable[[], Station]", options: CommonOptions, database: Path, lock: Any, comments: bool
) -> int:
    from birdnet_nl.inference.model import load_model
    from birdnet_nl.stations.classify import Window
    from birdnet_nl.stations.comments import CommentChannel
    from birdnet_nl.stations.models_of_station import StationModels
    from birdnet_nl.stations.outbox import Outbox
    from birdnet_nl.stations.watch import Watch, WatchOptions

    window = Window(parse_window(options.window_s), options.context_s)
    again_since = parse_again(options.again)
    models = StationModels(options.model, load_model)
    station = make_station()
    try:
        channels: list[Channel] = options.channels(station.name)
        channels += [CommentChannel(station)] if comments else []
        settings: Mapping[str, Any] = getattr(station, "settings", {})
        health = user_path(options.health) if options.health else database.with_suffix(".health.json")
        outbox = Outbox(database)
        watch_options = WatchOptions(
            settings, [channel.name for channel in channels], window, again_since, options.once, health
        )
        watch = Watch(station, models, database, watch_options, lock, outbox.notify, outbox.problems)
        try:
            watch.open()
            outbox.start(channels)
            return watch.run()
        finally:
            outbox.close(ONCE_DELIVERY_S if options.once else DELIVERY_S)
    finally:
        station.close()
