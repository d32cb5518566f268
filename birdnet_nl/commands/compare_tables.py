"""A comparison in the terminal and as Markdown."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from birdnet_nl.commands.compare_rows import WordTable, tables_of
from birdnet_nl.commands.cross_validation_table import cross_validation_table
from birdnet_nl.comparison.compare import Comparison, Section
from birdnet_nl.comparison.verdicts import CONFIRMED, REFUTED

MAX_LINES = 8  # of what was left out
COLOURS = {CONFIRMED: "green", REFUTED: "red"}
FEW_NOTE = "* fewer than 10 test recordings of some type: a first impression"


def show_comparison(out: Console, comparison: Comparison) -> None:
    for section in comparison.sections:
        out.print(f"\n[bold]{escape(', '.join(section.names))}[/] on [bold]{escape(section.kind.name)}[/]")
        for text, grave in warnings_of(section):
            out.print(f"[bold {'white on red' if grave else 'black on yellow'}] {escape(text)} [/]", soft_wrap=True)
        for table in tables_of(section):
            out.print(f"[italic]{escape(table.title)}[/]", soft_wrap=True)
            out.print(_rich(table))
        if any(not one.enough for each in section.sets for one in each.species):
            out.print(f"[dim]{FEW_NOTE}[/]")
        for note in section.notes:
            out.print(f"[dim]{escape(note)}[/]", soft_wrap=True)
        for verdict in (verdict for each in section.sets for verdict in each.verdicts):
            colour = COLOURS.get(verdict.answer, "yellow")
            out.print(
                f"“{verdict.claim}” ({verdict.basis}): [bold {colour}]{verdict.answer}[/]; {escape(verdict.sentence)}",
                soft_wrap=True,
            )
    if table := cross_validation_table(comparison.cross_validations):
        out.print(f"\n[italic]{escape(table.title)}[/]", soft_wrap=True)
        out.print(_turned(table))
    for heading, lines in remainder(comparison):
        out.print(f"\n[yellow]{escape(heading)}[/]")
        for line in lines[:MAX_LINES]:
            out.print(f"  {escape(line)}", soft_wrap=True)
        if len(lines) > MAX_LINES:
            out.print(f"  and {len(lines) - MAX_LINES} more (--json, --html and --markdown name them all)")


def markdown_of(comparison: Comparison) -> str:
    parts = [f"# {title_of(comparison)}"]
    for section in comparison.sections:
        parts.append(f"## {', '.join(section.names)} on {section.kind.name}")
        parts += [f"> **{text}**" for text, _ in warnings_of(section)]
        verdicts = [verdict for each in section.sets for verdict in each.verdicts]
        if verdicts:
            parts.append(
                "\n".join(f"- “{one.claim}” ({one.basis}): **{one.answer}**; {one.sentence}" for one in verdicts)
            )
        for table in tables_of(section):
            parts += [f"**{table.title}**", _markdown(table)]
        parts.append("\n".join(f"- {note}" for note in (FEW_NOTE.replace("*", r"\*"), *section.notes)))
    if table := cross_validation_table(comparison.cross_validations):
        parts += ["## Cross-validation", f"**{table.title}**", _markdown(table)]
    for heading, lines in remainder(comparison):
        parts += [f"## {heading}", "\n".join(f"- {line}" for line in lines)]
    return "\n\n".join(parts) + "\n"


def title_of(comparison: Comparison) -> str:
    if not comparison.others:
        return f"Cross-validation of {comparison.baseline}"
    return f"{', '.join(comparison.others)} against {comparison.baseline}"


def warnings_of(section: Section) -> list[tuple[str, bool]]:
    """What changes the meaning of every number that follows; True where they are no measure of anything."""
    found = []
    if section.kind.leaks:
        text = "Split by segment: the same recordings were trained and tested on, so the accuracies are too high"
        found.append((text, True))
    if section.kind.shuffled:
        found.append(("Types shuffled: a control, in which every accuracy must be chance", True))
    if section.kind.synthetic:
        found.append(("Synthetic demo recordings: nothing here says anything about real birds", False))
    return found


def remainder(comparison: Comparison) -> list[tuple[str, list[str]]]:
    """What was not compared, with headings."""
    found = comparison.found
    lists = (
        ("Not compared", [f"{one.what}: {one.reason}" for one in comparison.left_out]),
        ("Not finished (no metrics.json)", [str(folder) for folder in found.unfinished]),
        ("Broken", [reason for _, reason in found.broken]),
    )
    return [(f"{heading}: {len(lines)}", lines) for heading, lines in lists if lines]


def _rich(words: WordTable) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for index, head in enumerate(words.heads):
        table.add_column(escape(head), justify="right" if index else "left", no_wrap=index == 0)
    for row in words.rows:
        table.add_row(*map(escape, row))
    return table


def _turned(words: WordTable) -> Table:
    """A wide table with a column per row, which a terminal holds."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column(escape(words.heads[0]), no_wrap=True)
    for row in words.rows:
        table.add_column(escape(row[0]), justify="right")
    for place, head in enumerate(words.heads[1:], start=1):
        table.add_row(escape(head), *(escape(row[place]) for row in words.rows))
    return table


def _markdown(words: WordTable) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.strip().replace("|", r"\|").replace("*", r"\*") for cell in cells) + " |"

    rule = "|---|" + "---:|" * (len(words.heads) - 1)
    return "\n".join([line(words.heads), rule, *map(line, words.rows)])
