"""`birdnet-nl curve`: accuracy against number of training recordings, and how many more a species needs."""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from birdnet_nl.species.table import match_species
from birdnet_nl.util.console import display_path, output_console, warn
from birdnet_nl.util.errors import DataError, RunError, SelectionError, require_extra
from birdnet_nl.util.files import atomic_path, user_path

if TYPE_CHECKING:
    from birdnet_nl.comparison.curve_points import LearningCurve

SHARES = "0.1,0.2,0.4,0.7,1"
TARGET = 0.75  # as in comparison/learning_curve.py, which imports numpy


def curve_command(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SPECIES | KEY=VALUE]...",
            help="Names or slugs, and arguments of python train.py such as trainer=turbo or data.pool=all.",
        ),
    ] = None,
    shares: Annotated[str, typer.Option(help="Shares of the training split to train on.")] = SHARES,
    folds: Annotated[int, typer.Option(help="Cross-validation folds; 0 for a single split.")] = 5,
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds, each with splits of its own.")] = 1,
    target: Annotated[
        float, typer.Option(min=0, max=1, help="Balanced accuracy per test recording from which a species is usable.")
    ] = TARGET,
    logs: Annotated[Path, typer.Option(help="Folder of the sweeps.")] = Path("logs"),
) -> None:
    """Measure how accuracy grows with the number of training recordings, and estimate how many more are needed.

    Trains on nested shares of the training split, with the same validation and test recordings, as a sweep: after an
    interruption the same command continues. Writes curve.json, curve.csv and plots to the folder of the sweep.

    Example: birdnet-nl curve koolmees trainer=turbo
    """
    require_extra("torch", "train")
    require_extra("matplotlib", "train")
    from birdnet_nl.commands.train_main import main
    from birdnet_nl.comparison.curve_files import write_curves
    from birdnet_nl.comparison.curve_points import learning_curves
    from birdnet_nl.comparison.finished_runs import find_runs
    from birdnet_nl.sweep.path_arguments import quoted

    words = words or []
    arguments = sweep_arguments(words, shares, folds, seeds)
    given = [word.partition("=")[2] for word in words if word.startswith("paths.logs=")]
    logs = user_path(given[-1] if given else logs)
    folder = logs / folder_name(arguments)
    places = [f"hydra.sweep.dir={quoted(str(folder))}"] + ([] if given else [f"paths.logs={quoted(str(logs))}"])
    code = main(["-m", *arguments, *places])
    if code > 1 or (code and not folder.is_dir()):  # interrupted, or not started
        raise typer.Exit(code)
    found = find_runs([folder]).runs
    if not found:
        raise RunError(f"no training in {display_path(folder)} is finished, so there is no curve; see the lines above")
    curves = learning_curves(found, target)
    out = output_console()
    for curve in curves:
        print_curve(out, curve)
    for path in [*write_curves(folder, curves), *write_plots(folder, curves)]:
        out.print(f"written: {display_path(path)}", soft_wrap=True)
    if code:
        warn("not every training is finished: the curve is that of the others; the same command tries them again")
        raise typer.Exit(code)


def sweep_arguments(words: Sequence[str], shares: str, folds: int, seeds: int) -> list[str]:
    """Return the arguments of the sweep, without `-m` and its folder; `KEY=VALUE` words replace the options.

    Raises `SelectionError` for species that do not exist, and for shares or folds that are not possible.
    """
    given = [word for word in words if "=" in word]
    keys = {word.partition("=")[0].lstrip("+~") for word in given}
    names = [word for word in words if "=" not in word]
    slugs = list(dict.fromkeys(species.slug for name in names for species in match_species(name)))
    if not slugs and not keys & {"species", "data.pool"}:
        raise SelectionError("no species named; try birdnet-nl curve koolmees, or data.pool=all")
    if slugs and keys & {"species", "data.pool"}:
        raise SelectionError("give either species or data.pool=…, not both")
    if folds and folds < 3:
        raise SelectionError(f"--folds {folds} is not possible; give at least 3, or 0 for a single split")
    arguments = [f"species={','.join(slugs)}"] if slugs else []
    arguments += [word for word in given if not word.startswith("paths.logs=")]
    if "data.training_share" not in keys:
        arguments.append(f"data.training_share={','.join(_parse_shares(shares))}")
    if folds and not keys & {"data.folds", "data.fold", "data.test_source"}:
        arguments += [f"data.folds={folds}", f"data.fold={','.join(map(str, range(folds)))}"]
    if "seed" not in keys and seeds > 1:
        arguments.append(f"seed={','.join(str(seed) for seed in range(1, seeds + 1))}")
    if "evaluation.plots" not in keys:
        arguments.append("evaluation.plots=false")
    return arguments


