"""Overviews as tables in the terminal."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from birdnet_nl.commands.data_report import VERDICTS, kinds, next_download, people, training_command
from birdnet_nl.data.overview import SpeciesOverview
from birdnet_nl.data.splits import SPLITS
from birdnet_nl.data.training_rules import TrainingRules
from birdnet_nl.species.table import Species

COLOURS = {"yes": "green", "just": "yellow", "no": "red"}
MAX_NAMES = 4  # of files or people in a line

NARROW = {"title_justify": "left", "box": SIMPLE_HEAD, "padding": 0, "pad_edge": False}  # fits 80 columns


def show_one(out: Console, overview: SpeciesOverview, rules: TrainingRules, root: Path) -> None:
    """One species in full."""
    species = overview.species
    out.print(
        f"[bold]{species.dutch}[/] · {species.english} · [italic]{species.scientific}[/]"
        + ("   [bold black on yellow] synthetic demo recordings [/]" if overview.synthetic else "")
    )
    out.print(
        f"{number_of(len(overview.recordings), 'recording')}, {overview.duration_s / 60:.1f} minutes, in "
        + escape(", ".join(map(str, overview.folders))),
        soft_wrap=True,
    )
    out.print(_types_table(overview, rules))
    if overview.unclear:
        out.print(f"of several or unclear types, never tested on: {_counts(overview.unclear)}", soft_wrap=True)
    out.print(f"quality     {_counts(overview.count('quality', 'no rating'))}")
    known = f": {_counts(overview.recordists, MAX_NAMES)}" if overview.recordists else ""
    out.print(f"recordists  {len(overview.recordists)} known{known}", soft_wrap=True)
    out.print(f"licences    {_counts(overview.licences)}", soft_wrap=True)
    for kind, names in overview.problems().items():
        out.print(f"[yellow]{len(names)} × {escape(kind)}[/]: {escape(_some(names))}", soft_wrap=True)
    if overview.problem:
        out.print(f"[red]{escape(overview.problem)}[/]", soft_wrap=True)
    else:
        out.print(f"[green]trains:[/] {escape(training_command(overview, rules, root))}", soft_wrap=True)
    if command := next_download(overview, rules, root):
        out.print(f"to get more: [bold]{escape(command)}[/]", soft_wrap=True)


def _types_table(overview: SpeciesOverview, rules: TrainingRules) -> Table:
    table = Table(
        title=f"segments of {rules.segment_s:g} s; splits as training would make them",
        title_justify="left",
        box=SIMPLE_HEAD,
        padding=0,
        pad_edge=False,
    )
    table.add_column("type")
    for name in ("found", "usable", "recordists", "minutes", "segments", *SPLITS):
        table.add_column(name, justify="right")
    table.add_column("suffices")
    for name, one in overview.types.items():
        why = f": {one.why_not}" if one.why_not else ""
        table.add_row(
            name, str(one.found), str(one.usable), people(one), f"{one.duration_s / 60:.1f}", str(one.segments),
            *(str(one.splits[split]) for split in SPLITS),
            f"[{COLOURS[one.verdict]}]{VERDICTS[one.verdict]}{why}[/]",
        )  # fmt: skip
    return table


def show_many(
    out: Console,
    overviews: Sequence[SpeciesOverview],
    without: Sequence[Species],
    rules: TrainingRules,
    root: Path,
    of_all: bool,
) -> None:
    """A line per species, most recordings first, and what is wanting over all of them."""
    table = Table(
        title=f"Recordings in {escape(str(root))} (usable of those found)",
        title_justify="left",
        box=SIMPLE_HEAD,
        padding=0,
        pad_edge=False,
    )
    table.add_column("species", no_wrap=True)
    for name in (*rules.types, "several", "other", "min.", "segm.", "people", "odd"):
        table.add_column(name, justify="right")
    table.add_column("trains")
    for one in sorted(overviews, key=lambda one: (-len(one.recordings), one.species.slug)):
        table.add_row(*_row(one, rules))
    out.print(table)
    total = sum(len(one.recordings) for one in overviews)
    trains = [one for one in overviews if not one.problem]
    out.print(
        f"{number_of(total, 'recording')}, {sum(one.duration_s for one in overviews) / 60:.0f} minutes, "
        f"{len(overviews)} species; {len(trains)} can be trained"
    )
    if without:
        which = "" if of_all else f": {', '.join(one.slug for one in without[:12])}{'…' * (len(without) > 12)}"
        out.print(f"{len(without)} of the {len(overviews) + len(without)} species have no recordings{which}")
    troubles = Counter(kind for one in overviews for kind, names in one.problems().items() for _ in names)
    for kind, count in troubles.most_common():
        out.print(f"[yellow]{count} × {escape(kind)}[/]", soft_wrap=True)
    wanting = [one for one in overviews if next_download(one, rules, root)]
    for one in sorted(wanting, key=lambda one: (bool(one.problem), -len(one.recordings)))[:MAX_NAMES]:
        out.print(f"next: [bold]{escape(next_download(one, rules, root))}[/]", soft_wrap=True)
    if len(wanting) > MAX_NAMES:
        out.print(f"and so for {len(wanting) - MAX_NAMES} more species; birdnet-nl data <species> says how")


def _row(one: SpeciesOverview, rules: TrainingRules) -> list[str]:
    counts = kinds(one)
    cells = []
    for name in rules.types:
        kind = one.types[name]
        number = str(kind.usable) if kind.usable == kind.found else f"{kind.usable} of {kind.found}"
        cells.append(f"[{COLOURS[kind.verdict]}]{number}[/]")
    oddities = sum(bool(i.oddities or i.facts.reason or i.duplicate_of) for i in one.recordings) + len(one.repeated_ids)
    trained = [name for name, kind in one.types.items() if not kind.why_not]
    return [
        one.species.slug,
        *cells,
        str(counts["several"] or ""),
        str(counts["other"] + counts["unknown"] or ""),
        f"{one.duration_s / 60:.1f}",
        str(sum(kind.segments for kind in one.types.values())),
        str(len(one.recordists)),
        str(oddities or ""),
        "no" if one.problem else f"[green]{', '.join(trained)}[/]",
    ]


def number_of(count: int, thing: str) -> str:
    return f"{count} {thing}{'s' * (count != 1)}"


def _counts(counts: Counter, most: int | None = None) -> str:
    shown = [f"{escape(str(name))} {count}" for name, count in counts.most_common(most)]
    return ", ".join(shown) + (" …" if len(counts) > len(shown) else "")


def _some(names: Sequence[str]) -> str:
    more = len(names) - MAX_NAMES
    return ", ".join(names[:MAX_NAMES]) + (f" and {more} more (--json names them all)" if more > 0 else "")
