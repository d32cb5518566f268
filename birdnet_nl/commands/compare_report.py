"""Report of a comparison: in the terminal, as Markdown, and as a page with plots that needs no other file."""

from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from birdnet_nl.commands.compare_tables import (
    TextTable,
    cross_validation_table,
    format_ratio,
    mean_metric,
    section_tables,
)
from birdnet_nl.commands.output import render_page
from birdnet_nl.comparison.compare import Comparison, Section
from birdnet_nl.comparison.verdicts import CONFIRMED, REFUTED, points

MAX_LINES = 8  # runs that were left out
MAX_ROWS, MAX_SPECIES = 20, 40  # of the page: longer tables, and plots of more species, are folded
COLOURS = {CONFIRMED: "green", REFUTED: "red"}
FEW_NOTE = "* fewer than 10 test recordings of some type: a first impression"


def print_comparison(out: Console, comparison: Comparison) -> None:
    for section in comparison.sections:
        out.print(f"\n[bold]{escape(', '.join(section.names))}[/] on [bold]{escape(section.kind.name)}[/]")
        for text, is_severe in _warnings(section):
            colour = "white on red" if is_severe else "black on yellow"
            out.print(f"[bold {colour}] {escape(text)} [/]", soft_wrap=True)
        for table in section_tables(section):
            _print_table(out, table)
        if any(not species.enough for compared in section.sets for species in compared.species):
            out.print(f"[dim]{FEW_NOTE}[/]")
        for note in section.notes:
            out.print(f"[dim]{escape(note)}[/]", soft_wrap=True)
        for verdict in section.verdicts:
            colour = COLOURS.get(verdict.answer, "yellow")
            out.print(
                f"“{verdict.claim}” ({verdict.basis}): [bold {colour}]{verdict.answer}[/]; {escape(verdict.sentence)}",
                soft_wrap=True,
            )
    if table := cross_validation_table(comparison.cross_validations):
        out.print()
        columns = zip(table.heads, *table.rows, strict=True)  # transposed, because so many do not fit a terminal
        heads, *rows = columns
        _print_table(out, TextTable(table.title, heads, rows))
    for heading, lines in _left_out(comparison):
        out.print(f"\n[yellow]{escape(heading)}[/]")
        for line in lines[:MAX_LINES]:
            out.print(f"  {escape(line)}", soft_wrap=True)
        if len(lines) > MAX_LINES:
            out.print(f"  and {len(lines) - MAX_LINES} more (--json, --html and --markdown list them all)")


def comparison_markdown(comparison: Comparison) -> str:
    parts = [f"# {_title(comparison)}"]
    for section in comparison.sections:
        parts.append(f"## {', '.join(section.names)} on {section.kind.name}")
        parts += [f"> **{text}**" for text, _ in _warnings(section)]
        if section.verdicts:
            parts.append(
                "\n".join(
                    f"- “{verdict.claim}” ({verdict.basis}): **{verdict.answer}**; {verdict.sentence}"
                    for verdict in section.verdicts
                )
            )
        for table in section_tables(section):
            parts += [f"**{table.title}**", _markdown_table(table)]
        parts.append("\n".join(f"- {note}" for note in (FEW_NOTE.replace("*", r"\*"), *section.notes)))
    if table := cross_validation_table(comparison.cross_validations):
        parts += ["## Cross-validation", f"**{table.title}**", _markdown_table(table)]
    for heading, lines in _left_out(comparison):
        parts += [f"## {heading}", "\n".join(f"- {line}" for line in lines)]
    return "\n\n".join(parts) + "\n"


def comparison_page(comparison: Comparison) -> str:
    return render_page(
        "compare",
        title=_title(comparison),
        runs=len(comparison.found.runs),
        sections=[_page_section(section) for section in comparison.sections],
        cross_validation=cross_validation_table(comparison.cross_validations),
        left_out=_left_out(comparison),
        max_rows=MAX_ROWS,
        verdict_classes={CONFIRMED: "yes", REFUTED: "no"},
    )


