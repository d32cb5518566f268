"""Report of a finished run: plots in its directory, and a summary on the screen."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from rich.markup import escape
from rich.table import Table

from birdnet_nl.data.training_rules import FEW_TEST_RECORDINGS
from birdnet_nl.evaluation.annotated import describe_annotated_line
from birdnet_nl.evaluation.evaluate import Evaluation
from birdnet_nl.evaluation.plots import draw_confusion, draw_curves, draw_precision_recall, draw_reliability, encode_png
from birdnet_nl.util.console import display_path, log, screen

UNDEFINED = "–"


def draw_plots(report: Mapping[str, Any], evaluation: Evaluation) -> dict[str, Figure]:
    """Draw the plots of a run by file name, except those that show mels."""
    title = f"{report['species']['dutch']} · {report['parameter_set']} · seed {report['seed']}{leak_mark(report)}"
    curves = draw_curves(report["history"], report["best_epoch"], len(report["types"]), title, report["synthetic"])
    return {"curves": curves, **draw_evaluation(report, evaluation, f"{title} · test")}


def draw_evaluation(report: Mapping[str, Any], evaluation: Evaluation, title: str) -> dict[str, Figure]:
    """Draw confusion, reliability and precision–recall of the evaluated recordings."""
    types, synthetic = report["types"], report["synthetic"]
    probabilities, true_types = evaluation.probabilities.numpy(), evaluation.true_types.numpy()
    return {
        "confusion": draw_confusion(report["results"], types, title, synthetic),
        "reliability": draw_reliability(
            report["calibration"], report["decision"], len(types), title, synthetic, report.get("threshold_choice")
        ),
        "precision_recall": draw_precision_recall(probabilities, true_types, types, title, synthetic),
    }


def leak_mark(report: Mapping[str, Any]) -> str:
    """Return the mark in plot titles of a run with segments of one recording in training and test."""
    return " · LEAK" if report["split_by"] == "segment" else ""


def write_plots(run_dir: Path, figures: Mapping[str, Figure]) -> dict[str, bytes]:
    """Write `<name>.png` for each figure and return the contents."""
    pngs = {name: encode_png(figure) for name, figure in figures.items()}
    for name, png in pngs.items():
        (run_dir / f"{name}.png").write_bytes(png)
    return pngs


def print_result(report: dict[str, Any], run_dir: Path) -> None:
    """Print the metrics of the best weights on the test split, with controls, calibration and warnings."""
    if report.get("final"):
        print_final(report, run_dir)
        return
    types = report["types"]
    mark = "  [bold black on yellow] SYNTHETIC demo recordings [/]" if report["synthetic"] else ""
    screen.print(
        f"[bold]{report['species']['dutch']}[/] ({report['species']['scientific']}), "
        f"trainer={report['parameter_set']}, seed {report['seed']}{mark}",
        soft_wrap=True,
    )
    screen.print(result_table(report))
    if report["split_by"] == "segment":
        screen.print("[bold red]LEAK: segments of one recording are in training and test; metrics are far too good[/]")
    screen.print(
        f"test split, weights of epoch {report['best_epoch'] + 1} of {report['epochs']}; chance is "
        f"{1 / len(types):.0%}; \\[95 % intervals] over recordists; {report['seconds']['total']:.0f} s in total",
        soft_wrap=True,
    )
    for line in (
        describe_controls(report["controls"]),
        describe_calibration(report),
        describe_decision(report),
        *describe_sources(report),
        *describe_annotated_line(report),
    ):
        screen.print(line, soft_wrap=True)
    scores = report["results"]["recording"]
    if few := list_few(scores):
        screen.print(f"[yellow]Few test recordings ({few}): the metrics are a first impression.[/]", soft_wrap=True)
    screen.print(f"[bold]{display_path(run_dir)}[/]", soft_wrap=True)
    log.info("per recording: balanced accuracy %s, macro-F1 %s", scores["balanced_accuracy"], scores["macro_f1"])


def print_final(report: Mapping[str, Any], run_dir: Path) -> None:
    """Print the metrics of the folds that a final model took its length and decisions from."""
    final = report["final"]
    mark = "  [bold black on yellow] SYNTHETIC demo recordings [/]" if report["synthetic"] else ""
    screen.print(
        f"[bold]{report['species']['dutch']}[/], trainer={report['parameter_set']}, seed {report['seed']}: final "
        f"model, trained on all recordings{mark}",
        soft_wrap=True,
    )
    screen.print(result_table(report))
    screen.print(
        f"metrics of its {len(final['runs'])} folds, which were tested on other recordings than they were trained on; "
        f"chance is {1 / len(report['types']):.0%}; \\[95 % intervals] over recordists",
        soft_wrap=True,
    )
    for line in (describe_decision(report), *describe_sources(report)):
        screen.print(line, soft_wrap=True)
    screen.print(f"[bold]{display_path(run_dir)}[/]", soft_wrap=True)


def list_few(scores: Mapping[str, Any]) -> str:
    """List the types with few test recordings, such as `alarm 3`; empty when there are none."""
    return ", ".join(f"{name} {count}" for name, count in scores["counts"].items() if count < FEW_TEST_RECORDINGS)


def result_table(report: Mapping[str, Any]) -> Table:
    """Build a table of metrics with intervals, per recording and per segment."""
    table = Table("")
    for unit, scores in report["results"].items():
        bold = "bold" if unit == "recording" else ""
        table.add_column(f"per {unit} ({scores['count']})", justify="right", style=bold)
    metrics = (("balanced accuracy", "balanced_accuracy", ".1%"), ("macro-F1", "macro_f1", ".1%"))
    rows = [*metrics, ("AUROC", "auroc", ".3f")]
    for metric in ("recall", "precision"):
        rows += [(f"{metric} {name}", f"{metric}/{name}", ".0%") for name in report["types"]]
    for label, metric, form in rows:
        table.add_row(label, *(_with_interval(scores, metric, form) for scores in report["results"].values()))
    return table


def _with_interval(scores: Mapping[str, Any], metric: str, form: str) -> str:
    """Format as `69.4% [54–81]` or `0.873 [0.75–0.94]`; a dash where the metric is undefined."""
    name, _, type_name = metric.partition("/")
    value = scores[name][type_name] if type_name else scores[name]
    if value is None:
        return UNDEFINED
    low, high = scores["intervals"][metric]
    span = f"{100 * low:.0f}–{100 * high:.0f}" if form.endswith("%") else f"{low:.2f}–{high:.2f}"
    return f"{value:{form}} \\[{span}]"


def describe_controls(controls: Mapping[str, Any]) -> str:
    """Describe the baselines without audio on one line."""
    majority, metadata = controls["majority"], controls["metadata"]
    text = f"baselines without audio: always {majority['type']} {_percent(majority['balanced_accuracy'])}"
    if "absent" in metadata:
        return f"{text}; metadata only: {metadata['absent']}"
    low, high = metadata["intervals"].get("balanced_accuracy", (0, 1))
    columns = ", ".join(name.removesuffix("_s") for name in metadata["columns"])
    value = f"{_percent(metadata['balanced_accuracy'])} \\[{100 * low:.0f}–{100 * high:.0f}]"
    return f"{text}; metadata only ({columns}) {value} (balanced accuracy)"


def describe_sources(report: Mapping[str, Any]) -> list[str]:
    """Describe song against call on one line, where there are other types too, and on another that of each source.

    Sources with fewer than ten recordings are in `metrics.json` only.
    """
    lines, parts = [], []
    if (pair := report.get("song_against_call")) and len(report["types"]) > 2:
        lines.append(f"song against call: balanced accuracy {pair['balanced_accuracy']:.0%}, AUROC {pair['auroc']:.2f}")
    for source, scores in (report.get("sources") or {}).items():
        pair, every = scores["song_against_call"], scores["recording"]
        if pair is not None and scores["count"] >= FEW_TEST_RECORDINGS:
            three = "" if every is None or len(report["types"]) < 3 else f", all types {every['auroc']:.2f}"
            parts.append(f"{escape(source)} ({scores['count']}) {pair['auroc']:.2f}{three}")
    return lines + ([f"AUROC of song against call by source: {'; '.join(parts)}"] if parts else [])


def describe_calibration(report: Mapping[str, Any]) -> str:
    calibration = report["calibration"]
    if not calibration["fitted_on"]:
        return f"temperature 1 (too few validation recordings to fit one), ECE {calibration['after']['ece']:.2f}"
    return (
        f"temperature {calibration['temperature']:.2f}: "
        f"ECE {calibration['before']['ece']:.2f} → {calibration['after']['ece']:.2f} "
        f"(expected of perfect calibration: {calibration['ece_by_chance']:.2f})"
    )


def describe_decision(report: Mapping[str, Any]) -> str:
    decision = report["decision"]
    target = f"{decision['target_accuracy']:.0%}"
    if decision["threshold"] is None:  # of version 0.1
        return f"uncertain: all; on validation no threshold reached {target} accuracy with at least ten predictions"
    rest = "" if decision["accuracy_certain"] is None else f", {decision['accuracy_certain']:.0%} of the rest correct"
    return (
        f"uncertain (below {decision['threshold']:.2f}, {_describe_choice(report.get('threshold_choice'), target)}): "
        f"{1 - decision['certain_share']:.0%}{rest}"
    )


def _describe_choice(chosen: Mapping[str, Any] | None, target: str) -> str:
    """Describe the recordings that the threshold was chosen on, and what it gave there."""
    if chosen is None or chosen["reached"]:
        where = "validation" if chosen is None else f"{chosen['recordings']} other recordings"
        return f"where {where} reached {target}"
    if not chosen["recordings"]:
        return f"the wanted accuracy: too few validation recordings to choose another for {target}"
    return (
        f"{target} was out of reach on {chosen['recordings']} other recordings: there the most certain "
        f"{chosen['certain_share']:.0%} were {chosen['accuracy']:.0%} correct"
    )


def _percent(value: float | None) -> str:
    return UNDEFINED if value is None else f"{value:.0%}"
