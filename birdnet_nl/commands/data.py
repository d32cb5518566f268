"""`birdnet-nl data`: what one has, before anything is trained."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from birdnet_nl.data.sources import DEFAULT_ROOT
from birdnet_nl.species.table import Species, all_species, species_called
from birdnet_nl.util.console import display_path, progress_bar, screen
from birdnet_nl.util.errors import DataError, SelectionError

if TYPE_CHECKING:
    from birdnet_nl.data.overview import SpeciesOverview
    from birdnet_nl.data.training_rules import TrainingRules

FACTS_FILE = "recording_facts.jsonl"


def data_command(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SPECIES]...", help="Names or slugs, priority1, or a pattern such as 'zwarte_*'."),
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="Every species that has recordings, in one table.")] = False,
    root: Annotated[
        Path, typer.Option(envvar="BIRDNET_NL_DATA", help="Folder that holds xeno-canto-<species>/<type>/*.mp3.")
    ] = DEFAULT_ROOT,
    json_: Annotated[bool, typer.Option("--json", help="Everything, file by file, as JSON instead.")] = False,
    html: Annotated[Path | None, typer.Option(help="Also write one page with pictures and sounds here.")] = None,
    flight_call: Annotated[str, typer.Option(help="What flight calls are: call or leave_out.")] = "call",
    cache: Annotated[
        Path, typer.Option(envvar="BIRDNET_NL_CACHE", help="Folder that remembers what files are like.")
    ] = Path("cache"),
) -> None:
    """Show which recordings there are, what is wrong with any, and what a training would make of them.

    The first look decodes every file once; the next ones take a moment.

    Example: birdnet-nl data koolmees --html koolmees.html
    """
    from birdnet_nl.commands.data_report import all_values
    from birdnet_nl.commands.data_tables import show_many, show_one
    from birdnet_nl.data.training_rules import TrainingRules
    from birdnet_nl.recordings.labels import FLIGHT_CALL_CHOICES

    if not (names or all_):
        raise SelectionError("no species named; try birdnet-nl data koolmees, or --all")
    if flight_call not in FLIGHT_CALL_CHOICES:
        raise SelectionError(
            f"flight_call={flight_call} is not possible; choose one of {', '.join(FLIGHT_CALL_CHOICES)}"
        )
    chosen = all_species() if all_ else list(dict.fromkeys(one for name in names for one in species_called(name)))
    root, rules = root.expanduser(), TrainingRules(flight_call=flight_call)
    overviews, without = look(chosen, root, rules, cache.expanduser() / FACTS_FILE)
    if not overviews:
        raise DataError(_nothing(chosen, root))
    if html:
        write_page(html.expanduser(), overviews, without, rules, root)
    if json_:
        text = json.dumps(all_values(overviews, [one.slug for one in without], rules, root), ensure_ascii=False)
        typer.echo(text)
        return
    out = Console(highlight=False)
    if all_ or len(overviews) > 1:
        show_many(out, overviews, without, rules, root, of_all=all_)
    else:
        show_one(out, overviews[0], rules, root)
        for species in without:
            out.print(escape(_nothing([species], root)), soft_wrap=True)
    if html:
        screen.print(f"The page is {escape(display_path(html.expanduser()))}", soft_wrap=True)


def look(
    chosen: Sequence[Species], root: Path, rules: "TrainingRules", facts_file: Path
) -> tuple[list["SpeciesOverview"], list[Species]]:
    """Overviews of the species that have recordings, in the order of `chosen`, and the species that have none."""
    from birdnet_nl.audio.inspection import FactsCache, inspect_files
    from birdnet_nl.data.overview import build_overview
    from birdnet_nl.data.sources import DEMO_MARK
    from birdnet_nl.recordings.folder import find_species_folders
    from birdnet_nl.recordings.library import files_by_id, find_recordings

    found, folders = {}, {}
    with progress_bar() as bar:
        task = bar.add_task("reading folders", total=len(chosen))
        for species in chosen:
            recordings = find_recordings(root, species, rules.flight_call)
            if recordings:
                found[species], folders[species] = recordings, find_species_folders(root, species)
            bar.advance(task)
    paths = [recording.path for recordings in found.values() for recording in recordings]
    with progress_bar() as bar:
        task = bar.add_task("listening", total=len(paths))
        workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        facts = inspect_files(paths, FactsCache(facts_file), workers, lambda: bar.advance(task))
    overviews = [
        build_overview(
            species,
            recordings,
            facts,
            rules,
            files=files_by_id(folders[species]),
            folders=folders[species],
            synthetic=any((folder / DEMO_MARK).is_file() for folder in folders[species]),
        )
        for species, recordings in found.items()
    ]
    return overviews, [species for species in chosen if species not in found]


def write_page(
    path: Path, overviews: Sequence["SpeciesOverview"], without: Sequence[Species], rules: "TrainingRules", root: Path
) -> None:
    """The page, written beside and renamed."""
    from birdnet_nl.commands.data_page import page_of
    from birdnet_nl.util.files import write_text_atomic

    with progress_bar() as bar:
        task = bar.add_task("drawing", total=None)
        page = page_of(overviews, without, rules, root, lambda: bar.advance(task))
    try:
        write_text_atomic(path, page)
    except OSError as error:
        raise DataError(f"{path} cannot be written ({error.strerror}); give another file with --html") from None


def _nothing(chosen: Sequence[Species], root: Path) -> str:
    if len(chosen) == 1:
        slug = chosen[0].slug
        return f"{slug}: no recordings in {root}; fetch some with birdnet-nl download {slug}, or import yours"
    return (
        f"none of the {len(chosen)} species has recordings in {root}; fetch some with birdnet-nl download, or give "
        "another folder with --root"
    )
