"""`birdnet-nl download`: recordings from Xeno-canto."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from birdnet_nl.data.sources import DEFAULT_ROOT
from birdnet_nl.recordings.choice import QUALITIES, Filters
from birdnet_nl.recordings.manifest import TYPE_FOLDERS
from birdnet_nl.recordings.rate_limit import DELAY_S, HOURLY_BUDGET
from birdnet_nl.species.table import Species, species_called
from birdnet_nl.util.console import progress_bar, screen
from birdnet_nl.util.errors import SelectionError

if TYPE_CHECKING:
    from birdnet_nl.recordings.download_plan import Plan, SpeciesPlan

STANDARD = Filters()
MAX_LINES = 20


def download_command(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[SPECIES]...", help="Dutch, English or Latin names, or slugs.")
    ] = None,
    species: Annotated[
        list[str] | None,
        typer.Option(help="As above, or: all, priority1, priority2, priority3, or a pattern such as 'zwarte_*'."),
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Only say how many, how large and how long.")] = False,
    root: Annotated[
        Path,
        typer.Option(envvar="BIRDNET_NL_DATA", help="Folder that gets xeno-canto-<species>/<type>/XC<number>.mp3."),
    ] = DEFAULT_ROOT,
    type_: Annotated[
        list[str] | None,
        typer.Option("--type", help=f"Of {', '.join(TYPE_FOLDERS)}; repeatable. Default: {', '.join(STANDARD.types)}."),
    ] = None,
    per_type: Annotated[
        int, typer.Option(help="Most recordings per type, those on disk included.")
    ] = STANDARD.per_type,
    min_quality: Annotated[str, typer.Option(help=f"{QUALITIES[0]} (best) to {QUALITIES[-1]}.")] = STANDARD.min_quality,
    min_s: Annotated[float, typer.Option(help="Shortest recording in seconds.")] = STANDARD.min_s,
    max_s: Annotated[float, typer.Option(help="Longest recording in seconds.")] = STANDARD.max_s,
    country: Annotated[list[str] | None, typer.Option(help="English name, e.g. Netherlands; repeatable.")] = None,
    licence: Annotated[list[str] | None, typer.Option(help="E.g. by-nc-sa; repeatable. Default: all.")] = None,
    flight_call: Annotated[str, typer.Option(help="What flight calls are: call or leave_out.")] = STANDARD.flight_call,
    delay_s: Annotated[float, typer.Option(min=0, help="Seconds between requests; please leave it.")] = DELAY_S,
    hourly_budget: Annotated[int, typer.Option(min=1, help="Most requests in an hour.")] = HOURLY_BUDGET,
    url: Annotated[str | None, typer.Option(envvar="XENO_CANTO_URL", hidden=True)] = None,
) -> None:
    """Fetch recordings from Xeno-canto: the best ones, spread over recordists, only those not on disk yet.

    The key comes from the environment variable XENO_CANTO_API_KEY; each member of xeno-canto.org finds one
    on their account page there. Stop with Ctrl-C when you like: the same command goes on from there.

    Example: birdnet-nl download koolmees "Turdus merula" --plan
    """
    from birdnet_nl.recordings.download import download
    from birdnet_nl.recordings.download_plan import plan_downloads
    from birdnet_nl.recordings.xeno_canto import BASE_URL, KEY_VARIABLE, XenoCanto

    chosen = species_named([*(names or []), *(species or [])])
    try:
        filters = Filters(
            types=tuple(dict.fromkeys(type_ or STANDARD.types)),
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
            task = bar.add_task("asking Xeno-canto", total=len(chosen))
            found = plan_downloads(chosen, client, root, filters, lambda part: bar.advance(task))
        show_plan(found, filters)
        if plan:
            raise typer.Exit(1 if any(part.error for part in found.parts) else 0)
        with progress_bar() as bar:
            task = bar.add_task("downloading", total=found.files)
            report = download(found, client, root, lambda candidate: bar.advance(task))
    screen.print(
        f"{report.fetched} recordings fetched ({report.bytes / 1e6:.0f} MB), {len(report.failed)} failed"
        + (f", {report.adopted} that were there got their line in the manifest" if report.adopted else "")
        + f"; they are in {escape(str(root))}",
        soft_wrap=True,
    )
    for slug, number, reason in report.failed[:MAX_LINES]:
        screen.print(f"[red]{slug} XC{number}: {escape(reason)}[/]", soft_wrap=True)
    if report.stopped:
        screen.print(f"[red]{escape(report.stopped)}[/]", soft_wrap=True)
    if report.stopped or report.failed or any(part.error for part in found.parts):
        raise typer.Exit(1)


def species_named(names: Sequence[str]) -> list[Species]:
    """Species by name, `all`, `priority1`, or a pattern of slugs; each once, in the order asked for."""
    if not names:
        raise SelectionError("no species named; try birdnet-nl download koolmees, or --species priority1")
    return list(dict.fromkeys(species for name in names for species in species_called(name)))


def show_plan(plan: "Plan", filters: Filters) -> None:
    """The plan goes to standard output, since with --plan it is the answer."""
    out = Console(highlight=False)
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
        f"{plan.files} files, about {plan.expected_bytes / 1e6:.0f} MB and {duration_text(plan.expected_s)}",
        soft_wrap=True,
    )
    for part in plan.parts:
        for line in notes_on(part):
            out.print(escape(line), soft_wrap=True)


def notes_on(part: "SpeciesPlan") -> list[str]:
    """What a user should know about a species' plan, a line each."""
    slug = part.species.slug
    if part.error:
        return [f"{slug}: {part.error}"]
    if not part.found:
        return [f"{slug}: Xeno-canto has nothing of these types under the name {part.species.scientific}"]
    notes = []
    if part.left_out:
        counts = ", ".join(f"{reason} {count}" for reason, count in part.left_out.most_common())
        notes.append(f"{slug}: left out: {counts}")
    if part.unknown_types:
        texts = ", ".join(repr(text) for text, _ in part.unknown_types.most_common(5))
        notes.append(f"{slug}: types that no rule knows, such as {texts}")
    return notes


def duration_text(seconds: float) -> str:
    minutes = seconds / 60
    return f"{minutes / 60:.1f} hours" if minutes >= 90 else f"{max(1, round(minutes))} minutes"
