"""Test of a trained run: calibration and threshold from validation recordings, then predictions of the test split."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.loggers import TensorBoardLogger

from birdnet_nl.audio.mel import Normalise
from birdnet_nl.data.datamodule import SpeciesDataModule
from birdnet_nl.data.dataset import activity_of_segments
from birdnet_nl.evaluation.annotated import describe_annotated
from birdnet_nl.evaluation.calibration import MIN_RECORDINGS, is_certain
from birdnet_nl.evaluation.controls import majority_control, metadata_control
from birdnet_nl.evaluation.evaluate import Evaluation, calibrate_and_evaluate, evaluate_calibrated
from birdnet_nl.evaluation.examples import (
    SAMPLE_RATE_HZ,
    SegmentPredictions,
    choose_errors,
    choose_typical,
    cut_clip,
    draw_segments,
)
from birdnet_nl.evaluation.metrics import Predictions
from birdnet_nl.evaluation.pooling import capture_embeddings, pool_embeddings
from birdnet_nl.evaluation.predictions_file import RecordingPrediction, recording_predictions, write_predictions
from birdnet_nl.evaluation.report import draw_plots, write_plots
from birdnet_nl.evaluation.sources import score_sources, song_against_call
from birdnet_nl.evaluation.tensorboard import add_clip, add_counts, add_embeddings, add_plots, add_result
from birdnet_nl.recordings.metadata import add_tags
from birdnet_nl.recordings.recording import Recording, allows_excerpts
from birdnet_nl.runs.cross_predictions import cross_predictions
from birdnet_nl.runs.fit import ctrl_c_raises
from birdnet_nl.training.checkpoint import finalize_checkpoint
from birdnet_nl.training.module import SegmentClassifier, types_of_recordings
from birdnet_nl.util.run_directory import BEST, PREDICTIONS


@dataclass(frozen=True)
class RunResults:
    """Results of a tested run.

    Attributes:
        features: what the last layer sees of each test recording, float32 [recordings, features], or None.
        report: the results as in `metrics.json`.
    """

    evaluation: Evaluation
    predictions: list[RecordingPrediction]
    features: torch.Tensor | None
    report: dict[str, Any]


def test(
    trainer: L.Trainer, module: SegmentClassifier, data: SpeciesDataModule, run_dir: Path, target_accuracy: float
) -> RunResults:
    """Predict validation and test recordings, calibrate on the first and evaluate the second.

    Where a network can be fitted again in seconds, temperature and threshold are chosen on cross-validated predictions
    for the training recordings too. Writes `predictions.csv`, and the decisions into `best.ckpt`. Where validation
    recordings are too few to decide anything, a module with a decision of its own (a head has that of its base) keeps
    it.
    """
    types = data.prepared.types
    validation = cross_predictions(module, data)
    if validation is None:
        with module.without_validation_data():
            validation = _predict(trainer, module, data, "val")
    with capture_embeddings(module.network) as features:
        predicted = _predict(trainer, module, data, "test")
    recordings = recordings_of(data, "test")
    inherited = getattr(module, "inherited_decision", None)
    if inherited is not None and len(validation.recording_ids) < MIN_RECORDINGS:
        evaluation = evaluate_calibrated(*inherited, target_accuracy, predicted, recordings, types)
    else:
        evaluation = calibrate_and_evaluate(validation, predicted, recordings, types, target_accuracy)
    probabilities, true_types = evaluation.probabilities.numpy(), evaluation.true_types.numpy()
    predictions = recording_predictions(
        recordings,
        probabilities,
        true_types,
        certain=is_certain(probabilities, evaluation.threshold),
        segments=torch.bincount(predicted.recordings).numpy(),
        types=types,
    )
    write_predictions(run_dir / PREDICTIONS, predictions)
    finalize_checkpoint(
        run_dir / BEST,
        temperature=evaluation.calibration.temperature,
        temperatures_of_species=dict(evaluation.calibration.of_species),
        pooling=evaluation.calibration.pooling,
        threshold=evaluation.threshold,
    )
    report = {
        "test_fingerprint": fingerprint(predictions),
        **evaluation.report,
        "song_against_call": song_against_call(evaluation.probabilities, evaluation.true_types, types),
        "sources": score_sources(recordings, evaluation.probabilities, evaluation.true_types, types),
        "controls": score_controls(data, evaluation),
        **score_annotated(data, evaluation),
        **(module.describe_result(data, evaluation) if hasattr(module, "describe_result") else {}),
    }
    pooled = pool_embeddings(features, predicted.recordings) if predicted.whole is None else features[-1]
    return RunResults(evaluation, predictions, pooled, report)


def _predict(trainer: L.Trainer, module: SegmentClassifier, data: SpeciesDataModule, split: str) -> Predictions:
    recordings = recordings_of(data, split)
    ids, species = ([getattr(recording, name) for recording in recordings] for name in ("id", "species"))
    batches = {"val": data.val_dataloader, "test": data.test_dataloader}[split]()
    activity = None  # embeddings are pooled by the network itself
    if data.embeddings is None:
        activity = activity_of_segments(data.datasets[split], data.prepared.mels, data.mel)
    with ctrl_c_raises(trainer):
        predicted = trainer.predict(module, dataloaders=batches)
    return Predictions.join(predicted, ids, species, activity)


def recordings_of(data: SpeciesDataModule, split: str) -> list[Recording]:
    """The recordings behind the recording indices of a split."""
    by_id = {recording.id: recording for recording in data.prepared.recordings}
    return [by_id[id] for id in data.datasets[split].recording_ids]


def fingerprint(predictions: Sequence[RecordingPrediction]) -> str:
    """Sixteen hex digits that two runs share when they were tested on the same recordings with the same true types."""
    rows = sorted((row.recording_id, row.true_type) for row in predictions)
    return hashlib.sha256(repr(rows).encode()).hexdigest()[:16]


def score_annotated(data: SpeciesDataModule, evaluation: Evaluation) -> dict[str, Any]:
    """Metrics of the annotated segments of the test split, by their own type; nothing without such segments."""
    if not data.reads_annotations:
        return {}
    dataset = data.datasets["test"]
    return describe_annotated(
        evaluation.segments,
        data.annotated_types("test"),
        dataset.recordings,
        evaluation.groups,
        data.prepared.types,
    )


def score_controls(data: SpeciesDataModule, evaluation: Evaluation) -> dict[str, Any]:
    """Metrics of the controls: the majority type, and a classifier on metadata only."""
    train = data.datasets["train"]
    train_types = types_of_recordings(train.types, train.recordings).numpy()
    test_types, types = evaluation.true_types.numpy(), data.prepared.types
    return {
        "majority": majority_control(train_types, test_types, types),
        "metadata": metadata_control(
            [add_tags(recording) for recording in recordings_of(data, "train")],
            [add_tags(recording) for recording in recordings_of(data, "test")],
            train_types,
            test_types,
            evaluation.groups,
            {id: mel.frames / data.mel.frames_per_s for id, mel in data.prepared.mels.items()},
            types,
        ),
    }


def show_run(
    run_dir: Path,
    trainer: L.Trainer,
    data: SpeciesDataModule,
    results: RunResults,
    report: dict[str, Any],
    with_plots: bool = True,
) -> None:
    """Write counts and results to TensorBoard; `with_plots` also plots, there and in the run directory, and sounds.

    `report` is the whole content of `metrics.json`. Other loggers get the metrics of the epochs only.
    """
    loggers = [logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
    if with_plots:
        _show_plots(run_dir, loggers, data, results, report)
    for logger in loggers:
        add_counts(logger, report)
        add_result(logger, report)


def _show_plots(
    run_dir: Path,
    loggers: Sequence[TensorBoardLogger],
    data: SpeciesDataModule,
    results: RunResults,
    report: dict[str, Any],
) -> None:
    segments = SegmentPredictions(
        data.datasets["test"], results.evaluation.segments, data.prepared.types, data.mel.frames_per_s
    )
    title = f"{report['species']['dutch']} · {report['parameter_set']}"
    normalise, errors = Normalise(data.mel), choose_errors(segments)
    plots = draw_plots(report, results.evaluation)
    plots["examples"] = draw_segments(
        segments, choose_typical(segments), normalise, f"{title} · test segments", data.synthetic
    )
    if errors:
        plots["errors"] = draw_segments(segments, errors, normalise, f"{title} · most certain errors", data.synthetic)
    pictures = write_plots(run_dir, plots)
    for logger in loggers:
        step = report["best_epoch"]
        add_plots(logger, pictures, step)
        by_id = {recording.id: recording for recording in data.prepared.recordings}
        for number, index in enumerate(errors, start=1):
            recording = by_id[segments.recording_id(index)]
            clip = cut_clip(recording, segments.start_s(index), data.segment_s) if allows_excerpts(recording) else None
            if clip is not None:
                true_type, predicted = segments.true_and_predicted(index)
                where = f"{recording.id} {segments.start_s(index):.1f} s"
                name = f"test/error {number}: {where}, {true_type} predicted {predicted}"
                add_clip(logger, name, clip, SAMPLE_RATE_HZ, step)
        if results.features is not None:
            add_embeddings(logger, results.features, results.predictions)
