"""A run from recordings to `metrics.json`: its files, and the agreement of its metrics with each other."""

import csv
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
from birdnet_nl.inference import classifier as classifier_module
from birdnet_nl.inference.classifier import Classifier
from birdnet_nl.util.errors import RunError
from tests.runs.conftest import read_metrics

EPOCHS = 4


def read_splits_csv(run_dir: Path) -> list[dict[str, str]]:
    with (run_dir / "splits.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_writes_all_its_files(tiny_run):
    names = {path.name for path in tiny_run.iterdir()}
    plots = {f"{name}.png" for name in ("confusion", "curves", "examples", "errors", "reliability", "precision_recall")}
    assert {"config.yaml", "splits.csv", "metrics.json", "predictions.csv", "checkpoints", *plots} <= names
    assert any(name.startswith("events.out.tfevents") for name in names)
    assert [path.name for path in (tiny_run / "checkpoints").iterdir()] == ["best.ckpt"]
    assert not list(tiny_run.rglob("*.part"))


def test_metrics_hold_results_counts_seconds_versions_and_seed(tiny_run):
    metrics = read_metrics(tiny_run)
    assert metrics["seed"] == 1 and metrics["types"] == ["song", "call", "alarm"]
    assert set(metrics["results"]) == {"recording", "segment"}
    assert {"prepare", "train", "test", "total"} <= set(metrics["seconds"])
    assert metrics["versions"]["torch"] == torch.__version__
    counts = metrics["counts"]["recordings"]
    assert sum(sum(split.values()) for split in counts.values()) == 30
    assert metrics["results"]["recording"]["count"] == sum(counts["test"].values())
    assert metrics["results"]["segment"]["count"] == sum(metrics["counts"]["segments"]["test"].values())


def test_everything_trained_on_the_demo_is_marked_synthetic(tiny_run):
    assert read_metrics(tiny_run)["synthetic"] is True
    assert (tiny_run / "SYNTHETIC.txt").is_file()
    assert Classifier.load(tiny_run).metadata["synthetic"] is True


def test_no_recordist_is_in_two_splits(tiny_run):
    splits_of_recordist: dict[str, set[str]] = {}
    for row in read_splits_csv(tiny_run):
        splits_of_recordist.setdefault(row["recordist"], set()).add(row["split"])
    assert {len(splits) for splits in splits_of_recordist.values()} == {1}
    assert set.union(*splits_of_recordist.values()) == {"train", "val", "test"}


@pytest.mark.slow
def test_the_checkpoint_alone_reproduces_the_reported_test_scores(train_in_process, tmp_path, monkeypatch):
    """Weights, mel parameters and order of types from the checkpoint, segments cut again: the same metrics."""
    monkeypatch.setattr(classifier_module, "cpu_computes_bf16", lambda: False)  # as the plain engine
    run_dir = train_in_process(tmp_path / "plain", "species=koolmees", "engine=plain")
    classifier = Classifier.load(run_dir / "checkpoints/best.ckpt")
    data = instantiate(OmegaConf.load(run_dir / "config.yaml").data, _convert_="all")
    data.setup()
    batches = [
        (classifier.probabilities(mel_db), types, recordings) for mel_db, types, recordings in data.test_dataloader()
    ]
    test = Predictions.join(batches, data.datasets["test"].recording_ids)
    activity = activity_of_segments(data.datasets["test"], data.prepared.mels, data.mel)
    pooled = pool_segments(test.probabilities, test.recordings, classifier.calibration.pooling, activity)
    scores = {
        "recording": score(pooled, test.types_of_recordings, classifier.types),
        "segment": score(test.probabilities, test.true_types, classifier.types),
    }
    for unit, reported in read_metrics(run_dir)["results"].items():
        del reported["intervals"]
        assert scores[unit] == reported


def test_the_best_epoch_is_kept_not_the_last(tiny_run):
    history = Classifier.load(tiny_run).metadata["history"]
    scores = [row["val/macro_f1"] for row in read_metrics(tiny_run)["history"]]
    assert len(scores) == EPOCHS
    assert history[-1]["val/macro_f1"] == max(scores)
    assert read_metrics(tiny_run)["best_epoch"] == scores.index(max(scores))


def test_tensorboard_holds_curves_per_epoch_test_results_and_plots(tiny_run):
    events = EventAccumulator(str(tiny_run), size_guidance={"images": 0}).Reload()
    for name in ("train/loss", "train/accuracy", "train/macro_f1", "val/loss", "val/accuracy", "val/macro_f1"):
        assert [event.step for event in events.Scalars(name)] == list(range(EPOCHS))
    assert "learning_rate" in events.Tags()["scalars"]
    test_value = events.Scalars("test/recording_balanced_accuracy")[-1].value
    assert test_value == pytest.approx(read_metrics(tiny_run)["results"]["recording"]["balanced_accuracy"])
    plots = {"confusion", "examples", "errors", "reliability", "precision_recall"}
    assert set(events.Tags()["images"]) == {f"test/{name}" for name in plots}
    assert 1 <= len(events.Tags()["audio"]) <= 6
    assert all(name.startswith("test/error") for name in events.Tags()["audio"])
    assert "recordings and segments/text_summary" in events.Tags()["tensors"]
    embedded = next(tiny_run.rglob("metadata.tsv")).read_text().splitlines()
    assert embedded[0] == "type\tprediction\trecording\tspecies"
    assert len(embedded) == 1 + read_metrics(tiny_run)["results"]["recording"]["count"]


def test_predictions_and_metrics_agree(tiny_run):
    metrics, rows = read_metrics(tiny_run), read_predictions(tiny_run / "predictions.csv")
    types, scores = metrics["types"], metrics["results"]["recording"]
    confusion = [[sum((r.true_type, r.predicted_type) == (t, p) for r in rows) for p in types] for t in types]
    assert confusion == scores["confusion"]
    assert sum(row.segments for row in rows) == metrics["results"]["segment"]["count"]
    for row in rows:
        assert sum(row.probabilities.values()) == pytest.approx(1, abs=1e-4)
        assert row.predicted_type == max(row.probabilities, key=row.probabilities.get)
    tested = {row["id"]: row for row in read_splits_csv(tiny_run) if row["split"] == "test"}
    assert {row.recording_id: (row.true_type, row.file, row.recordist) for row in rows} == {
        id: (row["type"], row["file"], row["recordist"]) for id, row in tested.items()
    }


def test_metrics_hold_what_a_comparison_needs(tiny_run):
    metrics = read_metrics(tiny_run)
    assert len(metrics["history"]) == metrics["epochs"] == EPOCHS
    assert set(metrics["machine"]) == {"host", "processor", "system"} and "git_commit" in metrics
    assert len(metrics["test_fingerprint"]) == 16
    for scores in metrics["results"].values():
        assert set(scores["intervals"]) >= {"balanced_accuracy", "macro_f1", "auroc", "recall/song"}
    assert set(metrics["calibration"]) >= {"temperature", "fitted_on", "before", "after", "bins"}
    assert set(metrics["decision"]) >= {"pooling", "threshold", "target_accuracy", "certain_share", "coverage"}
    assert metrics["controls"]["majority"]["balanced_accuracy"] == pytest.approx(1 / 3)
    assert "duration_s" in metrics["controls"]["metadata"]["columns"]
    classifier = Classifier.load(tiny_run)
    assert classifier.calibration.temperature == metrics["calibration"]["temperature"]
    assert classifier.calibration.pooling == metrics["decision"]["pooling"]
    assert classifier.threshold == metrics["decision"]["threshold"]


def test_a_run_directory_belongs_to_one_run(tiny_run, train_in_process):
    before = (tiny_run / "metrics.json").read_bytes()
    with pytest.raises(RunError, match=r"already holds a run; continue it with python train.py resume="):
        train_in_process(tiny_run, "species=koolmees")
    assert (tiny_run / "metrics.json").read_bytes() == before


@pytest.mark.slow
def test_the_same_seed_gives_the_same_metrics_and_another_parameter_set_the_same_recordings(train_in_process, tmp_path):
    first, second, legacy = (
        train_in_process(tmp_path / name, "species=koolmees", "trainer.max_epochs=1", "evaluation.plots=false", *more)
        for name, more in (("first", []), ("second", []), ("legacy", ["trainer=legacy"]))
    )
    for name in ("results", "validation", "calibration"):
        assert read_metrics(first)[name] == read_metrics(second)[name]
    assert (legacy / "splits.csv").read_text() == (first / "splits.csv").read_text()
    assert read_metrics(legacy)["data_fingerprint"] == read_metrics(first)["data_fingerprint"]
    assert read_metrics(legacy)["parameter_set"] == "legacy"
    assert not list(first.glob("*.png"))


@pytest.mark.slow
def test_two_types_suffice(two_types_run):
    metrics = read_metrics(two_types_run)
    assert metrics["types"] == ["song", "alarm"]
    assert len(metrics["results"]["recording"]["confusion"]) == 2
