"""`birdnet-nl download` and `birdnet-nl import`: recordings from Xeno-canto, or from files that you already have."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from birdnet_nl.data.sources import DEFAULT_ROOT
from birdnet_nl.recordings.download_filters import Filters
from birdnet_nl.recordings.manifest import TYPE_FOLDERS
from birdnet_nl.recordings.rate_limit import DELAY_S, HOURLY_BUDGET
from birdnet_nl.recordings.recording import QUALITIES
from birdnet_nl.species.table import match_species
from birdnet_nl.util.console import output_console, progress_bar, screen
from birdnet_nl.util.errors import DataError, SelectionError
from birdnet_nl.util.files import user_path
from birdnet_nl.util.words import counted

if TYPE_CHECKING:
    from birdnet_nl.commands.download_until import SpeciesNeed
    from birdnet_nl.recordings.download_plan import Plan, SpeciesPlan

DEFAULTS = Filters()
MAX_LINES = 20  # failed downloads


def download_command(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[SPECIES]...", help="Dutch, English or Latin names, or slugs.")
    ] = None,
    species: Annotated[
        list[str] | None,
        typer.Option(help="As above, or: all, priority1, priority2, priority3, or a pattern such as 'zwarte_*'."),
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", "--dry-run", help="Only show number, size and duration.")] = False,
    until: Annotated[
        str | None,
        typer.Option(help="usable: what each species needs by its learning curve or counts, rarest types first."),
    ] = None,
    logs: Annotated[Path, typer.Option(help="Folder with learning curves, for --until.")] = Path("logs"),
    root: Annotated[
        Path,
        typer.Option(envvar="BIRDNET_NL_DATA", help="Folder that gets xeno-canto-<species>/<type>/XC<number>.mp3."),
    ] = DEFAULT_ROOT,
    type_: Annotated[
        list[str] | None,
        typer.Option("--type", help=f"{', '.join(TYPE_FOLDERS)}; repeatable. Default: {', '.join(DEFAULTS.types)}."),
    ] = None,
    per_type: Annotated[
        int | None,
        typer.Option(
            help="Maximum number of recordings per type, including those on disk.",
            show_default=f"{DEFAULTS.per_type}; with --until no maximum",
        ),
    ] = None,
    min_quality: Annotated[str, typer.Option(help=f"{QUALITIES[0]} (best) to {QUALITIES[-1]}.")] = DEFAULTS.min_quality,
    min_s: Annotated[float, typer.Option(help="Shortest recording in seconds.")] = DEFAULTS.min_s,
    max_s: Annotated[float, typer.Option(help="Longest recording in seconds.")] = DEFAULTS.max_s,
    country: Annotated[list[str] | None, typer.Option(help="English name, e.g. Netherlands; repeatable.")] = None,
    licence: Annotated[list[str] | None, typer.Option(help="E.g. by-nc-sa; repeatable. Default: all.")] = None,
    flight_call: Annotated[str, typer.Option(help="Use of flight calls: call or leave_out.")] = DEFAULTS.flight_call,
    delay_s: Annotated[float, typer.Option(min=0, help="Seconds between requests; please keep it.")] = DELAY_S,
    hourly_budget: Annotated[int, typer.Option(min=1, help="Maximum number of requests in an hour.")] = HOURLY_BUDGET,
    url: Annotated[str | None, typer.Option(envvar="XENO_CANTO_URL", hidden=True)] = None,
) -> None:
    """Download recordings from Xeno-canto: the best ones, spread over recordists, only those not on disk yet.

    The environment variable XENO_CANTO_API_KEY holds the key; each member of xeno-canto.org finds one on their account
    page there. After Ctrl-C the same command continues where it stopped.

    Example: birdnet-nl download koolmees "Turdus merula" --plan
    """
    from birdnet_nl.commands.download_until import CHOICES, find_needs, print_needs
    from birdnet_nl.recordings.download import download
    from birdnet_nl.recordings.download_plan import plan_downloads
    from birdnet_nl.recordings.xeno_canto import BASE_URL, KEY_VARIABLE, XenoCanto

    all_names = [*(names or []), *(species or [])]
    if not all_names:
        raise SelectionError("no species named; try birdnet-nl download koolmees, or --species priority1")
    chosen = list(dict.fromkeys(match for name in all_names for match in match_species(name)))
    try:
        filters = Filters(
            types=tuple(dict.fromkeys(type_ or DEFAULTS.types)),
            per_type=DEFAULTS.per_type if per_type is None else per_type,
            min_quality=min_quality.upper(),
            min_s=min_s,
            max_s=max_s,
            countries=tuple(country or ()),
            licences=tuple(code.lower().removeprefix("cc-") for code in licence or ()),
            flight_call=flight_call,
        )
    except ValueError as error:
        raise SelectionError(str(error)) from None
    if until is not None:
        check_choice("--until", until, CHOICES)
    root = user_path(root)
    needs = find_needs(chosen, root, user_path(logs), filters, per_type) if until else None
    key = os.environ.get(KEY_VARIABLE, "")
    with XenoCanto(key, base_url=url or BASE_URL, delay_s=delay_s, hourly_budget=hourly_budget) as client:
        with progress_bar() as bar:
            task = bar.add_task("querying Xeno-canto", total=len(chosen))
            wanted = {slug: item.need.fetch for slug, item in needs.items()} if needs else None
            found = plan_downloads(chosen, client, root, filters, lambda part: bar.advance(task), wanted)
        print_plan(found, filters, needs or {})
        if needs:
            print_needs(output_console(), found, needs)
        if plan:
            raise typer.Exit(1 if any(part.error for part in found.parts) else 0)
        with progress_bar() as bar:
            task = bar.add_task("downloading", total=found.files)
            report = download(found, client, root, lambda candidate: bar.advance(task))
    screen.print(
        f"{counted(report.fetched, 'recording')} fetched ({report.bytes / 1e6:.0f} MB), {len(report.failed)} failed"
        + (f", {report.adopted} existing ones were added to the manifest" if report.adopted else "")
        + f"; they are in {escape(str(root))}",
        soft_wrap=True,
    )
    for slug, number, reason in report.failed[:MAX_LINES]:
        screen.print(f"[red]{slug} XC{number}: {escape(reason)}[/]", soft_wrap=True)
    if report.stopped:
        screen.print(f"[red]{escape(report.stopped)}[/]", soft_wrap=True)
    if report.stopped or report.failed or any(part.error for part in found.parts):
        raise typer.Exit(1)


def print_plan(plan: "Plan", filters: Filters, needs: Mapping[str, "SpeciesNeed"]) -> None:
    out = output_console()  # standard output: with --plan this is the result
    table = Table("species", title="Recordings: to fetch (+ on disk already)", title_justify="left")
    for name in ("on Xeno-canto", *filters.types, "MB", "protected"):
        table.add_column(name, justify="right")
    for part in plan.parts:
        item = needs.get(part.species.slug)
        on_disk = item.on_disk if item else part.on_disk
        counts = [f"{part.count(name)} (+{on_disk[name]})" for name in filters.types]
        megabytes = f"{part.expected_bytes / 1e6:.0f}"
        table.add_row(part.species.slug, str(part.found), *counts, megabytes, str(part.protected or ""))
    out.print(table)
    minutes = plan.expected_s / 60
    duration = f"{minutes / 60:.1f} hours" if minutes >= 90 else counted(max(1, round(minutes)), "minute")
    out.print(f"{counted(plan.files, 'file')}, about {plan.expected_bytes / 1e6:.0f} MB and {duration}", soft_wrap=True)
    queried = [part for part in plan.parts if part.species.slug not in needs or needs[part.species.slug].need.fetch]
    for line in (line for part in queried for line in _plan_notes(part)):
        out.print(escape(line), soft_wrap=True)


def _plan_notes(part: "SpeciesPlan") -> list[str]:
    """Return remarks about the plan for a species, one line each."""
    slug = part.species.slug
    notes = [f"{slug}: {part.error}"] if part.error else []
    if part.error and not part.found:
        return notes
    if not part.found:
        return [f"{slug}: Xeno-canto has no recordings of these types under the name {part.species.scientific}"]
    if part.left_out:
        counts = ", ".join(f"{reason} {count}" for reason, count in part.left_out.most_common())
        notes.append(f"{slug}: left out: {counts}")
    if part.unknown_types:
        texts = ", ".join(repr(text) for text, _ in part.unknown_types.most_common(5))
        notes.append(f"{slug}: type texts without a clear type, such as {texts}")
    return notes


def import_command(
    source: Annotated[
        Path | None, typer.Argument(help="A folder (with all folders below it), or a table: .csv or .json.")
    ] = None,
    root: Annotated[
        Path, typer.Option(envvar="BIRDNET_NL_DATA", help="Folder that gets xeno-canto-<species>/<type>/….")
    ] = DEFAULT_ROOT,
    how: Annotated[
        str, typer.Option(help="reference (symbolic link, takes no space), copy, or link (hard link).")
    ] = "reference",
    audio: Annotated[Path | None, typer.Option(help="Folder of the files in a table, if not beside it.")] = None,
    flight_call: Annotated[str, typer.Option(help="Use of flight calls: call or leave_out.")] = "call",
    refused: Annotated[Path | None, typer.Option(help="Write every file that was not placed to this CSV.")] = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="Label file or folder: Raven, Audacity, BirdNET-Analyzer, NIPS4Bplus, Xeno-canto's sets."),
    ] = None,
    export_xeno_canto: Annotated[
        Path | None, typer.Option(help="Write all labels of recordings of Xeno-canto as an annotation set (JSON).")
    ] = None,
) -> None:
    """Sort recordings that you already have by species and type, and write their manifests; or their labels in time.

    Species and type come from the tag that Xeno-canto writes, else from the name of the file (XC123 - Great Tit.mp3),
    the folders above it (koolmees/zang), or a table: Xeno-canto's JSON, BirdCLEF's train_metadata.csv, or any CSV with
    file, species and type.

    Labels are matched with imported recordings by file name or number, and stored in annotations.csv of the species.

    Examples: birdnet-nl import ~/vogelgeluiden; birdnet-nl import --labels ~/raven-tables
    """
    if source is None and labels is None and export_xeno_canto is None:
        raise SelectionError("give a folder or a table of recordings, or --labels FILE_OR_FOLDER")
    if source is not None:
        _import_recordings(source, root, how, audio, flight_call, refused if labels is None else None)
    if labels is not None or export_xeno_canto is not None:
        from birdnet_nl.commands.import_labels import import_labels_command

        import_labels_command(labels, root, export_xeno_canto, refused)


def _import_recordings(
    source: Path, root: Path, how: str, audio: Path | None, flight_call: str, refused: Path | None
) -> None:
    from birdnet_nl.commands.import_labels import print_refused, write_refused
    from birdnet_nl.recordings.importing import METHODS, import_recordings
    from birdnet_nl.recordings.type_set import FLIGHT_CALL_CHOICES

    check_choice("--how", how, METHODS)
    check_choice("--flight-call", flight_call, FLIGHT_CALL_CHOICES)
    try:
        with progress_bar() as bar:
            task = bar.add_task("importing", total=None)
            report = import_recordings(
                user_path(source),
                user_path(root),
                how=how,
                audio=user_path(audio) if audio else None,
                flight_call=flight_call,
                on_file=lambda path: bar.advance(task),
            )
    except ValueError as error:
        raise SelectionError(str(error)) from None
    types = ", ".join(f"{name} {report.types[name]}" for name in TYPE_FOLDERS if report.types[name])
    screen.print(
        f"{counted(report.placed, 'recording')} placed, {counted(report.present, 'was', 'were')} there already: "
        f"{len(report.species)} species ({types or 'no types'}) in {escape(str(root))}; "
        f"{counted(len(report.refused), 'file was', 'files were')} not placed",
        soft_wrap=True,
    )
    screen.print(escape(report.files.line()), soft_wrap=True)
    print_refused(report.refused)
    for path, warning in report.warnings[:MAX_LINES]:
        screen.print(f"[yellow]{escape(path)}: {escape(warning)}[/]", soft_wrap=True)
    if refused:
        write_refused(refused, report.refused)
    if not report.species:
        raise DataError(
            f"{source} holds nothing that could be placed; give a folder with Xeno-canto's files, or one with "
            "<species>/<type>/*.mp3"
        )


def check_choice(option: str, value: str, choices: Sequence[str]) -> None:
    """Raise `SelectionError` where the value of an option is not one of `choices`."""
    if value not in choices:
        raise SelectionError(f"{option} {value} is not possible; choose one of {', '.join(choices)}")