def _parse_shares(text: str) -> list[str]:
    try:
        values = sorted({float(part) for part in text.split(",")})
    except ValueError:
        values = []
    if len(values) < 2 or not values[0] > 0 or values[-1] > 1:
        raise SelectionError(f"--shares {text} is not possible; give two or more numbers up to 1, such as {SHARES}")
    return [f"{value:g}" for value in values]


def folder_name(arguments: Sequence[str]) -> str:
    """Return the name of the sweep's folder, the same for the same arguments, so that the same command continues."""
    values = dict(argument.partition("=")[::2] for argument in arguments)
    subject = values.get("species") or f"pool-{values.get('data.pool', '')}"
    readable = re.sub(r"[^\w]+", "-", f"{subject[:40]}-{values.get('trainer', 'fast')}").strip("-")
    digest = hashlib.sha256("\n".join(sorted(arguments)).encode()).hexdigest()[:6]
    return f"sweep-curve-{readable}-{digest}"


def print_curve(out: Console, curve: "LearningCurve") -> None:
    """Print a row per size, and what the curve means."""
    from birdnet_nl.comparison.curve_files import summary

    title = f"[bold]{escape(curve.dutch)}[/], trainer={escape(curve.parameter_set)}: {', '.join(curve.types)}"
    table = Table("share", title=title, title_justify="left")
    for name in ("training recordings", "runs", "balanced accuracy", "AUROC"):
        table.add_column(name, justify="right")
    for point in curve.points:
        low, high = point.intervals["balanced_accuracy"]
        auroc_low, auroc_high = point.intervals["auroc"]
        table.add_row(
            f"{point.share:g}",
            f"{point.recordings:.0f}",
            str(point.runs),
            f"{point.values['balanced_accuracy']:.1%} [{100 * low:.0f}–{100 * high:.0f}]",
            f"{point.values['auroc']:.3f} [{auroc_low:.2f}–{auroc_high:.2f}]",
        )
    out.print(table)
    if curve.synthetic:
        out.print("[black on yellow]SYNTHETIC demo recordings: nothing here applies to real birds[/]")
    out.print(f"{escape(curve.species)}: {escape(summary(curve))}", soft_wrap=True)
    law = curve.decisive.law
    if law:
        low, high = curve.decisive.limit
        out.print(
            f"fitted: {law.limit:.3f} - {law.gap:.3f} · (n / {law.scale:.0f})^-{law.exponent:.2f}, limit "
            f"[{low:.2f}–{high:.2f}]",
            style="dim",
            soft_wrap=True,
        )
    for text in curve.left_out:
        out.print(f"[yellow]left out, not finished at every share: {escape(text)}[/]", soft_wrap=True)


def write_plots(folder: Path, curves: Sequence["LearningCurve"]) -> list[Path]:
    """Write `curve-<species>.png` and `.svg`; raises `DataError` where they cannot be written."""
    from birdnet_nl.comparison.curve_plot import draw_curve

    paths = []
    for curve in curves:
        figure = draw_curve(curve)
        for suffix in ("png", "svg"):
            path = folder / f"curve-{curve.species}.{suffix}"
            try:
                with atomic_path(path) as beside:
                    figure.savefig(beside, format=suffix, dpi=150)
            except OSError as error:
                raise DataError(f"{path} cannot be written ({error.strerror}); make room there") from None
            paths.append(path)
    return paths
