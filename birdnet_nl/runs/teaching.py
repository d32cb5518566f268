"""A finished run as the teacher of another: which one is meant, whether it may teach, and what it says.

It may not when it learned from recordings that its student is tested on: these would reach the student through it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from birdnet_nl.comparison.finished_runs import find_runs
from birdnet_nl.data.datamodule import SpeciesDataModule
from birdnet_nl.evaluation.trained_on import TrainedOn
from birdnet_nl.inference.classifier import find_checkpoint, load_trained
from birdnet_nl.inference.predict import predict_calibrated
from birdnet_nl.recordings.recording import Recording
from birdnet_nl.training.checkpoint import CARD, read_checkpoint
from birdnet_nl.training.teacher import Lesson, TeacherAnswers
from birdnet_nl.util.console import display_path, info
from birdnet_nl.util.errors import RunError
from birdnet_nl.util.run_directory import CONFIG, METRICS

ANSWERS = "teacher.npz"  # in the run directory of the student


def check_unteachable(loss_kind: str, source: str, fitted_at_once: bool) -> None:
    """Raise `ValueError` for a run that cannot learn from a teacher, before that hears every recording."""
    if fitted_at_once:
        raise ValueError(
            "teacher= is for a network that is trained in steps, such as model=compact_cnn; heads and networks of "
            "features are fitted at once, so leave it out (model=student has its teacher in data.features.teacher)"
        )
    if loss_kind == "each":
        raise ValueError(
            "loss.kind=each asks of every type whether it is there, and a teacher gives each a share; take "
            "loss.kind=one, or no teacher"
        )
    if source == "spectrograms":
        raise ValueError("data=spectrograms holds parts of recordings, and a teacher hears whole ones; give recordings")


def find_teacher(given: Path, seed: int, folds: int | None, fold: int | None) -> Path:
    """The run directory meant: `given` itself, or in a sweep the run of the same seed and fold."""
    if not given.is_dir():
        raise RunError(f"teacher={given} is not a folder; give a run directory, or a sweep with a run of each fold")
    if (given / CONFIG).is_file():
        if not (given / METRICS).is_file():
            raise RunError(f"teacher={given} is not finished; go on with python train.py resume={given}")
        return given
    runs = find_runs([given]).runs
    same = [run for run in runs if (run.seed, run.folds, run.fold) == (seed, folds, fold)]
    wanted = f"seed {seed}" + (f" and fold {fold} of {folds}" if folds is not None else " and without folds")
    if not same:
        there = sorted({f"seed {run.seed}" + (f" fold {run.fold}" if run.folds else "") for run in runs})
        raise RunError(f"teacher={given} holds no finished run with {wanted} (there are: {', '.join(there) or 'none'})")
    if len(same) > 1:
        raise RunError(f"teacher={given} holds {len(same)} runs with {wanted}; give one, such as {same[0].folder}")
    return same[0].folder


def describe_teacher(teacher: Path | None) -> dict[str, Any]:
    """For the student's card: the teacher's run, and the pretrained network that it, or its own teacher, hears with."""
    if teacher is None:
        return {"teacher": None, "teacher_features": None}
    card = read_checkpoint(find_checkpoint(teacher))[CARD]
    return {
        "teacher": str(teacher.resolve()),
        "teacher_features": card.get("features") or card.get("teacher_features"),
    }


def tell_about_teacher(described: Mapping[str, Any]) -> None:
    """The licence of what a teacher hears with, which its student may fall under too."""
    features = described["teacher_features"]
    if features and features["licence"]:
        info(f"its teacher hears with {features['credit']}; {features['licence']}, which may hold for the student too")


def check_not_seen(teacher: Path, trained_on: TrainedOn | None, tested: Sequence[Recording], allowed: bool) -> None:
    """Raise `RunError` when the teacher learned from a recording that the student is tested on, unless allowed."""
    if allowed:
        return
    if trained_on is None:
        raise RunError(
            f"teacher={teacher} has no splits.csv that tells what it learned from, so it may know the test recordings; "
            "teacher_knows_test=true teaches all the same"
        )
    known = [recording.id for recording in tested if trained_on.reason_seen(recording)]
    if known:
        raise RunError(
            f"teacher={teacher} learned from {len(known)} of the {len(tested)} test recordings (such as {known[0]}); "
            "give one of the same seed and fold, or teacher_knows_test=true to see how that flatters"
        )


def lesson_of(teacher: Path, data: SpeciesDataModule, knows_test: bool, run_dir: Path) -> Lesson:
    """What the run in `teacher` says of the training recordings of `data`, in the order of their indices.

    Its answers are kept in `run_dir`, for when that run is resumed.
    """
    info(f"student of {display_path(teacher)}")
    kept = run_dir / ANSWERS
    if kept.is_file():
        answers = TeacherAnswers.read(kept)
    else:
        trained = load_trained(teacher)
        tested = [one for one in data.prepared.recordings if data.prepared.splits[one.id] == "test"]
        check_not_seen(teacher, trained.trained_on, tested, knows_test)
        heard = predict_calibrated(trained, data.training_recordings, data.cache_dir)
        ids = tuple(recording.id for recording in data.training_recordings)
        answers = TeacherAnswers(ids, tuple(trained.at_temperature_1.types), *(part.numpy() for part in heard))
        answers.write(kept)
    return answers.lesson([recording.id for recording in data.training_recordings], data.prepared.types)
