"""What each variant is worth on real recordings: folds, seeds, intervals over recordists, one table.

    python -m benchmarks.accuracy --root ../recordings --variants turbo "original's recipe" --seeds 1 2 3
    python -m benchmarks.accuracy --root ../recordings --add "wide=trainer=turbo mel=wide" --variants turbo wide
    python -m benchmarks.accuracy --root ../recordings --variants turbo birdnet --join turbo birdnet

All species are pooled, recordists apart, and every recording is tested once for each seed. Runs that are there already
are not repeated, so a stopped command goes on where it was. `--validation` shows the figures of validation recordings
in place of the test's: choose with these, and look at the test when you have chosen. `--join` multiplies the
probabilities of two variants, as of two who listened independently.
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

from birdnet_nl.comparison.finished_runs import FinishedRun, read_run
from birdnet_nl.comparison.predictions import RunPredictions, between
from birdnet_nl.comparison.results import join_folds
from birdnet_nl.evaluation.intervals import DRAWS, draw_weights, interval
from birdnet_nl.evaluation.weighted_metrics import weighted_metrics

ROOT = Path(__file__).resolve().parents[1]
VARIANTS = {
    "turbo": "trainer=turbo",
    "turbo without practice": "trainer=turbo practice.use=never",
    "birdnet": "model=birdnet",
    "birdnet without practice": "model=birdnet practice.use=never",
    "modulation": "model=modulation",
    "modulation without practice": "model=modulation practice.use=never",
    "practised": "model=practised",
    "practised without practice": "model=practised practice.use=never",
    "student": "model=student",
    "student of answers": "trainer=turbo teacher={runs}/birdnet",
    "bags of three": "trainer=turbo data.crops.bag=3",
    "original's recipe": "trainer=fast",
    "shuffled types": "trainer=turbo data.shuffle_types=true",
    "birdnet with shuffled types": "model=birdnet data.shuffle_types=true",
    "practised with shuffled types": "model=practised data.shuffle_types=true",
    "student with shuffled types": "model=student data.shuffle_types=true",
}
CONTROLS = ("majority", "metadata")
FIGURES = {"balanced accuracy": "balanced_accuracy", "AUROC": "auroc", "song against call": "song_call"}


def train(overrides: Sequence[str], run_dir: Path) -> None:
    """In a process of its own, unless the run is there; one that was stopped goes on."""
    if (run_dir / "metrics.json").is_file():
        return
    started = (run_dir / "config.yaml").is_file()
    words = [f"resume={run_dir}"] if started else [*overrides, f"hydra.run.dir={run_dir}"]
    done = subprocess.run([sys.executable, "train.py", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"train.py {' '.join(words)} failed:\n{(done.stdout + done.stderr)[-2000:]}")


def figures_of(seeds: Sequence[RunPredictions]) -> dict[str, dict[str, float]]:
    """Mean over seeds of each figure, with its 95 % interval over recordists: {figure: {mean, low, high}}.

    Every draw of recordists is the same for all seeds, so that the interval is that of the mean.
    """
    names = sorted({group for answers in seeds for group in answers.groups})
    place = {name: index for index, name in enumerate(names)}
    weights = np.concatenate([np.ones((1, len(names))), draw_weights(len(names), DRAWS, seed=0)])
    drawn: dict[str, list[np.ndarray]] = {name: [] for name in FIGURES.values()}
    for answers in seeds:
        every = _weighted(answers, place, weights)
        drawn["balanced_accuracy"].append(every["balanced_accuracy"])
        drawn["auroc"].append(every["auroc"])
        drawn["song_call"].append(_weighted(between(answers, "song", "call"), place, weights)["auroc"])
    result = {}
    for name, of_seeds in drawn.items():
        values = np.mean(of_seeds, axis=0)  # [1 + draws]
        low, high = interval(float(values[0]), values[1:], len(names))
        result[name] = {"mean": float(values[0]), "low": low, "high": high}
    return result


def _weighted(answers: RunPredictions, place: Mapping[str, int], weights: np.ndarray) -> dict[str, np.ndarray]:
    """Each figure for each weighting of the recordists [draws, recordists]; `place` is the column of each."""
    groups = np.array([place[group] for group in answers.groups])
    return weighted_metrics(answers.probabilities, answers.truth, groups, answers.types, weights)


def summarise(runs: Sequence[FinishedRun]) -> dict[str, Any]:
    """One variant: figures of the tested recordings, and means over runs of validation, controls and cost."""
    by_seed = {seed: [run for run in runs if run.seed == seed] for seed in sorted({run.seed for run in runs})}
    results = [join_folds(of_seed) for of_seed in by_seed.values()]
    reports = [run.report for run in runs]
    return {
        "seeds": list(by_seed),
        "recordings": len(results[0].answers.truth),
        "test": figures_of([result.answers for result in results]),
        "of_seeds": [{name: result.metric(name) for name in ("balanced_accuracy", "auroc")} for result in results],
        "validation": {name: _mean_of(reports, "validation", name) for name in ("loss", "recording_balanced_accuracy")},
        "controls": {name: _mean_of(reports, "controls", name, "balanced_accuracy") for name in CONTROLS},
        "train_s": _mean_of(reports, "seconds", "train"),
        "weights": reports[0].get("weights"),
    }


def join_variants(first: Sequence[FinishedRun], second: Sequence[FinishedRun]) -> dict[str, Any]:
    """As `summarise`, of the probabilities of both multiplied; of the test alone, for validation keeps no answers."""
    seeds = sorted({run.seed for run in first} & {run.seed for run in second})
    both = [
        multiply(*(join_folds([run for run in runs if run.seed == seed]).answers for runs in (first, second)))
        for seed in seeds
    ]
    return {
        "seeds": seeds,
        "recordings": len(both[0].truth),
        "test": figures_of(both),
        "validation": {"loss": None, "recording_balanced_accuracy": None},
        "controls": dict.fromkeys(CONTROLS),
        "train_s": None,
        "weights": None,
    }


def multiply(first: RunPredictions, second: RunPredictions) -> RunPredictions:
    """The answers of two who listened independently; raises `ValueError` unless to the same recordings."""
    if (first.ids, first.types) != (second.ids, second.types) or (first.truth != second.truth).any():
        raise ValueError("the two variants were not tested on the same recordings; give both the same folds and seeds")
    product = np.maximum(first.probabilities, 1e-6) * np.maximum(second.probabilities, 1e-6)
    product /= product.sum(axis=1, keepdims=True)
    return replace(first, probabilities=product, answers=product.argmax(axis=1))


def _mean_of(reports: Sequence[Mapping[str, Any]], *path: str) -> float | None:
    """Mean over the runs that say it."""
    values = []
    for report in reports:
        value: Any = report
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        values += [] if value is None else [value]
    return mean(values) if values else None


def table(summary: Mapping[str, Mapping[str, Any]], validation: bool) -> Table:
    """One row for each variant; with `validation` nothing of the test is shown."""
    shown = Table(title="validation recordings" if validation else "recordings of each fold while not trained on")
    columns = ("loss per segment", "balanced accuracy") if validation else tuple(FIGURES)
    for column in ("variant", *columns, "training, s a run", "weights"):
        shown.add_column(column, justify="left" if column == "variant" else "right")
    for name, one in summary.items():
        if validation:
            cells = [_number(one["validation"][key], ".3f") for key in ("loss", "recording_balanced_accuracy")]
        else:
            cells = ["{mean:.3f} [{low:.2f}–{high:.2f}]".format(**one["test"][key]) for key in FIGURES.values()]
        shown.add_row(name, *cells, _number(one["train_s"], ".0f"), _number(one["weights"], ","))
    for name in () if validation else CONTROLS:
        known = [one["controls"][name] for one in summary.values() if one["controls"][name] is not None]
        if known:
            shown.add_row(f"{name}, without listening", f"{mean(known):.3f}", *[""] * 4)
    return shown


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="folder of recordings, as data.root")
    parser.add_argument("--variants", nargs="+", default=["turbo"], metavar="NAME", help=", ".join(VARIANTS))
    parser.add_argument(
        "--add", nargs="+", default=[], metavar="NAME=OVERRIDES", help="further variants; {runs} is --runs"
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--threads", type=int, help="engine.threads of every run")
    parser.add_argument("--runs", type=Path, default=Path("logs/accuracy"), help="where the runs are kept")
    parser.add_argument("--validation", action="store_true", help="show validation recordings, not the test")
    parser.add_argument("--join", nargs=2, metavar="NAME", help="two of the variants, whose answers are multiplied")
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    asked = parser.parse_args()
    known = VARIANTS | dict(text.split("=", 1) for text in asked.add)
    unknown = [name for name in asked.variants if name not in known]
    if unknown:
        parser.error(f"there is no variant called {', '.join(unknown)}; choose from {', '.join(known)}, or --add it")
    if asked.join and not set(asked.join) <= set(asked.variants):
        parser.error(f"--join {' '.join(asked.join)}: both must be among --variants")
    summary, runs_of = {}, {}
    for name in asked.variants:
        folder = asked.runs.resolve() / name.replace(" ", "-").replace("'", "")
        runs = []
        for seed in asked.seeds:
            for fold in range(asked.folds):
                run_dir = folder / f"seed-{seed}" / f"fold-{fold}"
                words = known[name].format(runs=asked.runs.resolve()).split()
                where = ["data.pool=all", f"data.root={asked.root.resolve()}", f"data.folds={asked.folds}"]
                threads = [f"engine.threads={asked.threads}"] if asked.threads else []
                train([*where, f"data.fold={fold}", f"seed={seed}", *threads, *words], run_dir)
                runs.append(read_run(run_dir))
        summary[name], runs_of[name] = summarise(runs), runs
        Console(width=140).print(table({name: summary[name]}, asked.validation))
        if asked.out:
            asked.out.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    if asked.join and not asked.validation:
        summary[" × ".join(asked.join)] = join_variants(*(runs_of[name] for name in asked.join))
        if asked.out:
            asked.out.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    Console(width=140).print(table(summary, asked.validation))


if __name__ == "__main__":
    main()
