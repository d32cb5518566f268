"""`birdnet-nl import`: sort existing recordings by species and vocalization type."""

import csv
from collections import defaultdict
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from birdnet_nl.data.sources import DEFAULT_ROOT
from birdnet_nl.recordings.manifest import TYPE_FOLDERS
from birdnet_nl.util.console import progress_bar, screen
from birdnet_nl.util.errors import DataError, SelectionError

MAX_EXAMPLES = 5


def import_command(
    source: Annotated[Path, typer.Argument(help="A folder (with all folders below it), or a table: .csv or .json.")],
    root: Annotated[
        Path, typer.Option(envvar="BIRDNET_NL_DATA", help="Folder that gets xeno-canto-<species>/<type>/….")
    ] = DEFAULT_ROOT,
    how: Annotated[
        str, typer.Option(help="reference (symbolic link, takes no space), copy, or link (hard link).")
    ] = "reference",
    audio: Annotated[Path | None, typer.Option(help="Folder of the files in a table, if not beside it.")] = None,
    flight_call: Annotated[str, typer.Option(help="Use of flight calls: call or leave_out.")] = "call",
    refused: Annotated[Path | None, typer.Option(help="Write every file that was not placed to this CSV.")] = None,
) -> None:
    """Sort recordings that you already have by species and type, and write their manifests.

    Species and type come from the tag that Xeno-canto writes, else from the name of the file (XC123 - Great Tit.mp3),
    the folders above it (koolmees/zang), or a table: Xeno-canto's JSON, BirdCLEF's train_metadata.csv, or any CSV with
    file, species and type.

    Example: birdnet-nl import ~/vogelgeluiden
    """
    from birdnet_nl.recordings.importing import import_recordings

    try:
        with progress_bar() as bar:
            task = bar.add_task("importing", total=None)
            report = import_recordings(
                source.expanduser(),
                root.expanduser(),
                how=how,
                audio=audio.expanduser() if audio else None,
                flight_call=flight_call,
                on_file=lambda path: bar.advance(task),
            )
    except ValueError as error:
        raise SelectionError(str(error)) from None
    types = ", ".join(f"{name} {report.types[name]}" for name in TYPE_FOLDERS if report.types[name])
    screen.print(
        f"{report.placed} recordings placed, {report.present} were there already: {len(report.species)} species "
        f"({types or 'no types'}) in {escape(str(root))}; {len(report.refused)} files were not placed",
        soft_wrap=True,
    )
    print_refused(report.refused)
    if refused:
        write_refused(refused.expanduser(), report.refused)
    if not report.species:
        raise DataError(
            f"{source} holds nothing that could be placed; give a folder with Xeno-canto's files, or one with "
            "<species>/<type>/*.mp3"
        )


def print_refused(refused: list[tuple[str, str]]) -> None:
    by_reason = defaultdict(list)
    for path, reason in refused:
        by_reason[reason].append(path)
    for reason, paths in sorted(by_reason.items(), key=lambda item: -len(item[1])):
        screen.print(f"[yellow]{len(paths)} × {escape(reason)}[/]", soft_wrap=True)
        for path in paths[:MAX_EXAMPLES]:
            screen.print(f"    {escape(path)}", soft_wrap=True)
        if len(paths) > MAX_EXAMPLES:
            screen.print(f"    and {len(paths) - MAX_EXAMPLES} more; --refused FILE writes them all")


def write_refused(path: Path, refused: list[tuple[str, str]]) -> None:
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("file", "reason"), *refused])
    except OSError as error:
        raise DataError(f"{path} cannot be written ({error.strerror}); give another file with --refused") from None
