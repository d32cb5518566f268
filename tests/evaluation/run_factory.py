"""Directories of finished runs, written without training."""

import csv
import hashlib
import json
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import sklearn.metrics

from birdnet_nl.species.table import get_species

TYPES = ("song", "call", "alarm")
SETTINGS = {"legacy": (0, 64, 30), "fast": (2, 128, 25), "turbo": (0, 128, 12)}  # workers, batch size, epochs
STARTED = 1_760_000_000


def make_run(
    folder: Path,
    parameter_set: str = "fast",
    slug: str = "koolmees",
    seed: int = 1,
    *,
    right: float | Sequence[bool] = 0.7,
    per_type: int = 12,
    types: Sequence[str] = TYPES,
    train_s: float = 100.0,
    epochs: int = 4,
    synthetic: bool = False,
    fold: int | None = None,
    folds: int | None = None,
    split_by: str = "recording",
    shuffled: bool = False,
    pool: Sequence[str] | None = None,
    num_workers: int | None = None,
    overrides: Sequence[str] = (),
    machine: str = "nas",
    finished: float = 0.0,
    old: bool = False,
    first_id: int = 1,
) -> Path:
    """Write the directory of a run.

    `right` is the accuracy, with errors drawn at random, or the correctness of each test recording. Test recordings are
    the same for the same species, seed and fold; `old` leaves out what older runs do not have.
    """
    folder.mkdir(parents=True)
    rng = np.random.default_rng(int(fingerprint((parameter_set, slug, seed, fold)), 16))
    count = per_type * len(types)
    truth = np.repeat(np.arange(len(types)), per_type)
    correct = rng.random(count) < right if isinstance(right, float) else np.array(right, dtype=bool)
    predicted = np.where(correct, truth, (truth + 1 + rng.integers(0, len(types) - 1, count)) % len(types))
    confidence = rng.uniform(0.5, 0.9, count)
    probabilities = np.full((count, len(types)), ((1 - confidence) / (len(types) - 1))[:, None])
    probabilities[np.arange(count), predicted] = confidence
    probabilities = probabilities.round(6)
    offset = first_id + 1000 * seed + (10_000 * (fold + 1) if fold is not None else 0)
    ids = [f"XC{slug}{offset + index}" for index in range(count)]
    rows = [
        {"recording_id": name, "file": f"{name}.mp3", "species": slug,
         "recordist": "" if index % 4 == 0 else f"person {index % 7}", "true_type": types[true],
         **{f"p_{name}": value for name, value in zip(types, row, strict=True)}, "predicted_type": types[top],
         "certain": "true", "segments": 5}
        for index, (name, true, row, top) in enumerate(zip(ids, truth, probabilities, predicted, strict=True))
    ]  # fmt: skip
    species = get_species(slug) if pool is None else None
    workers, batch_size, max_epochs = SETTINGS[parameter_set]
    workers = workers if num_workers is None else num_workers
    scores = scores_of(truth, predicted, probabilities, types)
    per_type_counts = dict(Counter(types[true] for true in truth))
    report = {
        "birdnet_nl": "0.1.0", "synthetic": synthetic,
        "species": {"slug": f"pool-{'-'.join(pool)}" if pool else slug,
                    "dutch": f"{len(pool)} soorten" if pool else species.dutch,
                    "english": "" if pool else species.english, "scientific": "" if pool else species.scientific,
                    "birdnet": "", "priority": 1},
        "parameter_set": parameter_set, "seed": seed, "pool": list(pool) if pool else None, "folds": folds,
        "fold": fold, "split_by": split_by, "types": list(types), "shuffled_types": shuffled,
        "validation": {"loss": 0.9, "macro_f1": 0.6, "recording_balanced_accuracy": 0.6},
        "epochs": epochs, "best_epoch": epochs - 2,
        "history": [history_row(epoch, train_s / epochs) for epoch in range(epochs)],
        "counts": {"recordings": {"train": {name: 36 for name in types}, "val": {name: 12 for name in types},
                                  "test": per_type_counts},
                   "segments": {"train": {name: 300 for name in types}}},
        "left_out": {}, "data_fingerprint": fingerprint((slug, seed, fold, first_id, per_type, tuple(types))),
        "test_fingerprint": fingerprint(sorted((row["recording_id"], row["true_type"]) for row in rows)),
        "weights": 422531,
        "parameters": {"parameter_set": parameter_set, "species": slug, "seed": seed, "batch_size": batch_size,
                       "num_workers": workers, "max_epochs": max_epochs, "threads": 2, "synthetic": synthetic},
        "engine": {"threads": 2, "device": "cpu", "precision": "bf16", "channels_last": True,
                   "lean_blocks": True, "keeps_memory": True},
        "machine": {"host": machine, "processor": "x86"}, "git_commit": "abc", "versions": {"torch": "2.13.0"},
        "seconds": {"prepare": 10.0, "train": train_s, "test": 3.0, "figures": 1.0, "total": train_s + 14.0},
        "peak_memory_mb": 1234, "results": {"recording": scores, "segment": scores},
        "calibration": {"temperature": 1.3, "fitted_on": 36, "before": {"ece": 0.2, "brier": 0.5, "log_loss": 0.9},
                        "after": {"ece": 0.1, "brier": 0.45, "log_loss": 0.8}, "bins": []},
    }  # fmt: skip
    if old:
        for key in ("pool", "folds", "fold", "split_by", "history", "test_fingerprint", "machine", "git_commit"):
            del report[key]
        del report["calibration"], scores["intervals"]
    else:
        with (folder / "predictions.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    (folder / "config.yaml").write_text(f"seed: {seed}\n")
    (folder / "checkpoints").mkdir()
    given = [f"species={slug}", f"trainer={parameter_set}", f"seed={seed}", *overrides]
    if num_workers is not None:
        given.append(f"data.num_workers={num_workers}")
    (folder / ".hydra").mkdir()
    (folder / ".hydra" / "overrides.yaml").write_text("".join(f"- {text}\n" for text in given))
    (folder / "metrics.json").write_text(json.dumps(report, indent=2, ensure_ascii=False))
    os.utime(folder / "metrics.json", (STARTED + finished, STARTED + finished))
    return folder


def scores_of(truth: np.ndarray, predicted: np.ndarray, probabilities: np.ndarray, types: Sequence[str]) -> dict:
    """Compute metrics with scikit-learn."""
    metrics = sklearn.metrics
    labels = list(range(len(types)))
    recall = metrics.recall_score(truth, predicted, average=None, labels=labels, zero_division=0)
    one_against_rest = [metrics.roc_auc_score(truth == label, probabilities[:, label]) for label in labels]
    balanced = float(recall.mean())
    return {
        "balanced_accuracy": balanced,
        "macro_f1": float(metrics.f1_score(truth, predicted, average="macro", labels=labels, zero_division=0)),
        "accuracy": float((truth == predicted).mean()), "auroc": float(np.mean(one_against_rest)),
        "recall": dict(zip(types, recall.tolist(), strict=True)),
        "confusion": metrics.confusion_matrix(truth, predicted, labels=labels).tolist(), "count": len(truth),
        "intervals": {"balanced_accuracy": [max(0.0, balanced - 0.15), min(1.0, balanced + 0.12)]},
    }  # fmt: skip


def history_row(epoch: int, seconds: float) -> dict[str, float]:
    better = 1 - 0.8**epoch
    return {
        "epoch": epoch, "train/loss": 1.1 - 0.3 * better, "train/accuracy": 0.4 + 0.3 * better,
        "val/loss": 1.08 - 0.2 * better, "val/accuracy": 0.4 + 0.2 * better, "val/macro_f1": 0.4 + 0.2 * better,
        "val/recording_balanced_accuracy": 0.35 + 0.3 * better, "learning_rate": 0.001, "seconds": seconds,
    }  # fmt: skip


def fingerprint(content: object) -> str:
    return hashlib.sha256(repr(content).encode()).hexdigest()[:16]
