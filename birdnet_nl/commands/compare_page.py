"""A comparison as one page that needs nothing from anywhere: pictures and style are inside."""

from collections.abc import Sequence
from html import escape

from birdnet_nl.commands.compare_rows import WordTable, mean_figure, tables_of, times
from birdnet_nl.commands.compare_tables import FEW_NOTE, remainder, title_of, warnings_of
from birdnet_nl.commands.cross_validation_table import cross_validation_table
from birdnet_nl.commands.data_page_style import STYLE
from birdnet_nl.comparison import plots as plots
from birdnet_nl.comparison.compare import Comparison, Section
from birdnet_nl.comparison.verdicts import CONFIRMED, REFUTED, points
from birdnet_nl.evaluation.recording_plots import to_svg

VERDICT_CLASSES = {CONFIRMED: "yes", REFUTED: "no"}
LONG_TABLE, MAX_DRAWN = 20, 40  # rows and species; longer tables and pictures are folded
MORE_STYLE = """
.banner { border-radius: 8px; padding: .6rem .9rem; margin: .8rem 0; font-weight: 600; background: var(--warn); }
.banner.grave { background: #b3203a; color: #fff; }
.verdicts li { margin: .45rem 0; } .verdicts { padding-left: 1.1rem; margin: .6rem 0; }
.legend b { font-weight: 600; }
"""


def page_of(comparison: Comparison) -> str:
    title = title_of(comparison)
    parts = [_section(section, index) for index, section in enumerate(comparison.sections)]
    contents = ""
    if len(comparison.sections) > 1:
        links = "".join(
            f'<li><a href="#section{index}">{escape(section.kind.name)}</a></li>'
            for index, section in enumerate(comparison.sections)
        )
        contents = f'<ul class="verdicts">{links}</ul>'
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}{MORE_STYLE}</style>'
        f"</head>\n<body>\n<h1>{escape(title)}</h1>"
        f'<p class="soft">{len(comparison.found.runs)} finished runs; runs are compared on the same test recordings '
        f"only.</p>{contents}\n{''.join(parts)}\n{_cross_validations(comparison)}{_remainder(comparison)}</body></html>\n"
    )


def _section(section: Section, index: int) -> str:
    colours = plots.colours_of(section.names)
    legend = "".join(
        f'<span><i class="chip" style="background:{colour}"></i><b>{escape(name)}</b></span>'
        for name, colour in colours.items()
    )
    banners = "".join(
        f'<p class="banner{" grave" if grave else ""}">{escape(text)}.</p>' for text, grave in warnings_of(section)
    )
    overall, seconds, *others = tables_of(section)
    notes = [FEW_NOTE, *section.notes]
    return (
        f'<h2 id="section{index}">{escape(section.kind.name.capitalize())}</h2>{banners}'
        + _tiles(section)
        + _verdicts(section)
        + f'<p class="legend">{legend}</p>'
        + f'<div class="grid"><div class="card wide scroll">{_table(overall)}</div>'
        + f'<div class="card wide scroll">{_table(seconds)}</div>'
        + _pictures(section)
        + "".join(f'<div class="card wide scroll">{_table(table)}</div>' for table in others)
        + "</div>"
        + "".join(f'<p class="soft">{escape(note)}</p>' for note in notes)
    )


def _tiles(section: Section) -> str:
    """Balanced accuracy of each set, and what each gains or loses."""
    tiles = []
    for name in section.names:
        mean = mean_figure([one for one in section.results if one.parameter_set == name], "balanced_accuracy")
        tiles.append((f"{mean:.1%}", f"balanced accuracy, {name}"))
    for each in section.sets:
        tiles.append((points(each.overall["balanced_accuracy"].over_species).partition(" (")[0],
                      f"{each.parameter_set} against {each.baseline}"))  # fmt: skip
        tiles.append((f"{times(each.speed.train).partition(' (')[0]} ×", f"as fast in training, {each.parameter_set}"))
    cells = "".join(f"<div class=tile><b>{escape(a)}</b><span>{escape(b)}</span></div>" for a, b in tiles)
    return f'<div class="tiles">{cells}</div>'


def _verdicts(section: Section) -> str:
    found = [verdict for each in section.sets for verdict in each.verdicts]
    items = "".join(
        f"<li>“{escape(one.claim)}” <span class=soft>({escape(one.basis)})</span>: "
        f'<span class="{VERDICT_CLASSES.get(one.answer, "just")}">{escape(one.answer)}</span>; '
        f"{escape(one.sentence)}.</li>"
        for one in found
    )
    return f'<h3 style="margin-top:1rem">The claims for fast</h3><ul class="verdicts">{items}</ul>' if found else ""


def _pictures(section: Section) -> str:
    drawings = {
        "balanced accuracy by species": (plots.draw_species, " wide scroll"),
        "speed against accuracy": (plots.draw_speed_and_accuracy, ""),
        "reliability": (plots.draw_reliability, ""),
        "training: thin a run, thick the mean": (plots.draw_curves, " wide scroll"),
        "true types and answers": (plots.draw_confusions, " wide scroll"),
    }
    cards = []
    for title, (draw, css) in drawings.items():
        figure = draw(section)
        if figure is not None:
            picture = f"<h3>{title}</h3>{to_svg(figure)}"
            if draw is plots.draw_species and len({one.subject for one in section.results}) > MAX_DRAWN:
                picture = f"<details><summary>{title}</summary>{to_svg(figure)}</details>"
            cards.append(f'<div class="card{css}">{picture}</div>')
    return "".join(cards)


def _table(words: WordTable) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in words.heads)
    rows = "".join("<tr>" + "".join(f"<td>{_cell(cell)}</td>" for cell in row) + "</tr>" for row in words.rows)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    if len(words.rows) > LONG_TABLE:
        return f"<details><summary>{escape(words.title)} ({len(words.rows)} rows)</summary>{table}</details>"
    return f'<p class="soft" style="white-space:normal">{escape(words.title)}</p>{table}'


def _cell(text: str) -> str:
    indented = text.startswith("  ")
    return f"<span class=soft>&nbsp; {escape(text.strip())}</span>" if indented else escape(text)


def _cross_validations(comparison: Comparison) -> str:
    table = cross_validation_table(comparison.cross_validations)
    return f'<h2>Cross-validation</h2><div class="card wide scroll">{_table(table)}</div>' if table else ""


def _remainder(comparison: Comparison) -> str:
    return "".join(f"<details><summary>{escape(heading)}</summary>{_items(lines)}</details>"
                   for heading, lines in remainder(comparison))  # fmt: skip


def _items(lines: Sequence[str]) -> str:
    return '<ul class="verdicts soft">' + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"
