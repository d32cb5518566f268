"""Evaluation of a trained classifier on other recordings, with the calibration and threshold of its checkpoint."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import joblib
import torch

from birdnet_nl import __version__
from birdnet_nl.audio.cache import CachedMel, UnusableFile, cache_mels
from birdnet_nl.data.prepare import EvaluationSet, build_evaluation_set, file_warnings
from birdnet_nl.data.sources import DEMO_MARK, read_folders, with_own_ids
from birdnet_nl.embeddings.cache import NOT_FINITE
from birdnet_nl.evaluation.calibration import is_certain
from birdnet_nl.evaluation.evaluate import Evaluation, evaluate_calibrated
from birdnet_nl.evaluation.predictions_file import RecordingPrediction, recording_predictions, write_predictions
from birdnet_nl.evaluation.report import draw_evaluation, write_plots
from birdnet_nl.evaluation.sources import score_sources, song_against_call
from birdnet_nl.inference.classifier import Classifier
from birdnet_nl.inference.predict import predict
from birdnet_nl.recordings.listing import printable_path
from birdnet_nl.recordings.recording import Recording
from birdnet_nl.runs.clips import evaluate_clips
from birdnet_nl.runs.evaluation_report import (
    count_types,
    describe_seen,
    includes_training_recordings,
    score_majority,
    score_new_recordists,
)
from birdnet_nl.runs.report import git_commit, log_warnings, machine, peak_memory_mb, versions
from birdnet_nl.runs.test import fingerprint
from birdnet_nl.species.table import Species
from birdnet_nl.util.console import progress_bar
from birdnet_nl.util.errors import DataError
from birdnet_nl.util.files import write_text_atomic
from birdnet_nl.util.run_directory import METRICS, PREDICTIONS, SYNTHETIC, write_json

MIN_FOR_CURVES = 10  # recordings; the curves of fewer are a few steps


def evaluate(
    classifier: Classifier,
    data: Path,
    folders: Mapping[Species, Sequence[Path]],
    out: Path,
    cache_dir: Path,
    with_training_recordings: bool,
    clip_lengths_s: Sequence[float] = (),
) -> dict[str, Any]:
    """Evaluate on the recordings in `folders`, below `data`, and write the results into `out`.

    With `clip_lengths_s` also on the most active clip of each recording (`runs/clips.py`).

    Returns:
        The content of `metrics.json`.

    Raises:
        DataError: if no recording is left to evaluate.
    """
    started = time.perf_counter()
    found = with_own_ids(
        [
            recording
            for species, paths in folders.items()
            for recording in read_folders(paths, species, classifier.type_set)
        ]
    )
    evaluation_set = _build_evaluation_set(classifier, data, found, cache_dir, with_training_recordings)
    faults = file_warnings(evaluation_set.recordings, evaluation_set.mels)
    log_warnings(faults)
    test = predict(classifier, evaluation_set.recordings, evaluation_set.mels, cache_dir).predictions
    by_id = {recording.id: recording for recording in evaluation_set.recordings}
    recordings = [by_id[id] for id in test.recording_ids]
    not_finite = [UnusableFile(r.path, NOT_FINITE) for id, r in by_id.items() if id not in set(test.recording_ids)]
    types, metadata = classifier.types, classifier.metadata
    evaluation = evaluate_calibrated(
        classifier.calibration, classifier.threshold, classifier.target_accuracy, test, recordings, types
    )
    synthetic_data = any((path / DEMO_MARK).is_file() for paths in folders.values() for path in paths)
    predictions = recording_predictions(
        recordings,
        evaluation.probabilities.numpy(),
        evaluation.true_types.numpy(),
        certain=is_certain(evaluation.probabilities.numpy(), classifier.threshold),
        segments=torch.bincount(test.recordings).numpy(),
        types=types,
    )
    report = {
        "birdnet_nl": __version__,
        "synthetic": bool(metadata["synthetic"] or synthetic_data),
        **{
            name: metadata.get(name)
            for name in ("species", "parameter_set", "seed", "pool", "pool_species", "shuffled_types")
        },
        "embeddings": metadata.get("embeddings"),
        "split_by": classifier.split_by,
        "types": types,
        "evaluated": {
            "checkpoint": str(classifier.checkpoint.resolve()),
            "data": str(data.resolve()),
            "species": dict(Counter(recording.species for recording in recordings)),
            "synthetic_network": metadata["synthetic"],
            "synthetic_recordings": synthetic_data,
            "calibrated": classifier.is_calibrated,
            "seen": describe_seen(classifier, evaluation_set, with_training_recordings),
        },
        "counts": {
            "recordings": {"test": count_types(evaluation.true_types, types)},
            "segments": {"test": count_types(test.true_types, types)},
        },
        "left_out": {
            "seen": {} if with_training_recordings else {str(r.path): why for r, why in evaluation_set.seen},
            "types": dict(evaluation_set.unknown_types),
            "unclear": dict(evaluation_set.unclear),
            "files": {str(file.path): file.reason for file in [*evaluation_set.unusable, *not_finite]},
        },
        "faults": {str(path): warning for path, warning in faults.items()},
        "test_fingerprint": fingerprint(predictions),
        **evaluation.report,
        "clips": [
            evaluate_clips(classifier, recordings, evaluation_set.mels, clip_s, cache_dir) for clip_s in clip_lengths_s
        ],
        "song_against_call": song_against_call(evaluation.probabilities, evaluation.true_types, types),
        "sources": score_sources(recordings, evaluation.probabilities, evaluation.true_types, types),
        "new_recordists": score_new_recordists(classifier, recordings, test, evaluation),
        "controls": {
            "majority": score_majority(classifier, evaluation),
            "metadata": {"absent": "only a training run fits it"},
        },
        "machine": machine(),
        "git_commit": git_commit(),
        "versions": versions(),
    }
    _write(out, report, predictions, evaluation)
    report["seconds"] = {"total": round(time.perf_counter() - started, 2)}
    report["peak_memory_mb"] = peak_memory_mb()
    write_json(out / METRICS, report)
    return report


def _build_evaluation_set(
    classifier: Classifier, data: Path, found: Sequence[Recording], cache_dir: Path, keep_seen: bool
) -> EvaluationSet:
    def make_mels(recordings: Sequence[Recording]) -> tuple[dict[str, CachedMel], list[UnusableFile]]:
        with progress_bar() as bar:
            task = bar.add_task("decoding and computing mels", total=len(recordings))
            workers = joblib.cpu_count()
            return cache_mels(recordings, classifier.mel, cache_dir / "mel", workers, lambda: bar.advance(task))

    reason_seen = classifier.trained_on.reason_seen if classifier.trained_on else lambda recording: ""
    evaluation_set = build_evaluation_set(found, classifier.types, reason_seen, keep_seen, make_mels, classifier.mel)
    if evaluation_set.recordings:
        return evaluation_set
    if evaluation_set.seen and not keep_seen:
        raise DataError(
            f"all {len(evaluation_set.seen)} usable recordings in {data} were used for training or validation; give "
            "others, or add --with-training-recordings to see how well the network fits them"
        )
    if evaluation_set.unusable:
        first = evaluation_set.unusable[0]
        raise DataError(
            f"none of the {len(evaluation_set.unusable)} files in {data} can be used (first: {first.path.name} "
            f"{first.reason}); fetch them again"
        )
    seen = ", ".join(
        f"{text} {count}" for text, count in (evaluation_set.unclear + evaluation_set.unknown_types).most_common(4)
    )
    raise DataError(
        f"no recording in {data} is plainly one of {', '.join(classifier.types)}, which the network predicts "
        f"(found: {seen}); put them in folders of these names or give their types in recordings.csv"
    )


def _write(
    out: Path, report: Mapping[str, Any], predictions: Sequence[RecordingPrediction], evaluation: Evaluation
) -> None:
    """Everything but `metrics.json`, which comes last."""
    if report["synthetic"]:
        write_text_atomic(out / SYNTHETIC, "Trained or evaluated on synthetic demo recordings.\n")
    write_predictions(out / PREDICTIONS, predictions)
    data = printable_path(Path(report["evaluated"]["data"]).name)
    title = f"{report['species']['dutch']} · {report['parameter_set']} · on {data}"
    if includes_training_recordings(report):
        title += " · TRAINED ON THESE"
    plots = draw_evaluation(report, evaluation, title)
    if len(predictions) < MIN_FOR_CURVES:
        plots = {"confusion": plots["confusion"]}
    write_plots(out, plots)
