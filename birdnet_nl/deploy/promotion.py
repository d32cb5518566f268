"""Promotion of finished runs: choose the best run of each species and compare it with the version in use.

The validation metric chooses among runs, never the test metric, so that the test metrics of a version stay unbiased.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from birdnet_nl.comparison.finished_runs import BY_RECORDING, FinishedRun
from birdnet_nl.comparison.pairing import LeftOut
from birdnet_nl.deploy.versions import Version, model_bytes, sha256_of
from birdnet_nl.util.errors import RunError
from birdnet_nl.util.run_directory import BEST

NEW, BETTER, EQUAL, WORSE, NOT_COMPARABLE, UNCHANGED, KEPT = (
    "new", "better", "equal", "worse", "not comparable", "unchanged", "no new run",
)  # fmt: skip


@dataclass(frozen=True)
class Decision:
    """Decision about one species (or pool): take the model of the new run or keep the one of the base version.

    Attributes:
        run: best new run; None where no run was given.
        before: entry in the manifest of the base version; None where it has none.
        verdict: NEW, BETTER, EQUAL, WORSE, NOT_COMPARABLE, UNCHANGED or KEPT.
        reason: grounds of the verdict in a few words.
        takes_run: True where the new version gets the model of `run`.
        sha256: hash of the chosen model file.
    """

    slug: str
    run: FinishedRun | None
    before: Mapping[str, Any] | None
    verdict: str
    reason: str
    takes_run: bool
    sha256: str

    @property
    def validation(self) -> float:
        """Validation metric of the chosen model."""
        if self.takes_run:
            return validation_metric(self.run)
        return self.before["validation"]["recording_balanced_accuracy"]


@dataclass(frozen=True)
class Promotion:
    """All decisions by slug, the base version they were compared with, and the runs that may not be promoted."""

    decisions: Mapping[str, Decision]
    base: Version | None
    left_out: tuple[LeftOut, ...]


def choose_candidates(
    runs: Iterable[FinishedRun], allow_synthetic: bool
) -> tuple[dict[str, FinishedRun], tuple[LeftOut, ...]]:
    """Return the best run of each species (or pool) by slug, and the runs that may not be promoted, with the reason.

    Runs on real recordings precede those on synthetic ones, then more types, final models, the validation metric, and
    the newest.
    """
    by_subject: dict[str, list[FinishedRun]] = defaultdict(list)
    left_out: list[LeftOut] = []
    for run in runs:
        if reason := _refusal_reason(run, allow_synthetic):
            left_out.append(LeftOut(str(run.folder), reason))
        else:
            by_subject[run.subject].append(run)
    best = {subject: max(subject_runs, key=_rank) for subject, subject_runs in sorted(by_subject.items())}
    return best, tuple(left_out)


def _refusal_reason(run: FinishedRun, allow_synthetic: bool) -> str:
    """Return why a run may not be promoted; empty when it may."""
    if run.split_by != BY_RECORDING:
        return f"split by {run.split_by}: it was validated on recordings it was trained on"
    if run.shuffled:
        return "types shuffled: a control without information"
    if run.folds:
        return "one fold of a cross-validation: a measurement, not a model to keep"
    if run.synthetic and not allow_synthetic:
        return "trained on synthetic demo recordings only; --allow-synthetic takes it nevertheless"
    if validation_metric(run) is None:
        return "its metrics.json has no validation metric"
    if not (run.folder / BEST).is_file():
        return f"{BEST} is missing"
    return ""


def validation_metric(run: FinishedRun) -> float | None:
    """Return the balanced accuracy per validation recording of the weights that were kept."""
    return (run.report.get("validation") or {}).get("recording_balanced_accuracy")


def plan_promotion(
    runs: Iterable[FinishedRun], base: Version | None, allow_synthetic: bool, accept_worse: bool
) -> Promotion:
    """Compare the best run of each species with `base`; a species without a run keeps its model of `base`.

    Raises `RunError` when no run may be promoted.
    """
    best, left_out = choose_candidates(runs, allow_synthetic)
    if not best:
        first = left_out[0]
        raise RunError(f"none of the {len(left_out)} runs can be promoted; {first.what}: {first.reason}")
    before = base.models if base else {}
    slugs = sorted({*best, *before})
    decisions = {slug: _decide(slug, best.get(slug), before.get(slug), accept_worse) for slug in slugs}
    return Promotion(decisions, base, left_out)


def _compare_with_model(run: FinishedRun, before: Mapping[str, Any]) -> tuple[str, str]:
    """Return the verdict on a run beside the model in use, and its grounds.

    Metrics are compared only on the same test recordings.
    """
    if run.synthetic != before["synthetic"]:
        return (WORSE, "synthetic in place of real") if run.synthetic else (BETTER, "real in place of synthetic")
    if lost := [name for name in before["types"] if name not in run.types]:
        return WORSE, f"no longer predicts {', '.join(lost)}"
    if gained := [name for name in run.types if name not in before["types"]]:
        return NOT_COMPARABLE, f"also predicts {', '.join(gained)}, so the metrics are not comparable"
    if not run.test_fingerprint or run.test_fingerprint != before["test_fingerprint"]:
        return NOT_COMPARABLE, "other test recordings, so the metrics are not comparable"
    now, then = run.scores["balanced_accuracy"], before["test"]["balanced_accuracy"]
    verdict = BETTER if now > then else WORSE if now < then else EQUAL
    return verdict, f"{then:.1%} → {now:.1%} on the same {run.scores['count']} test recordings"


def _decide(slug: str, run: FinishedRun | None, before: Mapping[str, Any] | None, accept_worse: bool) -> Decision:
    if run is None:
        return Decision(slug, None, before, KEPT, f"of version {before['since']}", False, before["sha256"])
    sha256 = sha256_of(model_bytes(run.folder / BEST))
    if before is None:
        return Decision(slug, run, None, NEW, "", True, sha256)
    if sha256 == before["sha256"]:
        return Decision(slug, run, before, UNCHANGED, "the same network", False, sha256)
    verdict, reason = _compare_with_model(run, before)
    takes_run = verdict != WORSE or accept_worse
    return Decision(slug, run, before, verdict, reason, takes_run, sha256 if takes_run else before["sha256"])


def _rank(run: FinishedRun) -> tuple:
    return (not run.synthetic, len(run.types), run.is_final, validation_metric(run), run.finished, str(run.folder))
