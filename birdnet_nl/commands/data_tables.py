"""Terminal tables of `birdnet-nl data`, and the commands to type next."""

import math
import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from birdnet_nl.data.overview import NOT_SEARCHED, SpeciesOverview, TypeOverview, join_reasons
from birdnet_nl.data.sources import DEFAULT_ROOT
from birdnet_nl.data.splits import SPLITS
from birdnet_nl.data.training_rules import THREE_TYPES, TrainingRules
from birdnet_nl.recordings.download_filters import Filters
from birdnet_nl.recordings.file_summary import join_summaries
from birdnet_nl.recordings.labels import classify_type
from birdnet_nl.species.table import Species
from birdnet_nl.util.words import counted

DEFAULT_FILTERS = Filters()
VERDICTS = {"yes": "yes", "just": "enough to train, few to test on", "no": "no"}
COLOURS = {"yes": "green", "just": "yellow", "no": "red"}
MAX_NAMES = 4  # files or people in a line
MAX_TEXTS = 12  # type texts in a line
COMPACT = {"title_justify": "left", "box": SIMPLE_HEAD, "padding": 0, "pad_edge": False}  # fits 80 columns


def download_command(overview: SpeciesOverview, rules: TrainingRules, root: Path) -> str:
    """Return the command that downloads the missing recordings; empty when every type suffices."""
    insufficient = [name for name, type_ in overview.types.items() if type_.verdict != "yes"]
    if not insufficient:
        return ""
    words = ["birdnet-nl", "download", overview.species.slug]
    if len(insufficient) < len(DEFAULT_FILTERS.types):
        kinds = dict.fromkeys(classify_type(name.replace("_", " ")) for name in insufficient)
        words += [word for name in kinds for word in ("--type", name)]
    # --per-type includes the recordings on disk, and a few new ones are unusable or by the same recordists
    needed = max(
        overview.types[name].found
        + max(rules.recommended_recordings - overview.types[name].usable, rules.min_recordings)
        for name in insufficient
    )
    if needed > DEFAULT_FILTERS.per_type:
        words += ["--per-type", str(math.ceil(needed / 10) * 10)]
    if rules.flight_call != DEFAULT_FILTERS.flight_call:
        words += ["--flight-call", rules.flight_call]
    if root != DEFAULT_ROOT:
        words += ["--root", str(root)]
    return shlex.join(words)


def training_command(overview: SpeciesOverview, rules: TrainingRules, root: Path) -> str:
    """Return the command that trains on these recordings."""
    words = ["python", "train.py", f"species={overview.species.slug}"]
    if root != DEFAULT_ROOT:
        words.append(f"data.root={root}")
    if rules.type_set_name != THREE_TYPES:
        words.append(f"data/types={rules.type_set_name}")
    if rules.flight_call != DEFAULT_FILTERS.flight_call:
        words.append(f"data.flight_call={rules.flight_call}")
    return shlex.join(words)


def count_kinds(overview: SpeciesOverview) -> Counter[str]:
    """Count the recordings by kind: song, call, alarm, several, other, unknown."""
    return Counter(item.kind for item in overview.recordings)


def format_recordists(type_: TypeOverview) -> str:
    return f"{type_.recordists} + {type_.unnamed} unnamed" if type_.unnamed else str(type_.recordists)


def most_recordings_first(overviews: Sequence[SpeciesOverview]) -> list[SpeciesOverview]:
    return sorted(overviews, key=lambda overview: (-len(overview.recordings), overview.species.slug))


def print_species(out: Console, overview: SpeciesOverview, rules: TrainingRules, root: Path) -> None:
    """Print everything about one species."""
    species = overview.species
    out.print(
        f"[bold]{species.dutch}[/] · {species.english} · [italic]{species.scientific}[/]"
        + ("   [bold black on yellow] synthetic demo recordings [/]" if overview.synthetic else "")
    )
    folders = escape(", ".join(map(str, overview.folders)))
    out.print(f"{_count_recordings([overview])}, {overview.duration_s / 60:.1f} minutes, in {folders}", soft_wrap=True)
    out.print(_types_table(overview, rules))
    if overview.unclear:
        out.print(f"of several or unclear types, never tested on: {_format_counts(overview.unclear)}", soft_wrap=True)
    if texts := overview.not_understood:
        out.print(f"[yellow]type texts not understood[/]: {_format_counts(texts, MAX_TEXTS)}", soft_wrap=True)
    out.print(f"quality     {_format_counts(overview.count('quality', 'no rating'))}")
    recordists = f": {_format_counts(overview.recordists, MAX_NAMES)}" if overview.recordists else ""
    out.print(f"recordists  {len(overview.recordists)} known{recordists}", soft_wrap=True)
    out.print(f"licences    {_format_counts(overview.licences)}", soft_wrap=True)
    out.print(escape(overview.files.line()), soft_wrap=True)
    out.print(f"[dim]{NOT_SEARCHED}[/]", soft_wrap=True)
    for problem, names in overview.problems().items():
        out.print(f"[yellow]{len(names)} × {escape(problem)}[/]: {escape(_format_names(names))}", soft_wrap=True)
    if overview.problem:
        out.print(f"[red]{escape(overview.problem)}[/]", soft_wrap=True)
    else:
        out.print(f"[green]trains:[/] {escape(training_command(overview, rules, root))}", soft_wrap=True)
    if command := download_command(overview, rules, root):
        out.print(f"to get more: [bold]{escape(command)}[/]", soft_wrap=True)


