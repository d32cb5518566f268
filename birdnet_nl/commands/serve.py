"""Command `birdnet-nl serve`: live page of the detections of a station."""

import os
from pathlib import Path
from typing import Annotated

import typer

from birdnet_nl.util.console import screen
from birdnet_nl.util.errors import SetupError, require_extra


def serve_command(
    host: Annotated[str, typer.Option(help="Address to listen on; others than 127.0.0.1 need a token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8088,
    database: Annotated[
        Path | None,
        typer.Option(envvar="BIRDNET_NL_DATABASE", help="Database of birdnet-nl watch.", show_default=False),
    ] = None,
    clips: Annotated[
        Path | None, typer.Option(help="Folder of the clips, in place of the one that watch uses.", show_default=False)
    ] = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="Accept no corrections.")] = False,
    token_file: Annotated[
        Path | None, typer.Option(help="File with the token; or set BIRDNET_NL_TOKEN.", show_default=False)
    ] = None,
    public_reading: Annotated[
        bool, typer.Option("--public-reading", help="Show the page and play clips without the token.")
    ] = False,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="A further name under which the page is opened.", show_default=False)
    ] = None,
    language: Annotated[str, typer.Option(help="en or nl; by default as the browser asks.")] = "",
    location: Annotated[str, typer.Option(help="Latitude,longitude of the station, for sunrise.")] = "52.16,5.39",
    cache: Annotated[
        Path | None,
        typer.Option(
            envvar="BIRDNET_NL_CACHE",
            help="Folder for spectrograms; by default ~/.cache/birdnet_nl.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Show detections as they arrive, with spectrogram, player and corrections, on http://127.0.0.1:8088."""
    for module in ("fastapi", "uvicorn"):
        require_extra(module, "stations")
    from birdnet_nl.live.settings import LiveSettings, is_loopback
    from birdnet_nl.stations.database import check_local, check_ours, default_path
    from birdnet_nl.stations.secrets import read_secret
    from birdnet_nl.util.files import user_path

    settings = LiveSettings(
        database=user_path(database) if database else default_path(),
        cache=user_path(cache) if cache else default_cache(),
        clips=user_path(clips) if clips else None,
        host=host,
        port=port,
        read_only=read_only,
        token=read_secret("BIRDNET_NL_TOKEN", token_file, "--token-file"),
        public_reading=public_reading,
        allowed_hosts=tuple(allow_host or ()),
        language=language,
        location=_read_location(location),
    )
    check_local(settings.database)
    check_ours(settings.database)
    from birdnet_nl.live.server import LiveServer, listen

    sockets = [listen(settings)]
    os.environ.pop("BIRDNET_NL_TOKEN", None)  # not for programs that this one starts
    name = "127.0.0.1" if is_loopback(host) or host in ("0.0.0.0", "::") else host
    screen.print(
        f"Live page on http://{f'[{name}]' if ':' in name else name}:{sockets[0].getsockname()[1]}/  (Ctrl-C stops it)"
    )
    if not settings.database.exists():
        text = f"{settings.database} does not exist yet; start birdnet-nl watch, and detections appear"
        screen.print(text, markup=False, soft_wrap=True)
    LiveServer(settings).run(sockets)


def default_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "birdnet_nl"


def _read_location(text: str) -> tuple[float, float]:
    latitude, _, longitude = text.partition(",")
    try:
        return float(latitude), float(longitude)
    except ValueError:
        raise SetupError(f"--location {text} is no place; give latitude,longitude such as 52.16,5.39") from None
