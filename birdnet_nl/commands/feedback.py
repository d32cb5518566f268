"""`birdnet-nl feedback`: which detections to correct, and corrections as recordings to train on."""

import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from datetime import date
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from birdnet_nl.util.console import display_path, output_console
from birdnet_nl.util.errors import DataError
from birdnet_nl.util.files import user_path
from birdnet_nl.util.words import counted

if TYPE_CHECKING:
    from rich.console import Console

    from birdnet_nl.stations.feedback_export import ExportReport

MAX_LISTED = 10
feedback_app = typer.Typer(no_args_is_help=True, help="Corrections of detections: which to make, and how to use them.")
DatabaseOption = Annotated[
    Path | None,
    typer.Option(envvar="BIRDNET_NL_DATABASE", help="Database of birdnet-nl watch.", show_default=False),
]


@feedback_app.command("export")
def export_command(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the recordings; it is brought up to date.")],
    database: DatabaseOption = None,
    clips: Annotated[
        Path | None, typer.Option(help="Folder of the clips, in place of the one that watch uses.", show_default=False)
    ] = None,
    since: Annotated[str, typer.Option(metavar="DAY", help="Add detections from this day on: 2026-11-01.")] = "",
    until: Annotated[str, typer.Option(metavar="DAY", help="Add detections up to this day.")] = "",
    context_s: Annotated[float, typer.Option(min=0.0, help="Seconds to keep before and after the detection.")] = 1.5,
) -> None:
    """Copy the clips of corrected detections into xeno-canto-<species>/<type>/, with a recordings.csv.

    A second export adds only new ones, and moves those whose correction changed. Train with
    data.extra_roots=[corrected].
    """
    from birdnet_nl.stations.clip_access import open_clips, station_with_folder
    from birdnet_nl.stations.corrected import read_corrected
    from birdnet_nl.stations.feedback_export import export_corrections

    since, until = checked_day("--since", since), checked_day("--until", until)
    out, clips = user_path(out), user_path(clips) if clips else None
    if clips is not None and not clips.is_dir():
        raise DataError(f"--clips {clips} is no folder; give the folder with the clips of the station")
    if not_folder := next((path for path in (out, *out.parents) if path.exists() and not path.is_dir()), None):
        raise DataError(f"-o {out} cannot be a folder, because {not_folder} is a file; give another folder")
    with closing(open_feedback(database)) as connection:
        if station := station_with_folder(connection, out):
            raise DataError(f"-o {out} is in the clip folder of {station}, which is only read; give another folder")
        station_of = lru_cache(partial(open_clips, connection, clips=clips))
        report = export_corrections(read_corrected(connection), out, station_of, since, until, context_s)
    console = output_console()
    print_export(console, report, out)
    if report.not_now:
        raise typer.Exit(1)


@feedback_app.command("least-certain")
def least_certain_command(
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="Number of detections.")] = 30,
    database: DatabaseOption = None,
    species: Annotated[str, typer.Option(help="Only this species, by any name.")] = "",
    since: Annotated[str, typer.Option(metavar="DAY", help="Only detections from this day on.")] = "",
    url: Annotated[str, typer.Option(help="Address of the live page.")] = "http://127.0.0.1:8088",
) -> None:
    """List the least certain detections without a correction; the live page shows the same on /check."""
    from birdnet_nl.species.table import find_species, get_species
    from birdnet_nl.stations.corrections import least_certain

    slug = get_species(species).slug if species else ""
    with closing(open_feedback(database)) as connection:
        detections = least_certain(connection, count, slug, checked_day("--since", since))
    console = output_console()
    if not detections:
        console.print("every prediction is corrected, or there is none yet")
        return
    page, table = f"{url.rstrip('/')}/check", Table()
    for heading in ("recorded", "species", "type", "probability", "model", "page"):
        table.add_column(heading, justify="right" if heading == "probability" else "left", overflow="fold")
    for detection in detections:
        known = find_species(detection.species) if detection.species else None
        table.add_row(
            f"{detection.recorded_at:%Y-%m-%d %H:%M:%S}",
            escape(known.english if known else detection.common_name or detection.scientific_name),
            escape(detection.type),
            f"{detection.probability:.2f}",
            escape(detection.model),
            escape(f"{page}#d{detection.id}"),
        )
    console.print(table)
    console.print(f"correct them on {page}", markup=False, soft_wrap=True)


