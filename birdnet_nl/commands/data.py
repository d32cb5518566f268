"""`birdnet-nl data`: show the recordings on disk before anything is trained."""

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from birdnet_nl.data.sources import DEFAULT_ROOT
from birdnet_nl.species.table import Species, all_species, match_species
from birdnet_nl.util.console import display_path, output_console, progress_bar, screen
from birdnet_nl.util.errors import DataError, SelectionError, require_extra
from birdnet_nl.util.files import user_path
from birdnet_nl.util.words import counted

if TYPE_CHECKING:
    from birdnet_nl.data.overview import InspectedRecording, SpeciesOverview
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
    json_: Annotated[bool, typer.Option("--json", help="Print everything, file by file, as JSON instead.")] = False,
    html: Annotated[Path | None, typer.Option(help="Also write a page with plots and sounds to this file.")] = None,
    logs: Annotated[Path, typer.Option(help="Folder with learning curves, which the page shows.")] = Path("logs"),
    types: Annotated[str, typer.Option(help="Vocalization types: three, song_call or ten.")] = "three",
    flight_call: Annotated[str, typer.Option(help="Use of flight calls: call or leave_out.")] = "call",
    cache: Annotated[
        Path, typer.Option(envvar="BIRDNET_NL_CACHE", help="Folder that keeps the facts about decoded files.")
    ] = Path("cache"),
) -> None:
    """Show the recordings on disk, their problems, and what a training would use.

    The first call decodes every file once; the next ones take a moment.

    Example: birdnet-nl data koolmees --html koolmees.html
    """
    from birdnet_nl.commands.data_tables import print_many_species, print_species
    from birdnet_nl.commands.output import print_json
    from birdnet_nl.data.training_rules import TrainingRules, read_type_set
    from birdnet_nl.recordings.type_set import FLIGHT_CALL_CHOICES

    if not (names or all_):
        raise SelectionError("no species named; try birdnet-nl data koolmees, or --all")
    if flight_call not in FLIGHT_CALL_CHOICES:
        raise SelectionError(
            f"--flight-call {flight_call} is not possible; choose one of {', '.join(FLIGHT_CALL_CHOICES)}"
        )
    read_type_set(types, flight_call)  # its error comes first
    chosen = dict.fromkeys(all_species() if all_ else (match for name in names for match in match_species(name)))
    root, rules = user_path(root), TrainingRules(type_set_name=types, flight_call=flight_call)
    overviews, without, unusable = inspect_species(list(chosen), root, rules, user_path(cache) / FACTS_FILE)
    if not overviews:
        raise DataError("; ".join([_no_recordings(without, root), *unusable]))
    out = output_console()
    if html:
        html = write_page(html, overviews, without, rules, root, user_path(logs))
    if json_:
        print_json(data_values(overviews, without, rules, root))
    elif all_ or len(overviews) > 1:
        print_many_species(out, overviews, without, rules, root, of_all=all_)
    else:
        print_species(out, overviews[0], rules, root)
        for species in without:
            out.print(escape(_no_recordings([species], root)), soft_wrap=True)
    if not json_:
        for text in unusable:
            out.print(f"[yellow]{escape(text)}[/]", soft_wrap=True)
    if html:  # on the same stream as the tables, so that lines cannot mix; beside JSON on stderr
        (screen if json_ else out).print(f"written: {display_path(html)}", soft_wrap=True)