def _types_table(overview: SpeciesOverview, rules: TrainingRules) -> Table:
    table = Table("type", title=f"segments of {rules.segment_s:g} s; splits as training would make them", **COMPACT)
    for name in ("found", "usable", "recordists", "minutes", "segments", *SPLITS):
        table.add_column(name, justify="right")
    table.add_column("suffices")
    for name, type_ in overview.types.items():
        reason = f": {type_.why_not}" if type_.why_not else ""
        table.add_row(
            name, str(type_.found), str(type_.usable), format_recordists(type_), f"{type_.duration_s / 60:.1f}",
            str(type_.segments), *(str(type_.splits[split]) for split in SPLITS),
            f"[{COLOURS[type_.verdict]}]{VERDICTS[type_.verdict]}{reason}[/]",
        )  # fmt: skip
    return table


def print_many_species(
    out: Console,
    overviews: Sequence[SpeciesOverview],
    without: Sequence[Species],
    rules: TrainingRules,
    root: Path,
    of_all: bool,
) -> None:
    """Print a row for each species, most recordings first, and what is missing over all of them."""
    table = Table(title=f"Recordings in {escape(str(root))} (usable of those found)", **COMPACT)
    table.add_column("species", no_wrap=True)
    for name in (*rules.types, "several", "other", "min.", "segm.", "people", "odd"):
        table.add_column(name, justify="right")
    table.add_column("trains")
    for overview in most_recordings_first(overviews):
        table.add_row(*_species_row(overview, rules))
    out.print(table)
    minutes = sum(overview.duration_s for overview in overviews) / 60
    trainable = sum(not overview.problem for overview in overviews)
    out.print(
        f"{_count_recordings(overviews)}, {counted(round(minutes), 'minute')}, "
        f"{len(overviews)} species; {trainable} can be trained"
    )
    if without:
        names = "" if of_all else f": {', '.join(species.slug for species in without[:12])}{'…' * (len(without) > 12)}"
        of_species = f"of the {len(overviews) + len(without)} species"
        without_recordings = counted(len(without), f"{of_species} has", f"{of_species} have")
        out.print(f"{without_recordings} no recordings{names}")
    if texts := sum((overview.not_understood for overview in overviews), Counter()):
        out.print(f"[yellow]type texts not understood[/]: {_format_counts(texts, MAX_TEXTS)}", soft_wrap=True)
    files = join_summaries([overview.files for overview in overviews])
    out.print(escape(files.line()), soft_wrap=True)
    out.print(f"[dim]{NOT_SEARCHED}[/]", soft_wrap=True)
    problems: dict[str, list[str]] = {}
    for problem, names in (item for overview in overviews for item in overview.problems(joined=False).items()):
        problems.setdefault(problem, []).extend(names)
    counts = Counter({problem: len(names) for problem, names in join_reasons(problems).items()})
    for problem, count in counts.most_common():
        out.print(f"[yellow]{count} × {escape(problem)}[/]", soft_wrap=True)
    by_need = sorted(overviews, key=lambda overview: (bool(overview.problem), -len(overview.recordings)))
    commands = [command for overview in by_need if (command := download_command(overview, rules, root))]
    for command in commands[:MAX_NAMES]:
        out.print(f"next: [bold]{escape(command)}[/]", soft_wrap=True)
    if len(commands) > MAX_NAMES:
        more = counted(len(commands) - MAX_NAMES, "more species that needs", "more species that need")
        out.print(f"and {more} recordings")
        out.print("birdnet-nl data <species> shows the command for each")


def _species_row(overview: SpeciesOverview, rules: TrainingRules) -> list[str]:
    counts = count_kinds(overview)
    cells = []
    for name in rules.types:
        type_ = overview.types[name]
        number = str(type_.usable) if type_.usable == type_.found else f"{type_.usable} of {type_.found}"
        cells.append(f"[{COLOURS[type_.verdict]}]{number}[/]")
    odd = sum(bool(item.oddities or item.facts.reason or item.duplicate_of) for item in overview.recordings)
    trained = [name for name, type_ in overview.types.items() if not type_.why_not]
    return [
        overview.species.slug,
        *cells,
        str(counts["several"] or ""),
        str(counts["other"] + counts["unknown"] or ""),
        f"{overview.duration_s / 60:.1f}",
        str(sum(type_.segments for type_ in overview.types.values())),
        str(len(overview.recordists)),
        str(odd + len(overview.repeated_ids) or ""),
        "no" if overview.problem else f"[green]{', '.join(trained)}[/]",
    ]


def _count_recordings(overviews: Sequence[SpeciesOverview]) -> str:
    return counted(sum(len(overview.recordings) for overview in overviews), "recording")


def _format_counts(counts: Counter, limit: int | None = None) -> str:
    shown = [f"{escape(str(name))} {count}" for name, count in counts.most_common(limit)]
    return ", ".join(shown) + (" …" if len(counts) > len(shown) else "")


def _format_names(names: Sequence[str]) -> str:
    more = len(names) - MAX_NAMES
    return ", ".join(names[:MAX_NAMES]) + (f" and {more} more (--json lists them all)" if more > 0 else "")
