"""The search behind `trainer=turbo`: one value at a time is changed, and validation recordings judge.

    python -m benchmarks.search --real ../recordings --out search.json

No test recording is looked at: each run's validation figures come from its own folder, and the table shows their mean
over demo species (hard) and seeds, and over folds of real recordings where `--real` is given. Runs that are there
already are not repeated, and one that was stopped goes on.
"""

import argparse
import json
import statistics
from pathlib import Path

from benchmarks.accuracy import train

DEMO = ["data=demo", "data.demo.difficulty=hard"]
CHANGES: dict[str, list[str]] = {
    "turbo as it is": [],
    "6 epochs": ["trainer.max_epochs=6"],
    "24 epochs": ["trainer.max_epochs=24"],
    "no mixing": ["augment.mix_share=0"],
    "everything mixed": ["augment.mix_share=1"],
    "no masks": ["augment.time_masks=0", "augment.band_masks=0"],
    "two masks each": ["augment.time_masks=2", "augment.band_masks=2"],
    "crops anywhere": ["data.crops.active_share=0"],
    "always the loudest of 5": ["data.crops.active_share=1", "data.crops.choices=5"],
    "peak rate 2e-3": ["optimizer.lr=0.002"],
    "peak rate 8e-3": ["optimizer.lr=0.008"],
    "weights not averaged": ["callbacks.averaging.decay=0.001"],
    "no label smoothing": ["loss.label_smoothing=0"],
    "weight decay 0.1": ["optimizer.weight_decay=0.1"],
    "mel=wide": ["mel=wide"],
    "mel=emsn": ["mel=emsn"],
    "half the channels": ["model.channels=[16,32,64]"],
}


def run_one(overrides: list[str], run_dir: Path) -> dict[str, float]:
    """Figures of the validation split of a run, which is trained unless that was done before."""
    train(overrides, run_dir)
    found = json.loads((run_dir / "metrics.json").read_text(encoding="utf-8"))
    return {**found["validation"], "train_s": found["seconds"]["train"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--species", nargs="*", default=["vink", "roodborst"])
    parser.add_argument("--seeds", nargs="*", type=int, default=[1, 2])
    parser.add_argument("--real", type=Path, help="folder of real recordings, for a pool over all species")
    parser.add_argument("--folds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--runs", type=Path, default=Path("logs/search"), help="where the runs are kept")
    parser.add_argument("--only", nargs="*", help="names of the changes to try")
    parser.add_argument("--out", type=Path, help="JSON file for the table")
    options = parser.parse_args()
    table: dict[str, dict[str, dict[str, float]]] = {}
    for name, change in CHANGES.items():
        if options.only and name not in options.only:
            continue
        jobs = {"demo": [
            ([f"species={species}", *DEMO, f"seed={seed}"], f"{species}-{seed}")
            for species in options.species for seed in options.seeds
        ]}  # fmt: skip
        if options.real:
            root = options.real.resolve()
            jobs["real"] = [
                (["data.pool=all", f"data.root={root}", "data.folds=5", f"data.fold={fold}"], f"real-{fold}")
                for fold in options.folds
            ]
        table[name] = {}
        for where, runs in jobs.items():
            folder = options.runs.resolve() / name.replace(" ", "-").replace("=", "-")
            figures = [
                run_one(["trainer=turbo", "engine.threads=1", *job, *change], folder / slug) for job, slug in runs
            ]
            table[name][where] = {key: statistics.mean(figure[key] for figure in figures) for key in figures[0]}
            mean = table[name][where]
            print(
                f"{name:<24} {where}  balanced accuracy {mean['recording_balanced_accuracy']:.3f}  "
                f"loss {mean['loss']:.3f}  training {mean['train_s']:.0f} s",
                flush=True,
            )
        if options.out:
            options.out.write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
