"""Training time until birdnet_nl is as accurate on test recordings as the original's loop at its end."""

from argparse import ArgumentParser
from collections.abc import Sequence
from math import sqrt
from pathlib import Path
from statistics import mean, stdev
from tempfile import TemporaryDirectory
from typing import Any

import joblib
from rich.table import Table

from benchmarks import processes
from benchmarks.processes import run_part
from benchmarks.segments import demo_overrides

BUDGETS = (1, 2, 3, 6, 12)
SPECIES = ("koolmees", "merel", "vink")
SEEDS = (1, 2)


def measure(
    quick: bool = False,
    species: Sequence[str] = SPECIES,
    seeds: Sequence[int] = SEEDS,
    budgets: Sequence[int] = BUDGETS,
    parameter_set: str = "turbo",
    difficulty: str = "hard",
    reference_epochs: int = 25,
    overrides: Sequence[str] = (),
) -> dict[str, Any]:
    """Train the reference and, with each budget, `parameter_set` for every species and seed, in turns.

    A budget is a number of epochs, `trainer.max_epochs`. Both sides start with cached mels and are evaluated by their
    balanced accuracy on the same test recordings; `overrides` are added to both.
    """
    if quick:
        species, seeds, budgets, reference_epochs = species[:1], seeds[:1], budgets[:1], 2
        overrides = [*overrides, "data.demo.recordings_per_type=12"]
    rows = []
    with TemporaryDirectory() as folder:
        for slug in species:
            for seed in seeds:
                data = [*demo_overrides(slug, difficulty), f"seed={seed}", *overrides]
                arrays = f"{folder}/arrays"
                saved = processes.in_own_process(
                    "benchmarks.segments:save_arrays", folder=arrays, overrides=["trainer=fast", *data]
                )
                reference = processes.in_own_process(
                    "benchmarks.time_to_accuracy:finish_reference",
                    folder=arrays, types=len(saved["types"]), threads=joblib.cpu_count(), max_epochs=reference_epochs,
                    seed=seed,
                )  # fmt: skip
                ours = {}
                for budget in budgets:
                    ours[str(budget)] = processes.in_own_process(
                        "benchmarks.timed_run:finish_run",
                        overrides=[f"trainer={parameter_set}", f"trainer.max_epochs={budget}", *data],
                        run_dir=f"{folder}/{slug}_{seed}_{budget}",
                    )
                rows.append({"species": slug, "seed": seed, "reference": reference, "ours": ours})
    return {"parameter_set": parameter_set, "difficulty": difficulty, "runs": rows, **summarise(rows)}


def finish_reference(folder: str, types: int, threads: int, max_epochs: int, seed: int) -> dict[str, Any]:
    """Train the reference to its end and evaluate the weights of its best validation epoch."""
    import numpy as np
    import torch

    from benchmarks.reference_loop import load_split, train_reference
    from birdnet_nl.training.module import pool_recordings, types_of_recordings

    splits = {split: load_split(folder, split) for split in ("train", "val", "test")}
    done = train_reference(**splits, types=types, threads=threads, max_epochs=max_epochs, seed=seed)
    recordings = torch.from_numpy(np.load(Path(folder) / "test_recordings.npy"))
    predicted = pool_recordings(done["test_probabilities"], recordings).argmax(1)
    score = balanced_accuracy(predicted.tolist(), types_of_recordings(splits["test"][1], recordings).tolist())
    return {"train_s": done["seconds"], "epochs": done["epochs"], "balanced_accuracy": score}


def balanced_accuracy(predicted: Sequence[int], true_types: Sequence[int]) -> float:
    """Compute the mean recall over the types that occur."""
    pairs = list(zip(predicted, true_types, strict=True))
    return mean(mean(guess == true for guess, true in pairs if true == index) for index in set(true_types))


def summarise(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Average over species and seeds; `reached` is the smallest budget as accurate as the reference, or None.

    `gain` is the difference to the reference in the same split, with the standard error of its mean.
    """
    reference = {key: mean(row["reference"][key] for row in rows) for key in ("train_s", "balanced_accuracy")}
    budgets = {}
    for budget in sorted(rows[0]["ours"], key=int):
        ours = {key: mean(row["ours"][budget][key] for row in rows) for key in ("train_s", "balanced_accuracy")}
        gains = [row["ours"][budget]["balanced_accuracy"] - row["reference"]["balanced_accuracy"] for row in rows]
        budgets[budget] = {
            **ours,
            "gain": mean(gains),
            "gain_standard_error": stdev(gains) / sqrt(len(gains)) if len(gains) > 1 else None,
            "times_as_fast": reference["train_s"] / ours["train_s"],
        }
    target = reference["balanced_accuracy"]
    sufficient = [budget for budget, ours in budgets.items() if ours["balanced_accuracy"] >= target]
    reached = sufficient[0] if sufficient else None
    return {
        "reference": reference,
        "budgets": budgets,
        "reached": reached,
        "times_as_fast": budgets[reached]["times_as_fast"] if reached else None,
    }


def table(result: dict[str, Any]) -> Table:
    runs, name = result["runs"], result["parameter_set"]
    reached = result["reached"]
    conclusion = (
        f"as accurate as the reference after {reached} epochs, {result['times_as_fast']:.1f} times as fast"
        if reached
        else "no budget was as accurate as the reference"
    )
    shown = Table(
        title=f"Time to the reference's accuracy: synthetic demo ({result['difficulty']}), mean of {len(runs)} runs",
        caption=f"trainer={name}: {conclusion}",
    )
    for column in ("", "training, s", "balanced accuracy", "gain", "× ref."):
        shown.add_column(column, justify="right" if column else "left")
    reference = result["reference"]
    shown.add_row("reference", f"{reference['train_s']:.1f}", f"{reference['balanced_accuracy']:.1%}", "", "1.00")
    for budget, ours in result["budgets"].items():
        error = ours["gain_standard_error"]
        gain = f"{100 * ours['gain']:+.1f}" + (f" ± {100 * error:.1f}" if error is not None else "")
        score, ratio = f"{ours['balanced_accuracy']:.1%}", f"{ours['times_as_fast']:.2f}"
        shown.add_row(f"{name}, {budget} epochs", f"{ours['train_s']:.1f}", score, gain, ratio)
    return shown


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--species", nargs="+", default=SPECIES)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--budgets", type=int, nargs="+", default=BUDGETS, help="numbers of epochs")
    parser.add_argument("--parameter-set", default="turbo")
    parser.add_argument("--difficulty", default="hard", choices=("easy", "normal", "hard"))


if __name__ == "__main__":
    run_part("time_to_accuracy")