def _page_section(section: Section) -> dict[str, Any]:
    from birdnet_nl.comparison.plots import colours_of

    return {
        "name": section.kind.name,
        "warnings": _warnings(section),
        "tiles": _tiles(section),
        "verdicts": section.verdicts,
        "legend": colours_of(section.names),
        "plots": _draw_plots(section),
        "tables": section_tables(section),
        "notes": [FEW_NOTE, *section.notes],
    }


def _tiles(section: Section) -> list[tuple[str, str]]:
    """Return the balanced accuracy of each set, and its difference and speed-up against the baseline."""
    tiles = [
        (f"{mean_metric(section.results_of(name), 'balanced_accuracy'):.1%}", f"balanced accuracy, {name}")
        for name in section.names
    ]
    for compared in section.sets:
        difference = points(compared.overall["balanced_accuracy"].over_species).partition(" (")[0]
        tiles.append((difference, f"{compared.parameter_set} against {compared.baseline}"))
        speed_up = format_ratio(compared.speed.train).partition(" (")[0]
        tiles.append((f"{speed_up} ×", f"as fast in training, {compared.parameter_set}"))
    return tiles


def _draw_plots(section: Section) -> list[dict[str, Any]]:
    from birdnet_nl.comparison import plots
    from birdnet_nl.evaluation.recording_plots import to_svg

    many_species = len({result.subject for result in section.results}) > MAX_SPECIES
    figures = (  # title, figure, whether it takes the whole width, whether it is folded
        ("balanced accuracy by species", plots.draw_species(section), True, many_species),
        ("speed against accuracy", plots.draw_speed_and_accuracy(section), False, False),
        ("reliability", plots.draw_reliability(section), False, False),
        ("training: thin a run, thick the mean", plots.draw_curves(section), True, False),
        ("true and predicted types", plots.draw_confusions(section), True, False),
    )
    return [
        {"title": title, "svg": to_svg(figure), "wide": wide, "folded": folded}
        for title, figure, wide, folded in figures
        if figure is not None
    ]


def _title(comparison: Comparison) -> str:
    if not comparison.others:
        return f"Cross-validation of {comparison.baseline}"
    return f"{', '.join(comparison.others)} against {comparison.baseline}"


def _warnings(section: Section) -> list[tuple[str, bool]]:
    """Return facts that change the meaning of every number; True where the numbers measure nothing."""
    leak = "Split by segment: the same recordings were trained and tested on, so the accuracies are too high"
    warnings = (
        (section.kind.leaks, leak, True),
        (section.kind.shuffled, "Types shuffled: a control, in which every accuracy must be chance", True),
        (section.kind.synthetic, "Synthetic demo recordings: no result here applies to real birds", False),
    )
    return [(text, is_severe) for applies, text, is_severe in warnings if applies]


def _left_out(comparison: Comparison) -> list[tuple[str, list[str]]]:
    """Return the runs that were not compared, with headings."""
    found = comparison.found
    lists = (
        ("Not compared", [f"{left_out.what}: {left_out.reason}" for left_out in comparison.left_out]),
        ("Not finished (no metrics.json)", [str(folder) for folder in found.unfinished]),
        ("Broken", [reason for _, reason in found.broken]),
    )
    return [(f"{heading}: {len(lines)}", lines) for heading, lines in lists if lines]


def _print_table(out: Console, text_table: TextTable) -> None:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for index, head in enumerate(text_table.heads):
        table.add_column(escape(head), justify="right" if index else "left", no_wrap=index == 0)
    for row in text_table.rows:
        table.add_row(*map(escape, row))
    out.print(f"[italic]{escape(text_table.title)}[/]", soft_wrap=True)
    out.print(table)


def _markdown_table(text_table: TextTable) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.strip().replace("|", r"\|").replace("*", r"\*") for cell in cells) + " |"

    rule = "|---|" + "---:|" * (len(text_table.heads) - 1)
    return "\n".join([line(text_table.heads), rule, *map(line, text_table.rows)])
