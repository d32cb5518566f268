"""The files and the table that a finished run leaves behind."""

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.loggers import TensorBoardLogger
from rich.table import Table

from birdnet_nl.audio.mel import Normalise
from birdnet_nl.console import log, screen, shown
from birdnet_nl.data.dataset import SegmentDataset
from birdnet_nl.evaluation.figures import draw_confusion, draw_curves, draw_examples
from birdnet_nl.evaluation.metrics import Predictions

FEW_RECORDINGS = 10  # below this many test recordings of a type its recall is little more than an anecdote


def show_examples(
    predictions: Predictions,
    dataset: SegmentDataset,
    normalise: Normalise,
    types: list[str],
    title: str,
    synthetic: bool,
):
    """Figure of three test segments per type: the surest right answer, a middling one, the surest wrong one."""
    answers, truth = predictions.probabilities.argmax(dim=1), predictions.true_types
    certainty = predictions.probabilities.amax(dim=1)
    chosen: list[int] = []
    for kind in range(len(types)):
        of_type = torch.nonzero(truth == kind).flatten()
        for right in (True, False):
            matching = of_type[(answers[of_type] == kind) == right]
            ranked = matching[certainty[matching].argsort(descending=True)].tolist()
            chosen += dict.fromkeys([*ranked[:1], *(ranked[len(ranked) // 2 :][:1] if right else [])])
    mels = normalise(dataset.__getitems__(chosen)[0]).numpy()
    return draw_examples(
        mels,
        [types[truth[index]] for index in chosen],
        [types[answers[index]] for index in chosen],
        [float(certainty[index]) for index in chosen],
        [
            f"{predictions.recording_ids[predictions.recordings[index]]} {_start(dataset, index, normalise)}"
            for index in chosen
        ],
        title,
        synthetic,
    )


def _start(dataset: SegmentDataset, index: int, normalise: Normalise) -> str:
    return f"{dataset.start_frames[index] / normalise.params.frames_per_s:.1f} s"


def write_figures(
    run_dir: Path, logger: TensorBoardLogger | None, report: dict[str, Any], history: list[dict[str, float]], examples
) -> None:
    """`confusion.png`, `curves.png` and `examples.png`, and the same in TensorBoard beside the test figures."""
    title = f"{report['species']['dutch']} · {report['parameter_set']} · seed {report['seed']}"
    types, synthetic = report["types"], report["synthetic"]
    figures = {
        "confusion": draw_confusion(report["results"], types, f"{title} · test", synthetic),
        "curves": draw_curves(history, report["best_epoch"], len(types), title, synthetic),
        "examples": examples,
    }
    for name, figure in figures.items():
        figure.savefig(run_dir / f"{name}.png")
        if logger is not None and name != "curves":
            logger.experiment.add_figure(f"test/{name}", figure, global_step=report["best_epoch"], close=False)
    if logger is not None:
        results = {
            f"test/{unit}_{name}": scores[name]
            for unit, scores in report["results"].items()
            for name in ("balanced_accuracy", "macro_f1", "auroc")
        }
        logger.log_hyperparams(report["parameters"], results, step=report["best_epoch"])


def print_result(report: dict[str, Any], run_dir: Path) -> None:
    """One table: what the best weights answered on recordings never trained on."""
    types = report["types"]
    mark = "  [bold black on yellow] SYNTHETIC demo recordings [/]" if report["synthetic"] else ""
    screen.print(
        f"[bold]{report['species']['dutch']}[/] ({report['species']['scientific']}), "
        f"trainer={report['parameter_set']}, seed {report['seed']}{mark}",
        soft_wrap=True,
    )
    table = Table()
    table.add_column("")
    for unit, scores in report["results"].items():
        table.add_column(
            f"per {unit} ({scores['count']})", justify="right", style="bold" if unit == "recording" else ""
        )
    for label, name, form in (
        ("balanced accuracy", "balanced_accuracy", ".1%"),
        ("macro-F1", "macro_f1", ".1%"),
        ("AUROC", "auroc", ".3f"),
    ):
        table.add_row(label, *(format(scores[name], form) for scores in report["results"].values()))
    for name in types:
        table.add_row(f"recall {name}", *(f"{scores['recall'][name]:.0%}" for scores in report["results"].values()))
    screen.print(table)
    screen.print(
        f"test split, weights of epoch {report['best_epoch'] + 1} of {report['epochs']}; chance is "
        f"{1 / len(types):.0%}; {report['seconds']['total']:.0f} s in all",
        soft_wrap=True,
    )
    tested = report["counts"]["recordings"]["test"]
    few = ", ".join(f"{name} {tested[name]}" for name in types if tested[name] < FEW_RECORDINGS)
    if few:
        screen.print(f"[yellow]Few test recordings ({few}): read this as a first impression.[/]", soft_wrap=True)
    screen.print(f"[bold]{shown(run_dir)}[/]", soft_wrap=True)
    scores = report["results"]["recording"]
    log.info("per recording: balanced accuracy %.3f, macro-F1 %.3f", scores["balanced_accuracy"], scores["macro_f1"])
