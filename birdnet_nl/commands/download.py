"""`birdnet-nl download`: download recordings from Xeno-canto."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from birdnet_nl.data.sources import DEFAULT_ROOT
from birdnet_nl.recordings.download_filters import Filters
from birdnet_nl.recordings.manifest import TYPE_FOLDERS
from birdnet_nl.recordings.rate_limit import DELAY_S, HOURLY_BUDGET
from birdnet_nl.recordings.recording import QUALITIES
from birdnet_nl.species.table import Species, match_species
from birdnet_nl.util.console import progress_bar, screen
from birdnet_nl.util.errors import SelectionError

if TYPE_CHECKING:
    from birdnet_nl.recordings.download_plan import Plan, SpeciesPlan

DEFAULTS = Filters()
MAX_LINES = 20


def download_command(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[SPECIES]...", help="Dutch, English or Latin names, or slugs.")
    ] = None,
    species: Annotated[
        list[str] | None,
        typer.Option(help="As above, or: all, priority1, priority2, priority3, or a pattern such as 'zwarte_*'."),
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Only show number, size and duration.")] = False,
    root: Annotated[
        Path,
        typer.Option(envvar="BIRDNET_NL_DATA", help="Folder that gets xeno-canto-<species>/<type>/XC<number>.mp3."),
    ] = DEFAULT_ROOT,
    type_: Annotated[
        list[str] | None,
        typer.Option("--type", help=f"{', '.join(TYPE_FOLDERS)}; repeatable. Default: {', '.join(DEFAULTS.types)}."),
    ] = None,
    per_type: Annotated[
        int, typer.Option(help="Maximum number of recordings per type, including those on disk.")
    ] = DEFAULTS.per_type,
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
    from birdnet_nl.recordings.download import download
    from birdnet_nl.recordings.download_plan import plan_downloads
    from birdnet_nl.recordings.xeno_canto import BASE_URL, KEY_VARIABLE, XenoCanto

    chosen = select_species([*(names or []), *(species or [])])
    try:
        filters = Filters(
            types=tuple(dict.fromkeys(type_ or DEFAULTS.types)),
            per_type=per_type,
            min_quality=min_quality.upper(),
            min_s=min_s,
            max_s=max_s,
            countries=tuple(country or ()),
            licences=tuple(code.lower().removeprefix("cc-") for code in licence or ()),
            flight_call=flight_call,
        )
    except ValueError as error:
        raise SelectionError(str(error)) from None
    root = root.expanduser()
    with XenoCanto(
        os.environ.get(KEY_VARIABLE, ""), base_url=url or BASE_URL, delay_s=delay_s, hourly_budget=hourly_budget
    ) as client:
        with progress_bar() as bar:
            task = bar.add_task("querying Xeno-canto", total=len(chosen))
            found = plan_downloads(chosen, client, root, filters, lambda part: bar.advance(task))
        print_plan(found, filters)
        if plan:
            raise typer.Exit(1 if any(part.error for part in found.parts) else 0)
        with progress_bar() as bar:
            task = bar.add_task("downloading", total=found.files)
            report = download(found, client, root, lambda candidate: bar.advance(task))
    screen.print(
        f"{report.fetched} recordings fetched ({report.bytes / 1e6:.0f} MB), {len(report.failed)} failed"
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


def select_species(names: Sequence[str]) -> list[Species]:
    """Return species by name, `all`, `priority1` or a pattern of slugs; each once, in the order given."""
    if not names:
        raise SelectionError("no species named; try birdnet-nl download koolmees, or --species priority1")
    return list(dict.fromkeys(species for name in names for species in match_species(name)))


def print_plan(plan: "Plan", filters: Filters) -> None:
    out = Console(highlight=False)  # standard output: with --plan this is the result
    table = Table(title="Recordings: to fetch (+ on disk already)", title_justify="left")
    table.add_column("species")
    table.add_column("on Xeno-canto", justify="right")
    for name in filters.types:
        table.add_column(name, justify="right")
    table.add_column("MB", justify="right")
    table.add_column("protected", justify="right")
    for part in plan.parts:
        counts = [f"{part.count(name)} (+{part.on_disk[name]})" for name in filters.types]
        table.add_row(
            part.species.slug, str(part.found), *counts, f"{part.expected_bytes / 1e6:.0f}", str(part.protected or "")
        )
    out.print(table)
    out.print(
        f"{plan.files} files, about {plan.expected_bytes / 1e6:.0f} MB and {format_minutes(plan.expected_s)}",
        soft_wrap=True,
    )
    for part in plan.parts:
        for line in plan_notes(part):
            out.print(escape(line), soft_wrap=True)


def plan_notes(part: "SpeciesPlan") -> list[str]:
    """Return remarks about the plan for a species, one line each."""
    slug = part.species.slug
    if part.error:
        return [f"{slug}: {part.error}"]
    if not part.found:
        return [f"{slug}: Xeno-canto has no recordings of these types under the name {part.species.scientific}"]
    notes = []
    if part.left_out:
        counts = ", ".join(f"{reason} {count}" for reason, count in part.left_out.most_common())
        notes.append(f"{slug}: left out: {counts}")
    if part.unknown_types:
        texts = ", ".join(repr(text) for text, _ in part.unknown_types.most_common(5))
        notes.append(f"{slug}: types without a rule, such as {texts}")
    return notes


def format_minutes(seconds: float) -> str:
    minutes = seconds / 60
    return f"{minutes / 60:.1f} hours" if minutes >= 90 else f"{max(1, round(minutes))} minutes"
