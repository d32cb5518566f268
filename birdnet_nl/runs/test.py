"""What a trained run is worth: validation decides how answers are made, the test recordings are answered once."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch

from birdnet_nl.audio.mel import Normalise
from birdnet_nl.data.datamodule import SpeciesDataModule
from birdnet_nl.data.segment_activity import activity_of_segments
from birdnet_nl.evaluation.calibration import MIN_RECORDINGS, Calibration
from birdnet_nl.evaluation.controls import majority_control, metadata_control
from birdnet_nl.evaluation.decision import is_certain
from birdnet_nl.evaluation.embeddings import kept_features, pool_embeddings
from birdnet_nl.evaluation.evaluate import Evaluation, calibrate_and_evaluate, evaluate_calibrated
from birdnet_nl.evaluation.metrics import Predictions
from birdnet_nl.evaluation.predictions_file import RecordingPrediction, recording_predictions, write_predictions
from birdnet_nl.evaluation.report import draw_plots, write_plots
from birdnet_nl.evaluation.segment_examples import (
    SAMPLE_RATE_HZ,
    SegmentPredictions,
    choose_errors,
    choose_typical,
    cut_clip,
    draw_segments,
)
from birdnet_nl.evaluation.tensorboard import add_clip, add_counts, add_embeddings, add_pictures, add_result
from birdnet_nl.recordings.choice import allows_excerpts
from birdnet_nl.recordings.recording import Recording
from birdnet_nl.recordings.tags import with_tags
from birdnet_nl.runs.base_model import BaseRun, describe_head
from birdnet_nl.training.checkpoint import keep_for_prediction
from birdnet_nl.training.module import TypeClassifier, types_of_recordings
from birdnet_nl.util.run_directory import BEST, PREDICTIONS


@dataclass(frozen=True)
class RunResults:
    """A judged run; `features` are of the test recordings, `report` its part of metrics.json."""

    evaluation: Evaluation
    answers: list[RecordingPrediction]
    features: torch.Tensor | None
    report: dict[str, Any]


def test_run(
    trainer: L.Trainer,
    module: TypeClassifier,
    data: SpeciesDataModule,
    run_dir: Path,
    wanted_accuracy: float,
    base: BaseRun | None = None,
) -> RunResults:
    """Predict validation and test, decide and judge; writes `predictions.csv` and the decisions into `best.ckpt`.

    Where validation recordings are too few to decide anything, a head keeps what was decided for its `base`.
    """
    types = data.prepared.types
    with module.as_validated():
        validation = _predict(trainer, module, data, "val")
    with kept_features(module.network) as features:
        test = _predict(trainer, module, data, "test")
    recordings = recordings_of(data, "test")
    if base is not None and len(validation.recording_ids) < MIN_RECORDINGS:
        unfitted = Calibration(1.0, base.trained.calibration.pooling, 0)  # its temperature is in the network
        evaluation = evaluate_calibrated(unfitted, base.trained.threshold, wanted_accuracy, test, recordings, types)
    else:
        evaluation = calibrate_and_evaluate(validation, test, recordings, types, wanted_accuracy)
    probabilities, true_types = evaluation.probabilities.numpy(), evaluation.true_types.numpy()
    answers = recording_predictions(
        recordings,
        probabilities,
        true_types,
        certain=is_certain(probabilities, evaluation.threshold),
        segments=torch.bincount(test.recordings).numpy(),
        types=types,
    )
    write_predictions(run_dir / PREDICTIONS, answers)
    keep_for_prediction(
        run_dir / BEST,
        temperature=evaluation.calibration.temperature,
        temperatures_of_species=dict(evaluation.calibration.of_species),
        pooling=evaluation.calibration.pooling,
        threshold=evaluation.threshold,
    )
    report = {
        "test_fingerprint": fingerprint_of(answers),
        **evaluation.report,
        "controls": score_controls(data, evaluation),
    }
    if base is not None:
        report["head"] = {"penalty": module.network.l2, **describe_head(base, data, evaluation)}
    embedded = pool_embeddings(features, test.recordings) if test.whole is None else features[-1]
    return RunResults(evaluation, answers, embedded, report)


def _predict(trainer: L.Trainer, module: TypeClassifier, data: SpeciesDataModule, split: str) -> Predictions:
    recordings = recordings_of(data, split)
    ids, species = [one.id for one in recordings], [one.species for one in recordings]
    batches = {"val": data.val_dataloader, "test": data.test_dataloader}[split]()
    activity = None  # features are pooled by the network itself
    if data.features is None:
        activity = activity_of_segments(data.datasets[split], data.prepared.mels, data.mel)
    return Predictions.join(trainer.predict(module, dataloaders=batches), ids, species, activity)


def recordings_of(data: SpeciesDataModule, split: str) -> list[Recording]:
    """The recordings behind the recording indices of a split."""
    by_id = {recording.id: recording for recording in data.prepared.recordings}
    return [by_id[id] for id in data.datasets[split].recording_ids]


def fingerprint_of(answers: list[RecordingPrediction]) -> str:
    """Sixteen hex digits that two runs share when they were tested on the same recordings with the same true types."""
    rows = sorted((row.recording_id, row.true_type) for row in answers)
    return hashlib.sha256(repr(rows).encode()).hexdigest()[:16]


def score_controls(data: SpeciesDataModule, evaluation: Evaluation) -> dict[str, Any]:
    train = data.datasets["train"]
    train_types = types_of_recordings(train.types, train.recordings).numpy()
    test_types, types = evaluation.true_types.numpy(), data.prepared.types
    return {
        "majority": majority_control(train_types, test_types, types),
        "metadata": metadata_control(
            [with_tags(recording) for recording in recordings_of(data, "train")],
            [with_tags(recording) for recording in recordings_of(data, "test")],
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
    with_figures: bool = True,
) -> None:
    """Counts and results into TensorBoard; `with_figures` also pictures, there and in the run directory, sounds and
    neighbours. `report` is the whole one."""
    if with_figures:
        _show_figures(run_dir, trainer, data, results, report)
    if trainer.logger is not None:
        add_counts(trainer.logger, report)
        add_result(trainer.logger, report)


def _show_figures(
    run_dir: Path, trainer: L.Trainer, data: SpeciesDataModule, results: RunResults, report: dict[str, Any]
) -> None:
    segments = SegmentPredictions(
        data.datasets["test"], results.evaluation.segments, data.prepared.types, data.mel.frames_per_s
    )
    title = f"{report['species']['dutch']} · {report['parameter_set']}"
    normalise, errors = Normalise(data.mel), choose_errors(segments)
    figures = draw_plots(report, results.evaluation)
    figures["examples"] = draw_segments(
        segments, choose_typical(segments), normalise, f"{title} · test segments", data.synthetic
    )
    if errors:
        figures["errors"] = draw_segments(segments, errors, normalise, f"{title} · surest errors", data.synthetic)
    pictures = write_plots(run_dir, figures)
    logger, step = trainer.logger, report["best_epoch"]
    if logger is None:
        return
    add_pictures(logger, pictures, step)
    by_id = {recording.id: recording for recording in data.prepared.recordings}
    for number, index in enumerate(errors, start=1):
        recording = by_id[segments.recording_id(index)]
        clip = cut_clip(recording, segments.start_s(index), data.segment_s) if allows_excerpts(recording) else None
        if clip is not None:
            true, given = segments.verdict(index)
            name = f"test/error {number}: {recording.id} {segments.start_s(index):.1f} s, {true} answered {given}"
            add_clip(logger, name, clip, SAMPLE_RATE_HZ, step)
    if results.features is not None:
        add_embeddings(logger, results.features, results.answers)
