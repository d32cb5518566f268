"""What a new version will hold: for each species the new run's network, or the one of the version before."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from birdnet_nl.comparison.finished_runs import FinishedRun
from birdnet_nl.comparison.pairing import LeftOut
from birdnet_nl.deploy.candidates import CHECKPOINT, choose_candidates, validation_of
from birdnet_nl.deploy.model_file import sha256_of, shipped_bytes
from birdnet_nl.deploy.versions import Version
from birdnet_nl.util.errors import RunError

NEW, BETTER, EQUAL, WORSE, APART, UNCHANGED, KEPT = (
    "new", "better", "equal", "worse", "not comparable", "unchanged", "no new run",
)  # fmt: skip


@dataclass(frozen=True)
class Decision:
    """Of one species (or pool): the run that may be shipped, the model of the version before, and which is taken.

    Attributes:
        run: None where no run was given.
        before: the entry in the manifest of the version before; None where that has none.
        verdict: NEW, BETTER, EQUAL, WORSE, APART, UNCHANGED or KEPT.
        reason: what the verdict rests on, in a few words.
        sha256: of the model file that is taken.
    """

    slug: str
    run: FinishedRun | None
    before: Mapping[str, Any] | None
    verdict: str
    reason: str
    takes_run: bool
    sha256: str


@dataclass(frozen=True)
class Promotion:
    """All decisions by slug, the version they were compared with, and the runs that may not be shipped."""

    decisions: Mapping[str, Decision]
    base: Version | None
    left_out: tuple[LeftOut, ...]


def plan_promotion(
    runs: Iterable[FinishedRun], base: Version | None, allow_synthetic: bool, accept_worse: bool
) -> Promotion:
    """Compare the best run of each species with `base`; a species without a run keeps its model of `base`.

    Raises `RunError` when no run may be shipped.
    """
    candidates = choose_candidates(runs, allow_synthetic)
    if not candidates.best:
        count, first = len(candidates.left_out), candidates.left_out[0]
        raise RunError(f"none of the {count} runs can be promoted; {first.what}: {first.reason}")
    before = base.models if base else {}
    decisions = {
        slug: _decide(slug, candidates.best.get(slug), before.get(slug), accept_worse)
        for slug in sorted({*candidates.best, *before})
    }
    return Promotion(decisions, base, candidates.left_out)


def _decide(slug: str, run: FinishedRun | None, before: Mapping[str, Any] | None, accept_worse: bool) -> Decision:
    if run is None:
        return Decision(slug, None, before, KEPT, f"of version {before['since']}", False, before["sha256"])
    sha256 = sha256_of(shipped_bytes(run.folder / CHECKPOINT))
    if before is None:
        return Decision(slug, run, None, NEW, "", True, sha256)
    if sha256 == before["sha256"]:
        return Decision(slug, run, before, UNCHANGED, "the same network", False, sha256)
    verdict, reason = compare_with(run, before)
    takes_run = verdict != WORSE or accept_worse
    return Decision(slug, run, before, verdict, reason, takes_run, sha256 if takes_run else before["sha256"])


def compare_with(run: FinishedRun, before: Mapping[str, Any]) -> tuple[str, str]:
    """Verdict on a run beside a model that is in use, and what it rests on.

    Figures are compared on the same test recordings only; which of several runs is the candidate was decided without.
    """
    if run.synthetic != before["synthetic"]:
        return (WORSE, "synthetic in place of real") if run.synthetic else (BETTER, "real in place of synthetic")
    if lost := [name for name in before["types"] if name not in run.types]:
        return WORSE, f"no longer tells {', '.join(lost)}"
    if gained := [name for name in run.types if name not in before["types"]]:
        return APART, f"tells {', '.join(gained)} too, so the figures do not compare"
    if not run.test_fingerprint or run.test_fingerprint != before["test_fingerprint"]:
        return APART, "other test recordings, so the figures do not compare"
    now, then = run.scores["balanced_accuracy"], before["test"]["balanced_accuracy"]
    verdict = BETTER if now > then else WORSE if now < then else EQUAL
    return verdict, f"{then:.1%} → {now:.1%} on the same {run.scores['count']} test recordings"


def validation_before(entry: Mapping[str, Any]) -> float:
    return entry["validation"]["recording_balanced_accuracy"]


def validation_now(decision: Decision) -> float:
    """Of the model that is taken."""
    return validation_of(decision.run) if decision.takes_run else validation_before(decision.before)
