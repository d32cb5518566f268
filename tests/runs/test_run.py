"""A run from recordings to `metrics.json`: what it leaves behind, and whether its numbers can be trusted."""

import csv
import json
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from birdnet_nl.data.dataset import activity_of_segments
from birdnet_nl.evaluation.metrics import Predictions, score
from birdnet_nl.evaluation.pooling import pool_segments
from birdnet_nl.evaluation.predictions_file import read_predictions
from birdnet_nl.species.table import get_species
from birdnet_nl.training import checkpoint
from birdnet_nl.training.checkpoint import load_classifier
from birdnet_nl.util.errors import RunError


@pytest.fixture(scope="module")
def finished(train_in_process, tmp_path_factory) -> Path:
    return train_in_process(tmp_path_factory.mktemp("run") / "koolmees", "species=koolmees", "trainer.max_epochs=6")


def read_metrics(run_dir: Path) -> dict:
    return json.loads((run_dir / "metrics.json").read_text(encoding="utf-8"))


def test_a_run_leaves_everything_it_promises(finished):
    names = {path.name for path in finished.iterdir()}
    promised = {
        "config.yaml",
        "splits.csv",
        "metrics.json",
        "predictions.csv",
        "confusion.png",
        "curves.png",
        "examples.png",
        "errors.png",
        "reliability.png",
        "precision_recall.png",
        "checkpoints",
    }
    assert promised <= names
    assert any(name.startswith("events.out.tfevents") for name in names)
    assert {path.name for path in (finished / "checkpoints").iterdir()} == {"best.ckpt"}
    assert not [path for path in finished.rglob("*.part")]


def test_metrics_hold_results_counts_seconds_versions_and_seed(finished):
    metrics = read_metrics(finished)
    assert metrics["seed"] == 1 and metrics["types"] == ["song", "call", "alarm"]
    assert set(metrics["results"]) == {"recording", "segment"}
    assert {"prepare", "train", "test", "total"} <= set(metrics["seconds"])
    assert metrics["versions"]["torch"] == torch.__version__
    counts = metrics["counts"]["recordings"]
    assert sum(sum(split.values()) for split in counts.values()) == 30
    assert metrics["results"]["recording"]["count"] == sum(counts["test"].values())
    assert metrics["results"]["segment"]["count"] == sum(metrics["counts"]["segments"]["test"].values())


def test_everything_trained_on_the_demo_is_marked_synthetic(finished):
    assert read_metrics(finished)["synthetic"] is True
    assert (finished / "SYNTHETIC.txt").is_file()
    assert load_classifier(finished / "checkpoints/best.ckpt").card["synthetic"] is True


