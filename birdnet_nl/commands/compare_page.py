"""Page of `birdnet-nl compare --html`: plots and tables in one file that needs no network."""

from collections.abc import Sequence
from typing import Any

from birdnet_nl.commands.compare_tables import format_ratio, mean_metric, section_tables
from birdnet_nl.commands.compare_text import FEW_NOTE, comparison_title, left_out_lists, section_warnings
from birdnet_nl.commands.cross_validation_table import cross_validation_table
from birdnet_nl.commands.pages import render_page
from birdnet_nl.comparison import plots
from birdnet_nl.comparison.compare import Comparison, Section
from birdnet_nl.comparison.verdicts import CONFIRMED, REFUTED, points
from birdnet_nl.evaluation.recording_plots import to_svg

MAX_ROWS, MAX_SPECIES = 20, 40  # longer tables, and plots of more species, are folded
PLOTS = (  # title, function, whether it takes the whole width
    ("balanced accuracy by species", plots.draw_species, True),
    ("speed against accuracy", plots.draw_speed_and_accuracy, False),
    ("reliability", plots.draw_reliability, False),
    ("training: thin a run, thick the mean", plots.draw_curves, True),
    ("true and predicted types", plots.draw_confusions, True),
)


def compare_page(comparison: Comparison) -> str:
    return render_page(
        "compare",
        title=comparison_title(comparison),
        runs=len(comparison.found.runs),
        sections=[_section(section) for section in comparison.sections],
        cross_validation=cross_validation_table(comparison.cross_validations),
        left_out=left_out_lists(comparison),
        max_rows=MAX_ROWS,
        verdict_classes={CONFIRMED: "yes", REFUTED: "no"},
    )


def _section(section: Section) -> dict[str, Any]:
    return {
        "name": section.kind.name,
        "warnings": section_warnings(section),
        "tiles": _tiles(section),
        "verdicts": [verdict for compared in section.sets for verdict in compared.verdicts],
        "legend": plots.colours_of(section.names),
        "plots": _draw_plots(section),
        "tables": section_tables(section),
        "notes": [FEW_NOTE, *section.notes],
    }


def _tiles(section: Section) -> Sequence[tuple[str, str]]:
    """Return the balanced accuracy of each set, and its difference and speed-up against the baseline."""
    tiles = []
    for name in section.names:
        results = [result for result in section.results if result.parameter_set == name]
        tiles.append((f"{mean_metric(results, 'balanced_accuracy'):.1%}", f"balanced accuracy, {name}"))
    for compared in section.sets:
        difference = points(compared.overall["balanced_accuracy"].over_species).partition(" (")[0]
        tiles.append((difference, f"{compared.parameter_set} against {compared.baseline}"))
        speed_up = format_ratio(compared.speed.train).partition(" (")[0]
        tiles.append((f"{speed_up} ×", f"as fast in training, {compared.parameter_set}"))
    return tiles


def _draw_plots(section: Section) -> list[dict[str, Any]]:
    many_species = len({result.subject for result in section.results}) > MAX_SPECIES
    figures = [(title, draw, wide, draw(section)) for title, draw, wide in PLOTS]
    return [
        {
            "title": title,
            "svg": to_svg(figure),
            "wide": wide,
            "folded": draw is plots.draw_species and many_species,
        }
        for title, draw, wide, figure in figures
        if figure is not None
    ]
