"""A finished network judged on recordings it has not met: nothing is fitted anew, the checkpoint's decisions stand."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import joblib
import torch

from birdnet_nl import __version__
from birdnet_nl.audio.cache import CachedMel, UnusableFile, cache_mels
from birdnet_nl.data.evaluation_set import EvaluationSet, build_evaluation_set
from birdnet_nl.data.sources import DEMO_MARK, read_folders, with_own_ids
from birdnet_nl.evaluation.decision import is_certain
from birdnet_nl.evaluation.evaluate import Evaluation, evaluate_calibrated
from birdnet_nl.evaluation.predictions_file import RecordingPrediction, recording_predictions, write_predictions
from birdnet_nl.evaluation.report import draw_evaluation, write_plots
from birdnet_nl.inference.classifier import TrainedNetwork
from birdnet_nl.inference.predict import predict
from birdnet_nl.recordings.recording import Recording
from birdnet_nl.runs.evaluation_description import (
    count_types,
    describe_known,
    knows_what_it_judged,
    score_majority,
    score_new_recordists,
)
from birdnet_nl.runs.origin import git_commit, machine
from birdnet_nl.runs.report import peak_memory_mb, versions
from birdnet_nl.runs.test import fingerprint_of
from birdnet_nl.species.table import Species
from birdnet_nl.util.console import progress_bar
from birdnet_nl.util.errors import DataError
from birdnet_nl.util.files import write_text_atomic
from birdnet_nl.util.run_directory import METRICS, PREDICTIONS, SYNTHETIC, write_json

MIN_FOR_CURVES = 10  # recordings; the curves of fewer are a few steps


def evaluate(
    trained: TrainedNetwork,
    data: Path,
    folders: Mapping[Species, Sequence[Path]],
    out: Path,
    cache_dir: Path,
    with_training_recordings: bool,
) -> dict[str, Any]:
    """Judge the recordings in `folders`, below `data`; writes into `out` and gives what `metrics.json` holds.

    Raises `DataError` when no recording is left to judge.
    """
    started = time.perf_counter()
    found = with_own_ids([r for one, paths in folders.items() for r in read_folders(paths, one, trained.flight_call)])
    evaluation_set = _gather(trained, data, found, cache_dir, with_training_recordings)
    test = predict(trained.at_temperature_1, evaluation_set.recordings, evaluation_set.mels, cache_dir).predictions
    by_id = {recording.id: recording for recording in evaluation_set.recordings}
    recordings = [by_id[id] for id in test.recording_ids]
    types = trained.at_temperature_1.types
    evaluation = evaluate_calibrated(
        trained.calibration, trained.threshold, trained.wanted_accuracy, test, recordings, types
    )
    synthetic_data = any((path / DEMO_MARK).is_file() for paths in folders.values() for path in paths)
    answers = recording_predictions(
        recordings,
        evaluation.probabilities.numpy(),
        evaluation.true_types.numpy(),
        certain=is_certain(evaluation.probabilities.numpy(), trained.threshold),
        segments=torch.bincount(test.recordings).numpy(),
        types=types,
    )
    report = {
        "birdnet_nl": __version__,
        "synthetic": bool(trained.card["synthetic"] or synthetic_data),
        **{name: trained.card.get(name) for name in ("species", "parameter_set", "seed", "pool", "shuffled_types")},
        "features": trained.card.get("features"),
        "split_by": trained.split_by,
        "types": types,
        "evaluated": {
            "checkpoint": str(trained.checkpoint.resolve()),
            "data": str(data.resolve()),
            "species": dict(Counter(recording.species for recording in recordings)),
            "synthetic_network": trained.card["synthetic"],
            "synthetic_recordings": synthetic_data,
            "decided": trained.decided,
            "known": describe_known(trained, evaluation_set, with_training_recordings),
        },
        "counts": {
            "recordings": {"test": count_types(evaluation.true_types, types)},
            "segments": {"test": count_types(test.true_types, types)},
        },
        "left_out": {
            "known": {} if with_training_recordings else {str(r.path): why for r, why in evaluation_set.seen},
            "types": dict(evaluation_set.unknown_types),
            "unclear": dict(evaluation_set.unclear),
            "files": {str(file.path): file.reason for file in evaluation_set.unusable},
        },
        "test_fingerprint": fingerprint_of(answers),
        **evaluation.report,
        "new_recordists": score_new_recordists(trained, recordings, test, evaluation),
        "controls": {
            "majority": score_majority(trained, evaluation),
            "metadata": {"absent": "only a training run fits it"},
        },
        "machine": machine(),
        "git_commit": git_commit(),
        "versions": versions(),
    }
    _write(out, report, answers, evaluation)
    report["seconds"] = {"total": round(time.perf_counter() - started, 2)}
    report["peak_memory_mb"] = peak_memory_mb()
    write_json(out / METRICS, report)
    return report


def _gather(
    trained: TrainedNetwork, data: Path, found: Sequence[Recording], cache_dir: Path, keep_seen: bool
) -> EvaluationSet:
    classifier, trained_on = trained.at_temperature_1, trained.trained_on

    def make_mels(recordings: Sequence[Recording]) -> tuple[dict[str, CachedMel], list[UnusableFile]]:
        with progress_bar() as bar:
            task = bar.add_task("decoding and computing mels", total=len(recordings))
            return cache_mels(recordings, classifier.mel, cache_dir, joblib.cpu_count(), lambda: bar.advance(task))

    reason_seen = trained_on.reason_seen if trained_on else lambda recording: ""
    evaluation_set = build_evaluation_set(found, classifier.types, reason_seen, keep_seen, make_mels, classifier.mel)
    if evaluation_set.recordings:
        return evaluation_set
    if evaluation_set.seen and not keep_seen:
        raise DataError(
            f"all {len(evaluation_set.seen)} usable recordings in {data} were trained on or validated with; give others, or "
            "add --with-training-recordings to see how well the network knows them"
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
        f"no recording in {data} is plainly one of {', '.join(classifier.types)}, which the network tells apart "
        f"(found: {seen}); put them in folders of these names or give their types in recordings.csv"
    )


def _write(
    out: Path, report: Mapping[str, Any], answers: Sequence[RecordingPrediction], evaluation: Evaluation
) -> None:
    """Everything but `metrics.json`, which comes last."""
    if report["synthetic"]:
        write_text_atomic(out / SYNTHETIC, "Trained or evaluated on synthetic demo recordings.\n")
    write_predictions(out / PREDICTIONS, answers)
    title = f"{report['species']['dutch']} · {report['parameter_set']} · on {Path(report['evaluated']['data']).name}"
    if knows_what_it_judged(report):
        title += " · TRAINED ON THESE"
    figures = draw_evaluation(report, evaluation, title)
    if len(answers) < MIN_FOR_CURVES:
        figures = {"confusion": figures["confusion"]}
    write_plots(out, figures)