def test_splits_keep_recordists_apart(finished):
    with (finished / "splits.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    sides: dict[str, set[str]] = {}
    for row in rows:
        sides.setdefault(row["recordist"], set()).add(row["split"])
    assert {len(found) for found in sides.values()} == {1}
    assert {row["split"] for row in rows} == {"train", "val", "test"}


def test_the_checkpoint_alone_reproduces_the_reported_test_scores(train_in_process, tmp_path, monkeypatch):
    """Weights, mel parameters and order of types from the checkpoint; segments cut anew: the same figures."""
    monkeypatch.setattr(checkpoint, "cpu_computes_bf16", lambda: False)  # as the plain engine
    run_dir = train_in_process(tmp_path / "plain", "species=koolmees", "engine=plain", "trainer.max_epochs=4")
    classifier = load_classifier(run_dir / "checkpoints/best.ckpt")
    cfg = OmegaConf.load(run_dir / "config.yaml")
    species = get_species(classifier.card["species"]["slug"])
    data = instantiate(cfg.data, species=species, mel=classifier.mel, _convert_="object")
    data.prepare()
    batches = [
        (classifier.probabilities(mel_db), types, recordings) for mel_db, types, recordings in data.test_dataloader()
    ]
    test = Predictions.join(batches, data.datasets["test"].recording_ids)
    activity = activity_of_segments(data.datasets["test"], data.prepared.mels, data.mel)
    pooled = pool_segments(test.probabilities, test.recordings, classifier.card["pooling"], activity)
    scores = {
        "recording": score(pooled, test.types_of_recordings, classifier.types),
        "segment": score(test.probabilities, test.true_types, classifier.types),
    }
    for unit, reported in read_metrics(run_dir)["results"].items():
        del reported["intervals"]
        assert scores[unit] == reported


def test_the_best_epoch_is_kept_not_the_last(finished):
    best = torch.load(finished / "checkpoints/best.ckpt", weights_only=True)
    scores = [row["val/macro_f1"] for row in read_metrics(finished)["history"]]
    assert len(scores) == 6
    assert best["birdnet_nl"]["history"][-1]["val/macro_f1"] == max(scores)
    assert read_metrics(finished)["best_epoch"] == scores.index(max(scores))


def test_tensorboard_holds_curves_per_epoch_test_results_and_pictures(finished):
    events = EventAccumulator(str(finished), size_guidance={"images": 0}).Reload()
    scalars = set(events.Tags()["scalars"])
    for name in ("train/loss", "train/accuracy", "train/macro_f1", "val/loss", "val/accuracy", "val/macro_f1"):
        assert [event.step for event in events.Scalars(name)] == list(range(6))
    assert "learning_rate" in scalars
    test_value = events.Scalars("test/recording_balanced_accuracy")[-1].value
    assert test_value == pytest.approx(read_metrics(finished)["results"]["recording"]["balanced_accuracy"])
    figures = {"confusion", "examples", "errors", "reliability", "precision_recall"}
    assert set(events.Tags()["images"]) == {f"test/{name}" for name in figures}
    assert 1 <= len(events.Tags()["audio"]) <= 6
    assert all(name.startswith("test/error") for name in events.Tags()["audio"])
    assert "recordings and segments/text_summary" in events.Tags()["tensors"]
    neighbours = next(finished.rglob("metadata.tsv")).read_text().splitlines()
    assert neighbours[0] == "type\tanswer\trecording\tspecies"
    assert len(neighbours) == 1 + read_metrics(finished)["results"]["recording"]["count"]


def test_predictions_and_metrics_tell_the_same(finished):
    metrics, rows = read_metrics(finished), read_predictions(finished / "predictions.csv")
    types, scores = metrics["types"], metrics["results"]["recording"]
    confusion = [[sum((r.true_type, r.predicted_type) == (t, a) for r in rows) for a in types] for t in types]
    assert confusion == scores["confusion"]
    assert sum(row.segments for row in rows) == metrics["results"]["segment"]["count"]
    for row in rows:
        assert sum(row.probabilities.values()) == pytest.approx(1, abs=1e-4)
        assert row.predicted_type == max(row.probabilities, key=row.probabilities.get)
    with (finished / "splits.csv").open(encoding="utf-8", newline="") as file:
        tested = {row["id"]: row for row in csv.DictReader(file) if row["split"] == "test"}
    assert {row.recording_id: (row.true_type, row.file, row.recordist) for row in rows} == {
        id: (row["type"], row["file"], row["recordist"]) for id, row in tested.items()
    }


def test_metrics_hold_what_a_comparison_needs(finished):
    metrics = read_metrics(finished)
    assert len(metrics["history"]) == metrics["epochs"] == 6
    assert set(metrics["machine"]) == {"host", "processor", "system"} and "git_commit" in metrics
    assert len(metrics["test_fingerprint"]) == 16
    for scores in metrics["results"].values():
        assert set(scores["intervals"]) >= {"balanced_accuracy", "macro_f1", "auroc", "recall/song"}
    assert set(metrics["calibration"]) >= {"temperature", "fitted_on", "before", "after", "bins"}
    assert set(metrics["decision"]) >= {"pooling", "threshold", "coverage", "answered", "accuracy_answered"}
    assert metrics["controls"]["majority"]["balanced_accuracy"] == pytest.approx(1 / 3)
    assert "duration_s" in metrics["controls"]["metadata"]["columns"]
    card = load_classifier(finished / "checkpoints/best.ckpt").card
    assert card["temperature"] == metrics["calibration"]["temperature"]
    assert (card["pooling"], card["threshold"]) == (metrics["decision"]["pooling"], metrics["decision"]["threshold"])


def test_a_run_directory_belongs_to_one_run(finished, train_in_process):
    before = (finished / "metrics.json").read_bytes()
    with pytest.raises(RunError, match="already holds a run; continue it with resume="):
        train_in_process(finished, "species=koolmees")
    assert (finished / "metrics.json").read_bytes() == before


def test_the_same_seed_gives_the_same_metrics(finished, train_in_process, tmp_path):
    again = train_in_process(tmp_path / "again", "species=koolmees", "trainer.max_epochs=6")
    assert read_metrics(again)["results"] == read_metrics(finished)["results"]
    assert read_metrics(again)["validation"] == read_metrics(finished)["validation"]


def test_another_parameter_set_is_judged_on_the_same_recordings(finished, train_in_process, tmp_path):
    legacy = train_in_process(tmp_path / "legacy", "species=koolmees", "trainer=legacy", "trainer.max_epochs=1")
    assert (legacy / "splits.csv").read_text() == (finished / "splits.csv").read_text()
    assert read_metrics(legacy)["data_fingerprint"] == read_metrics(finished)["data_fingerprint"]


def test_two_types_suffice(train_in_process, tmp_path):
    run_dir = train_in_process(tmp_path / "two", "species=koolmees", "data.types=[alarm,song]", "trainer.max_epochs=1")
    metrics = read_metrics(run_dir)
    assert metrics["types"] == ["song", "alarm"]
    assert len(metrics["results"]["recording"]["confusion"]) == 2
