"""Learning curves in the pages of other commands: a plot and a sentence for each species that has one."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from birdnet_nl.util.errors import require_extra


def curve_sections(logs: Path, species: Collection[str]) -> dict[str, dict[str, Any]]:
    """Return title, plot and meaning of the newest curve of each of `species` that has one in `logs`, by slug."""
    from birdnet_nl.comparison.curve_files import latest_curves, summary

    curves = {slug: found for slug, found in latest_curves(logs).items() if slug in species}
    if not curves:
        return {}
    require_extra("matplotlib", "train")
    from birdnet_nl.comparison.curve_plot import draw_curve
    from birdnet_nl.evaluation.recording_plots import to_svg

    return {
        slug: {
            "title": f"{curve.dutch}: learning curve, trainer={curve.parameter_set}",
            "svg": to_svg(draw_curve(curve)),
            "summary": summary(curve),
            "synthetic": curve.synthetic,
            "folder": folder.name,
        }
        for slug, (curve, folder) in curves.items()
    }
