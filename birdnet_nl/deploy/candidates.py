"""Which run of each species may be shipped, and which of them is the best: validation decides, never the test."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from birdnet_nl.comparison.finished_runs import BY_RECORDING, FinishedRun
from birdnet_nl.comparison.pairing import LeftOut

CHECKPOINT = Path("checkpoints/best.ckpt")  # in a run directory
TAUGHT_THE_TEST = "teacher_knows_test=true"


@dataclass(frozen=True)
class Candidates:
    """The best run of each species (or pool) by slug, and the runs that may not be shipped, with the reason."""

    best: Mapping[str, FinishedRun]
    left_out: tuple[LeftOut, ...]


def choose_candidates(runs: Iterable[FinishedRun], allow_synthetic: bool) -> Candidates:
    """Real recordings go before synthetic ones, more types before fewer, then validation, then the newest run."""
    by_subject: dict[str, list[FinishedRun]] = defaultdict(list)
    left_out: list[LeftOut] = []
    for run in runs:
        if reason := why_refused(run, allow_synthetic):
            left_out.append(LeftOut(str(run.folder), reason))
        else:
            by_subject[run.subject].append(run)
    best = {subject: max(of_subject, key=_rank) for subject, of_subject in sorted(by_subject.items())}
    return Candidates(best, tuple(left_out))


def why_refused(run: FinishedRun, allow_synthetic: bool) -> str:
    """Why a run's network must not be used on real birds; empty when it may."""
    if run.split_by != BY_RECORDING:
        return f"split by {run.split_by}: it was validated on recordings it was trained on"
    if run.shuffled:
        return "types shuffled: a control that learned nothing"
    if run.folds:
        return "one fold of a cross-validation: a measurement, not a model to keep"
    if TAUGHT_THE_TEST in (text.lower() for text in run.variant):
        return "its teacher had learned from its test recordings: a measurement, not a model to keep"
    if run.synthetic and not allow_synthetic:
        return "trained on synthetic demo recordings: it knows no real birds; --allow-synthetic takes it all the same"
    if validation_of(run) is None:
        return "its metrics.json has no validation figure"
    if not (run.folder / CHECKPOINT).is_file():
        return f"{CHECKPOINT} is gone"
    return ""


def validation_of(run: FinishedRun) -> float | None:
    """Balanced accuracy per validation recording, of the weights that were kept."""
    return (run.report.get("validation") or {}).get("recording_balanced_accuracy")


def _rank(run: FinishedRun) -> tuple:
    return (not run.synthetic, len(run.types), validation_of(run), run.finished, str(run.folder))