@feedback_app.command("status")
def status_command(database: DatabaseOption = None) -> None:
    """Count the corrections by type and by how often the prediction was right."""
    from birdnet_nl.stations.corrected import read_corrected
    from birdnet_nl.stations.corrections import WITHDRAWN, WRONG

    with closing(open_feedback(database)) as connection:
        corrected = read_corrected(connection)
        (predicted,) = connection.execute("SELECT count(*) FROM detections WHERE result IS NOT NULL").fetchone()
    standing = [detection for detection in corrected if detection.type != WITHDRAWN]
    console = output_console()
    types = Counter(detection.type for detection in standing)
    shown = ", ".join(f"{count} {'not this species' if name == WRONG else name}" for name, count in types.most_common())
    console.print(
        f"{counted(len(standing), 'correction')} of {counted(predicted, 'predicted detection')}: {shown or '-'}"
    )
    if len(corrected) > len(standing):
        console.print(f"{len(corrected) - len(standing)} withdrawn")
    if not standing:
        return
    table = Table(title="by model; corrected detections are no random sample, so this is not its accuracy")
    for heading in ("model", "corrected", "type was right", "other type", "not this species"):
        table.add_column(heading, justify="left" if heading == "model" else "right")
    for model in sorted({detection.model for detection in standing}):
        own = [detection for detection in standing if detection.model == model]
        right = sum(detection.type == detection.predicted for detection in own)
        wrong = sum(detection.type == WRONG for detection in own)
        other = sum(detection.type not in (detection.predicted, WRONG) for detection in own if detection.predicted)
        table.add_row(escape(model or "no prediction"), *map(str, (len(own), right, other, wrong)))
    console.print(table)
    people = Counter(detection.person for detection in standing)
    console.print(", ".join(f"{escape(person)} {count}" for person, count in people.most_common()), soft_wrap=True)


def open_feedback(database: Path | None) -> sqlite3.Connection:
    """Open the database of `watch` to read."""
    from birdnet_nl.stations.database import default_path, open_read_only

    return open_read_only(user_path(database) if database else default_path())


def checked_day(option: str, text: str) -> str:
    """Return a day as `2026-11-01`, or an empty text; raises `DataError` for another text."""
    try:
        return date.fromisoformat(text).isoformat() if text else ""
    except ValueError:
        raise DataError(f"{option} {text} is no day; write it as 2026-11-01") from None


def print_export(console: "Console", report: "ExportReport", out: Path) -> None:
    """Print what an export did, and everything that it left out."""
    from birdnet_nl.recordings.type_set import type_order

    changes = {
        "added": report.added, "moved": report.moved, "unchanged": report.unchanged, "set aside": report.set_aside,
    }  # fmt: skip
    done = ", ".join(f"{count} {name}" for name, count in changes.items() if count) or "no corrections yet"
    console.print(f"[bold]{escape(display_path(out))}[/]: {done}", soft_wrap=True)
    if report.counts:
        types = sorted({name for counts in report.counts.values() for name in counts}, key=type_order)
        table = Table()
        for heading in ("species", *types):
            table.add_column(heading, justify="left" if heading == "species" else "right")
        for slug, counts in sorted(report.counts.items()):
            table.add_row(escape(slug), *(str(counts[name] or "") for name in types))
        console.print(table)
    if wrong := report.wrong.total():
        names = ", ".join(f"{escape(slug or '?')} {count}" for slug, count in report.wrong.most_common())
        console.print(f"{wrong} left out, not this species: {names}", soft_wrap=True)
    if report.withdrawn:
        console.print(f"{counted(report.withdrawn, 'withdrawn correction')} left out", soft_wrap=True)
    if report.others:
        console.print(f"{counted(report.others, 'recording')} of another database or collection kept", soft_wrap=True)
    _print_list(console, "without a clip", report.gone)
    _print_list(console, "not usable", report.unusable)
    _print_list(console, "not now, export again", report.not_now)


def _print_list(console: "Console", title: str, items: Sequence[tuple[str, str]]) -> None:
    if not items:
        return
    console.print(f"[yellow]{len(items)} {title}:[/]")
    for clip, reason in items[:MAX_LISTED]:
        console.print(f"  {escape(clip or '(no name)')}: {escape(reason)}", soft_wrap=True)
    if len(items) > MAX_LISTED:
        console.print(f"  and {len(items) - MAX_LISTED} more")
