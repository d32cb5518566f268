"""Comparison in the terminal and as Markdown."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from birdnet_nl.commands.compare_tables import TextTable, section_tables
from birdnet_nl.commands.cross_validation_table import cross_validation_table
from birdnet_nl.comparison.compare import Comparison, Section
from birdnet_nl.comparison.verdicts import CONFIRMED, REFUTED

MAX_LINES = 8  # runs that were left out
COLOURS = {CONFIRMED: "green", REFUTED: "red"}
FEW_NOTE = "* fewer than 10 test recordings of some type: a first impression"


def print_comparison(out: Console, comparison: Comparison) -> None:
    for section in comparison.sections:
        out.print(f"\n[bold]{escape(', '.join(section.names))}[/] on [bold]{escape(section.kind.name)}[/]")
        for text, is_severe in section_warnings(section):
            colour = "white on red" if is_severe else "black on yellow"
            out.print(f"[bold {colour}] {escape(text)} [/]", soft_wrap=True)
        for table in section_tables(section):
            out.print(f"[italic]{escape(table.title)}[/]", soft_wrap=True)
            out.print(_rich_table(table))
        if any(not species.enough for compared in section.sets for species in compared.species):
            out.print(f"[dim]{FEW_NOTE}[/]")
        for note in section.notes:
            out.print(f"[dim]{escape(note)}[/]", soft_wrap=True)
        for verdict in (verdict for compared in section.sets for verdict in compared.verdicts):
            colour = COLOURS.get(verdict.answer, "yellow")
            out.print(
                f"“{verdict.claim}” ({verdict.basis}): [bold {colour}]{verdict.answer}[/]; {escape(verdict.sentence)}",
                soft_wrap=True,
            )
    if table := cross_validation_table(comparison.cross_validations):
        out.print(f"\n[italic]{escape(table.title)}[/]", soft_wrap=True)
        out.print(_transposed_table(table))
    for heading, lines in left_out_lists(comparison):
        out.print(f"\n[yellow]{escape(heading)}[/]")
        for line in lines[:MAX_LINES]:
            out.print(f"  {escape(line)}", soft_wrap=True)
        if len(lines) > MAX_LINES:
            out.print(f"  and {len(lines) - MAX_LINES} more (--json, --html and --markdown list them all)")


def comparison_markdown(comparison: Comparison) -> str:
    parts = [f"# {comparison_title(comparison)}"]
    for section in comparison.sections:
        parts.append(f"## {', '.join(section.names)} on {section.kind.name}")
        parts += [f"> **{text}**" for text, _ in section_warnings(section)]
        verdicts = [verdict for compared in section.sets for verdict in compared.verdicts]
        if verdicts:
            lines = (f"- “{one.claim}” ({one.basis}): **{one.answer}**; {one.sentence}" for one in verdicts)
            parts.append("\n".join(lines))
        for table in section_tables(section):
            parts += [f"**{table.title}**", _markdown_table(table)]
        parts.append("\n".join(f"- {note}" for note in (FEW_NOTE.replace("*", r"\*"), *section.notes)))
    if table := cross_validation_table(comparison.cross_validations):
        parts += ["## Cross-validation", f"**{table.title}**", _markdown_table(table)]
    for heading, lines in left_out_lists(comparison):
        parts += [f"## {heading}", "\n".join(f"- {line}" for line in lines)]
    return "\n\n".join(parts) + "\n"


def comparison_title(comparison: Comparison) -> str:
    if not comparison.others:
        return f"Cross-validation of {comparison.baseline}"
    return f"{', '.join(comparison.others)} against {comparison.baseline}"


def section_warnings(section: Section) -> list[tuple[str, bool]]:
    """Return facts that change the meaning of every number; True where the numbers measure nothing."""
    warnings = []
    if section.kind.leaks:
        text = "Split by segment: the same recordings were trained and tested on, so the accuracies are too high"
        warnings.append((text, True))
    if section.kind.shuffled:
        warnings.append(("Types shuffled: a control, in which every accuracy must be chance", True))
    if section.kind.synthetic:
        warnings.append(("Synthetic demo recordings: no result here applies to real birds", False))
    return warnings


def left_out_lists(comparison: Comparison) -> list[tuple[str, list[str]]]:
    """Return the runs that were not compared, with headings."""
    found = comparison.found
    lists = (
        ("Not compared", [f"{left_out.what}: {left_out.reason}" for left_out in comparison.left_out]),
        ("Not finished (no metrics.json)", [str(folder) for folder in found.unfinished]),
        ("Broken", [reason for _, reason in found.broken]),
    )
    return [(f"{heading}: {len(lines)}", lines) for heading, lines in lists if lines]


def _rich_table(text_table: TextTable) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for index, head in enumerate(text_table.heads):
        table.add_column(escape(head), justify="right" if index else "left", no_wrap=index == 0)
    for row in text_table.rows:
        table.add_row(*map(escape, row))
    return table


def _transposed_table(text_table: TextTable) -> Table:
    """Return a table with a column for each row, because many columns do not fit a terminal."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column(escape(text_table.heads[0]), no_wrap=True)
    for row in text_table.rows:
        table.add_column(escape(row[0]), justify="right")
    for index, head in enumerate(text_table.heads[1:], start=1):
        table.add_row(escape(head), *(escape(row[index]) for row in text_table.rows))
    return table


def _markdown_table(text_table: TextTable) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.strip().replace("|", r"\|").replace("*", r"\*") for cell in cells) + " |"

    rule = "|---|" + "---:|" * (len(text_table.heads) - 1)
    return "\n".join([line(text_table.heads), rule, *map(line, text_table.rows)])
