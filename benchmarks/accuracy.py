"""Accuracy of variants on real recordings: folds, seeds, intervals over recordists, one table.

    python -m benchmarks.accuracy --root ../recordings --variants turbo "original's recipe" --seeds 1 2 3
    python -m benchmarks.accuracy --root ../recordings --add "wide=trainer=turbo mel=wide" --variants turbo wide
    python -m benchmarks.accuracy --root ../recordings --variants turbo birdnet --join turbo birdnet

All species are pooled, no recordist is in two splits, and every recording is tested once for each seed. Finished runs
are not repeated, and a stopped command continues with the run in which it was stopped. `--validation` shows metrics of
the validation recordings instead of the test recordings: choose by these, and look at the test afterwards. `--join`
multiplies the probabilities of two variants. `--external FOLDER` adds other recordings, by recordists not seen in
training: look at them once for each recipe.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.external import summarise_external
from birdnet_nl.comparison.finished_runs import FinishedRun, read_run
from birdnet_nl.comparison.predictions import RunPredictions, between
from birdnet_nl.comparison.results import join_folds
from birdnet_nl.evaluation.intervals import DRAWS, draw_weights, interval, weighted_metrics

ROOT = Path(__file__).resolve().parents[1]
VARIANTS = {
    "turbo": "trainer=turbo",
    "turbo from random weights": "trainer=turbo model.pretrained=null",
    "birdnet_svm": "trainer=birdnet_svm",
    "birdnet_combined": "trainer=birdnet_combined",
    "birdnet": "trainer=birdnet",
    "birdnet without synthetic recordings": "trainer=birdnet data.synthetic_recordings=0",
    "birdnet, linear": "trainer=birdnet model.landmarks=0 model.l2=0.1",
    "distilled": "trainer=distilled",
    "frozen": "trainer=frozen",
    "frozen without synthetic recordings": "trainer=frozen data.synthetic_recordings=0",
    "original's recipe": "trainer=fast",
    "turbo, shuffled types": "trainer=turbo data.shuffle_types=true",
    "birdnet, shuffled types": "trainer=birdnet data.shuffle_types=true",
    "distilled, shuffled types": "trainer=distilled data.shuffle_types=true",
    "frozen, shuffled types": "trainer=frozen data.shuffle_types=true",
}
CONTROLS = ("majority", "metadata")
EXTERNAL = {  # columns of the external test
    "external: song against call": "song_call",
    "balanced accuracy": "song_call_balanced_accuracy",
    "recall song": "recall_song",
    "recall call": "recall_call",
}
METRICS = {"balanced accuracy": "balanced_accuracy", "AUROC": "auroc", "song against call": "song_call"}


def train(overrides: Sequence[str], run_dir: Path) -> None:
    """Train in a new process; a finished run is kept, and a stopped run is resumed."""
    if (run_dir / "metrics.json").is_file():
        return
    started = (run_dir / "config.yaml").is_file()
    arguments = [f"resume={run_dir}"] if started else [*overrides, f"hydra.run.dir={run_dir}"]
    command = [sys.executable, "train.py", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"train.py {' '.join(arguments)} failed:\n{(done.stdout + done.stderr)[-2000:]}")


def run_overrides(root: Path, folds: int, fold: int, seed: int, variant: str) -> list[str]:
    """Return the arguments of `train.py` for one fold and seed; `variant` is a line of overrides."""
    pooled = ["data.pool=all", f"data.root={root}", f"data.folds={folds}", f"data.fold={fold}", f"seed={seed}"]
    return [*pooled, *variant.split()]


def mean_metrics(seeds: Sequence[RunPredictions]) -> dict[str, dict[str, float]]:
    """Compute the mean of each metric over seeds, with its 95 % interval over recordists: {metric: {mean, low, high}}.

    Each draw of recordists is the same for all seeds, so that the interval is that of the mean.
    """
    names = sorted({group for predictions in seeds for group in predictions.groups})
    columns = {name: index for index, name in enumerate(names)}
    weights = np.concatenate([np.ones((1, len(names))), draw_weights(len(names), DRAWS, seed=0)])
    drawn: dict[str, list[np.ndarray]] = {name: [] for name in METRICS.values()}
    for predictions in seeds:
        metrics = _weighted(predictions, columns, weights)
        drawn["balanced_accuracy"].append(metrics["balanced_accuracy"])
        drawn["auroc"].append(metrics["auroc"])
        drawn["song_call"].append(_weighted(between(predictions, "song", "call"), columns, weights)["auroc"])
    result = {}
    for name, of_seeds in drawn.items():
        values = np.mean(of_seeds, axis=0)  # [1 + draws]
        low, high = interval(float(values[0]), values[1:], len(names))
        result[name] = {"mean": float(values[0]), "low": low, "high": high}
    return result


def _weighted(predictions: RunPredictions, columns: Mapping[str, int], weights: np.ndarray) -> dict[str, np.ndarray]:
    """Compute all metrics for each weighting [draws, recordists]; `columns` has the column of each recordist."""
    groups = np.array([columns[group] for group in predictions.groups])
    return weighted_metrics(predictions.probabilities, predictions.truth, groups, predictions.types, weights)


def summarise(runs: Sequence[FinishedRun]) -> dict[str, Any]:
    """Summarise a variant: metrics of the tested recordings, and means over runs of validation, controls and cost."""
    by_seed = {seed: [run for run in runs if run.seed == seed] for seed in sorted({run.seed for run in runs})}
    results = [join_folds(of_seed) for of_seed in by_seed.values()]
    reports = [run.report for run in runs]
    return {
        "seeds": list(by_seed),
        "recordings": len(results[0].predictions.truth),
        "test": mean_metrics([result.predictions for result in results]),
        "of_seeds": [{name: result.metric(name) for name in ("balanced_accuracy", "auroc")} for result in results],
        "validation": {name: _mean_of(reports, "validation", name) for name in ("loss", "recording_balanced_accuracy")},
        "controls": {name: _mean_of(reports, "controls", name, "balanced_accuracy") for name in CONTROLS},
        "train_s": _mean_of(reports, "seconds", "train"),
        "weights": reports[0].get("weights"),
    }


def join_variants(first: Sequence[FinishedRun], second: Sequence[FinishedRun]) -> dict[str, Any]:
    """Summarise the product of two variants as `summarise` does; runs keep no predictions of validation recordings."""
    seeds = sorted({run.seed for run in first} & {run.seed for run in second})
    products = [
        multiply(*(join_folds([run for run in runs if run.seed == seed]).predictions for runs in (first, second)))
        for seed in seeds
    ]
    return {
        "seeds": seeds,
        "recordings": len(products[0].truth),
        "test": mean_metrics(products),
        "validation": {"loss": None, "recording_balanced_accuracy": None},
        "controls": dict.fromkeys(CONTROLS),
        "train_s": None,
        "weights": None,
    }


def multiply(first: RunPredictions, second: RunPredictions) -> RunPredictions:
    """Multiply the probabilities, as of independent predictions; raises `ValueError` unless for the same recordings."""
    if (first.ids, first.types) != (second.ids, second.types) or (first.truth != second.truth).any():
        raise ValueError("the two variants were not tested on the same recordings; give both the same folds and seeds")
    product = np.maximum(first.probabilities, 1e-6) * np.maximum(second.probabilities, 1e-6)
    product /= product.sum(axis=1, keepdims=True)
    return replace(first, probabilities=product, predicted=product.argmax(axis=1))


def _mean_of(reports: Sequence[Mapping[str, Any]], *path: str) -> float | None:
    """Average a value over the reports that have it; None where none has."""
    values = []
    for report in reports:
        value: Any = report
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        values += [] if value is None else [value]
    return mean(values) if values else None


def table(summary: Mapping[str, Mapping[str, Any]], validation: bool) -> Table:
    """Build a table with a row for each variant; with `validation` it shows nothing of the test."""
    shown = Table(title="validation recordings" if validation else "test recordings of all folds")
    columns = ("loss per segment", "balanced accuracy") if validation else tuple(METRICS)
    for column in ("variant", *columns, "training, s a run", "weights"):
        shown.add_column(column, justify="left" if column == "variant" else "right")
    for name, variant in summary.items():
        if validation:
            cells = [_number(variant["validation"][key], ".3f") for key in ("loss", "recording_balanced_accuracy")]
        else:
            cells = ["{mean:.3f} [{low:.2f}–{high:.2f}]".format(**variant["test"][key]) for key in METRICS.values()]
        shown.add_row(name, *cells, _number(variant["train_s"], ".0f"), _number(variant["weights"], ","))
    for name in () if validation else CONTROLS:
        values = [variant["controls"][name] for variant in summary.values() if variant["controls"][name] is not None]
        if values:
            shown.add_row(f"{name}, without audio", f"{mean(values):.3f}", *[""] * 4)
    return shown


def external_table(summary: Mapping[str, Mapping[str, Any]]) -> Table:
    """Build a table of the external test, with a row for each variant."""
    shown = Table(title="external test, mean over runs")
    for column in ("variant", *EXTERNAL):
        shown.add_column(column, justify="left" if column == "variant" else "right")
    for name, variant in summary.items():
        if "external" in variant:
            shown.add_row(name, *[_number(variant["external"][key], ".3f") for key in EXTERNAL.values()])
    return shown


def _number(value: float | None, format_spec: str) -> str:
    return "" if value is None else format(value, format_spec)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--root", type=Path, required=True, help="folder of recordings, as data.root")
    parser.add_argument("--variants", nargs="+", default=["turbo"], metavar="NAME", help="; ".join(VARIANTS))
    parser.add_argument("--add", nargs="+", default=[], metavar="NAME=OVERRIDES", help="further variants")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--threads", type=int, help="engine.threads of every run")
    parser.add_argument("--runs", type=Path, default=Path("logs/accuracy"), help="folder in which the runs are kept")
    parser.add_argument("--validation", action="store_true", help="show validation recordings, not test recordings")
    parser.add_argument("--join", nargs=2, metavar="NAME", help="two of the variants, whose probabilities to multiply")
    parser.add_argument("--external", type=Path, help="folder of other recordings to evaluate every run on")
    parser.add_argument("--out", type=Path, help="JSON file for the metrics")
    options = parser.parse_args()
    variants = VARIANTS | dict(text.split("=", 1) for text in options.add)
    unknown = [name for name in options.variants if name not in variants]
    if unknown:
        parser.error(f"there is no variant {'; '.join(unknown)}; choose from {'; '.join(variants)}, or --add it")
    if options.join and not set(options.join) <= set(options.variants):
        parser.error(f"--join {' '.join(options.join)}: both must be among --variants")
    threads = f"engine.threads={options.threads} " if options.threads else ""
    root = options.root.resolve()
    summary, runs_of = {}, {}

    def write() -> None:
        if options.out:
            options.out.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")

    for name in options.variants:
        folder = options.runs.resolve() / name.replace(" ", "-").replace("'", "").replace(",", "")
        runs = []
        for seed in options.seeds:
            for fold in range(options.folds):
                run_dir = folder / f"seed-{seed}" / f"fold-{fold}"
                train(run_overrides(root, options.folds, fold, seed, threads + variants[name]), run_dir)
                runs.append(read_run(run_dir))
        summary[name], runs_of[name] = summarise(runs), runs
        if options.external:
            summary[name]["external"] = summarise_external(runs, options.external.resolve())
        Console(width=140).print(table({name: summary[name]}, options.validation))
        write()
    if options.join and not options.validation:
        summary[" × ".join(options.join)] = join_variants(*(runs_of[name] for name in options.join))
        write()
    Console(width=140).print(table(summary, options.validation))
    if options.external:
        Console(width=140).print(external_table(summary))


if __name__ == "__main__":
    main()