def inspect_species(
    chosen: Sequence[Species], root: Path, rules: "TrainingRules", facts_file: Path
) -> tuple[list["SpeciesOverview"], list[Species], list[str]]:
    """Return overviews of the species with recordings, in the order of `chosen`, and the species without.

    The texts describe folders that hold files but no recordings, and rows that belong to no species.
    """
    from birdnet_nl.audio.inspection import FactsCache, inspect_files
    from birdnet_nl.data.overview import build_overview
    from birdnet_nl.data.sources import DEMO_MARK
    from birdnet_nl.recordings.file_summary import format_names, summarize_files
    from birdnet_nl.recordings.folder_rows import read_root_manifest, row_name
    from birdnet_nl.recordings.library import find_folders, read_species
    from birdnet_nl.recordings.listing import MANIFEST

    folders, found, unusable = find_folders(root), {}, []
    with progress_bar() as bar:
        task = bar.add_task("reading folders", total=len(chosen))
        for species in chosen:
            content = read_species(folders.get(species, []), species, rules.type_set)
            if content.recordings:
                found[species] = content
            elif (summary := summarize_files([content], {})).files:
                unusable.append(f"{species.slug}: {folders[species][0]} holds no recordings ({summary.line()})")
            bar.advance(task)
    if (manifest := read_root_manifest(root)) and manifest.unclaimed:
        names = format_names([row_name(row) for row in manifest.unclaimed])
        rows = counted(len(manifest.unclaimed), "row names", "rows name")
        unusable.append(f"{root / MANIFEST}: {rows} no species and no file here ({names})")
    paths = [recording.path for content in found.values() for recording in content.recordings]
    with progress_bar() as bar:
        task = bar.add_task("decoding", total=len(paths))
        workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        facts = inspect_files(paths, FactsCache(facts_file), workers, lambda: bar.advance(task))
    overviews = [
        build_overview(
            species,
            facts,
            rules,
            content,
            synthetic=any((folder / DEMO_MARK).is_file() for folder in folders[species]),
        )
        for species, content in found.items()
    ]
    return overviews, [species for species in chosen if species not in found], unusable


def write_page(
    path: Path,
    overviews: Sequence["SpeciesOverview"],
    without: Sequence[Species],
    rules: "TrainingRules",
    root: Path,
    logs: Path,
) -> Path:
    require_extra("matplotlib", "train")
    from birdnet_nl.commands.curve_section import curve_sections
    from birdnet_nl.commands.data_page import data_page
    from birdnet_nl.commands.output import write_file

    curves = curve_sections(logs, {overview.species.slug for overview in overviews})
    with progress_bar() as bar:
        task = bar.add_task("drawing", total=None)
        page = data_page(overviews, without, rules, root, lambda: bar.advance(task), curves)
    return write_file(path, page, "--html")


def data_values(
    overviews: Sequence["SpeciesOverview"], without: Sequence[Species], rules: "TrainingRules", root: Path
) -> dict[str, Any]:
    """Return everything known, down to the single file, as plain values for JSON."""
    return {
        "root": os.fspath(root),
        "rules": {**asdict(rules), "recordings_wanted_per_type": rules.recommended_recordings},
        "species": [_species_values(overview, rules, root) for overview in overviews],
        "without_recordings": [species.slug for species in without],
    }


def _species_values(overview: "SpeciesOverview", rules: "TrainingRules", root: Path) -> dict[str, Any]:
    from birdnet_nl.commands.data_tables import count_kinds, download_command

    names = {name: getattr(overview.species, name) for name in ("slug", "dutch", "english", "scientific")}
    return names | {
        "synthetic": overview.synthetic,
        "folders": [os.fspath(folder) for folder in overview.folders],
        "recordings": len(overview.recordings),
        "duration_s": round(overview.duration_s, 1),
        "kinds": dict(count_kinds(overview)),
        "unclear": dict(overview.unclear),
        "not_understood": dict(overview.not_understood),
        "file_counts": overview.files.to_dict(),
        "types": {name: {**asdict(type_), "verdict": type_.verdict} for name, type_ in overview.types.items()},
        "trainable": not overview.problem,
        "problem": overview.problem,
        "quality": dict(overview.count("quality", "none")),
        "recordists": dict(overview.recordists),
        "countries": dict(overview.count("country")),
        "licences": dict(overview.licences),
        "problems": overview.problems(),
        "next_download": download_command(overview, rules, root),
        "files": [_file_values(item) for item in overview.recordings],
    }


def _file_values(item: "InspectedRecording") -> dict[str, Any]:
    values = asdict(item)
    recording, facts = values.pop("recording"), values.pop("facts")
    for name in ("duration_s", "sample_rate_hz"):  # as in the manifest; the facts were measured
        recording[f"manifest_{name}"] = recording.pop(name)
    return recording | {"path": os.fspath(item.recording.path)} | values | facts


def _no_recordings(chosen: Sequence[Species], root: Path) -> str:
    if len(chosen) == 1:
        slug = chosen[0].slug
        return f"{slug}: no recordings in {root}; download some with birdnet-nl download {slug}, or import yours"
    return (
        f"none of the {len(chosen)} species has recordings in {root}; download some with birdnet-nl download, or give "
        "another folder with --root"
    )
