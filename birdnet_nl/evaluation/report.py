"""What a finished run says on the screen, and the pictures it leaves."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from rich.table import Table

from birdnet_nl.data.training_rules import FEW_TEST_RECORDINGS
from birdnet_nl.evaluation.evaluate import Evaluation
from birdnet_nl.evaluation.pictures import encode_figure
from birdnet_nl.evaluation.plots import draw_confusion, draw_curves
from birdnet_nl.evaluation.probability_plots import draw_precision_recall, draw_reliability
from birdnet_nl.util.console import display_path, log, screen

NOTHING = "–"


def draw_plots(report: Mapping[str, Any], evaluation: Evaluation) -> dict[str, Figure]:
    """The figures of a run by the names of their files, but those that show mels."""
    title = f"{report['species']['dutch']} · {report['parameter_set']} · seed {report['seed']}{leak_mark(report)}"
    curves = draw_curves(report["history"], report["best_epoch"], len(report["types"]), title, report["synthetic"])
    return {"curves": curves, **draw_evaluation(report, evaluation, f"{title} · test")}


def draw_evaluation(report: Mapping[str, Any], evaluation: Evaluation, title: str) -> dict[str, Figure]:
    """What was answered to the recordings judged, and what its probabilities are worth."""
    types, synthetic = report["types"], report["synthetic"]
    return {
        "confusion": draw_confusion(report["results"], types, title, synthetic),
        "reliability": draw_reliability(report["calibration"], report["decision"], len(types), title, synthetic),
        "precision_recall": draw_precision_recall(
            evaluation.probabilities, evaluation.true_types, types, title, synthetic
        ),
    }


def leak_mark(report: Mapping[str, Any]) -> str:
    """What every picture says of a run that was tested on segments of recordings it was trained on."""
    return " · LEAK" if report["split_by"] == "segment" else ""


def write_plots(run_dir: Path, figures: Mapping[str, Figure]) -> dict[str, bytes]:
    """Writes `<name>.png` for each, and gives what was written."""
    pictures = {name: encode_figure(figure) for name, figure in figures.items()}
    for name, picture in pictures.items():
        (run_dir / f"{name}.png").write_bytes(picture)
    return pictures


def print_result(report: dict[str, Any], run_dir: Path) -> None:
    """One table and what belongs to it: what the best weights answered on recordings never trained on."""
    types = report["types"]
    mark = "  [bold black on yellow] SYNTHETIC demo recordings [/]" if report["synthetic"] else ""
    screen.print(
        f"[bold]{report['species']['dutch']}[/] ({report['species']['scientific']}), "
        f"trainer={report['parameter_set']}, seed {report['seed']}{mark}",
        soft_wrap=True,
    )
    screen.print(result_table(report))
    if report["split_by"] == "segment":
        screen.print("[bold red]LEAK: segments of one recording were trained on and tested; far too good[/]")
    screen.print(
        f"test split, weights of epoch {report['best_epoch'] + 1} of {report['epochs']}; chance is "
        f"{1 / len(types):.0%}; \\[95 % intervals] over recordists; {report['seconds']['total']:.0f} s in all",
        soft_wrap=True,
    )
    for line in (describe_controls(report["controls"]), describe_calibration(report), describe_decision(report)):
        screen.print(line, soft_wrap=True)
    tested = report["results"]["recording"]["counts"]
    few = ", ".join(f"{name} {tested[name]}" for name in types if tested[name] < FEW_TEST_RECORDINGS)
    if few:
        screen.print(f"[yellow]Few test recordings ({few}): read this as a first impression.[/]", soft_wrap=True)
    screen.print(f"[bold]{display_path(run_dir)}[/]", soft_wrap=True)
    scores = report["results"]["recording"]
    log.info("per recording: balanced accuracy %s, macro-F1 %s", scores["balanced_accuracy"], scores["macro_f1"])


def result_table(report: Mapping[str, Any]) -> Table:
    """Figures with intervals per recording, and beside them per segment."""
    table = Table()
    table.add_column("")
    for unit, scores in report["results"].items():
        bold = "bold" if unit == "recording" else ""
        table.add_column(f"per {unit} ({scores['count']})", justify="right", style=bold)
    rows = [
        ("balanced accuracy", "balanced_accuracy", ".1%"),
        ("macro-F1", "macro_f1", ".1%"),
        ("AUROC", "auroc", ".3f"),
    ]
    rows += [
        (f"{figure} {name}", f"{figure}/{name}", ".0%")
        for figure in ("recall", "precision")
        for name in report["types"]
    ]
    for label, figure, form in rows:
        table.add_row(label, *(_with_interval(scores, figure, form) for scores in report["results"].values()))
    return table


def _with_interval(scores: Mapping[str, Any], figure: str, form: str) -> str:
    """`69.4% [54–81]`, `0.873 [0.75–0.94]`, or a dash where the figure is absent."""
    name, _, kind = figure.partition("/")
    value = scores[name][kind] if kind else scores[name]
    if value is None:
        return NOTHING
    low, high = scores["intervals"][figure]
    span = f"{100 * low:.0f}–{100 * high:.0f}" if form.endswith("%") else f"{low:.2f}–{high:.2f}"
    return f"{value:{form}} \\[{span}]"


def describe_controls(controls: Mapping[str, Any]) -> str:
    """One line on what is scored without listening."""
    majority, metadata = controls["majority"], controls["metadata"]
    text = f"without listening: always {majority['type']} {_share(majority['balanced_accuracy'])}"
    if "absent" in metadata:
        return f"{text}; metadata alone: {metadata['absent']}"
    low, high = metadata["intervals"].get("balanced_accuracy", (0, 1))
    columns = ", ".join(name.removesuffix("_s") for name in metadata["columns"])
    figure = f"{_share(metadata['balanced_accuracy'])} \\[{100 * low:.0f}–{100 * high:.0f}]"
    return f"{text}; metadata alone ({columns}) {figure} (balanced accuracy)"


def describe_calibration(report: Mapping[str, Any]) -> str:
    calibration = report["calibration"]
    if not calibration["fitted_on"]:
        return f"temperature 1 (too few validation recordings to fit one), ECE {calibration['after']['ece']:.2f}"
    return (
        f"temperature {calibration['temperature']:.2f}: ECE {calibration['before']['ece']:.2f} → "
        f"{calibration['after']['ece']:.2f} (perfect probabilities would show {calibration['ece_by_chance']:.2f})"
    )


def describe_decision(report: Mapping[str, Any]) -> str:
    decision = report["decision"]
    wanted = f"{decision['wanted_accuracy']:.0%}"
    if decision["threshold"] is None:
        return f"onzeker: all; on validation no threshold made {wanted} of at least ten answers right"
    right = "" if decision["accuracy_answered"] is None else f", {decision['accuracy_answered']:.0%} of the rest right"
    return (
        f"onzeker (below {decision['threshold']:.2f}, where validation reached {wanted}): "
        f"{1 - decision['answered']:.0%}{right}"
    )


def _share(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.0%}"
