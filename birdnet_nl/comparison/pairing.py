"""Pairing of runs that may be compared: same species, seed, folds and test recordings, and same kind."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from birdnet_nl.comparison.finished_runs import BY_RECORDING, FinishedRun
from birdnet_nl.comparison.results import Result, join_folds, result_of
from birdnet_nl.util.errors import DataError
from birdnet_nl.util.words import counted


@dataclass(frozen=True, order=True)
class Kind:
    """Kind of run; different kinds are never mixed, and each has its own section of a comparison."""

    synthetic: bool
    split_by: str
    shuffled: bool
    pooled: bool
    folds: int
    variant: tuple[str, ...]

    @classmethod
    def of(cls, run: FinishedRun) -> "Kind":
        return cls(run.synthetic, run.split_by, run.shuffled, bool(run.pool), run.folds or 0, run.variant)

    @property
    def name(self) -> str:
        words = ["synthetic demo recordings" if self.synthetic else "real recordings"]
        words += ["types shuffled (control)"] if self.shuffled else []
        words += ["split by segment (leaks)"] if self.leaks else []
        words += ["species pooled"] if self.pooled else []
        words += [f"{self.folds} folds"] if self.folds else []
        return ", ".join([*words, *self.variant])

    @property
    def leaks(self) -> bool:
        return self.split_by != BY_RECORDING


@dataclass(frozen=True)
class Pair:
    """The baseline and another parameter set on the same test recordings."""

    baseline: Result
    other: Result


@dataclass(frozen=True)
class LeftOut:
    """A run or pair that was not compared, and the reason."""

    what: str
    reason: str


@dataclass(frozen=True)
class Pairing:
    """Pairs by kind and other parameter set, pairs of runs at equal worker settings, and what was left out.

    `results` has every result by kind, species and seed, then by parameter set, including those without a partner.
    """

    results: Mapping[tuple[Kind, str, int], Mapping[str, Result]]
    pairs: Mapping[Kind, Mapping[str, tuple[Pair, ...]]]
    equal_workers: Mapping[Kind, Mapping[str, tuple[tuple[FinishedRun, FinishedRun], ...]]]
    left_out: tuple[LeftOut, ...]


def pair_runs(runs: Sequence[FinishedRun], baseline: str, others: Sequence[str]) -> Pairing:
    """Pair the runs of each of `others` with those of `baseline`; of several equal runs the newest counts."""
    selected = [run for run in runs if run.parameter_set in (baseline, *others) and not run.is_final]
    left_out = [LeftOut(str(run.folder), _describe_final(run)) for run in runs if run.is_final]
    slots = _group(selected, lambda run: (Kind.of(run), run.subject, run.seed, run.fold, run.parameter_set))
    cases = _results([_choose(candidates, left_out) for candidates in slots.values()], left_out)
    pairs = {kind: {name: [] for name in others} for kind in sorted({kind for kind, *_ in cases})}
    for (kind, subject, seed), by_set in cases.items():
        what = f"{subject} seed {seed} ({kind.name})"
        for name in others:
            if baseline in by_set and name in by_set:
                pair = Pair(by_set[baseline], by_set[name])
                if reason := _reason_not_comparable(pair):
                    left_out.append(LeftOut(f"{what}, {name} against {baseline}", reason))
                else:
                    pairs[kind][name].append(pair)
            elif baseline in by_set or name in by_set:
                present, missing = (baseline, name) if baseline in by_set else (name, baseline)
                left_out.append(LeftOut(f"{what}, {present}", f"no finished run of {missing}"))
    return Pairing(
        cases,
        {kind: {name: tuple(paired) for name, paired in by_set.items()} for kind, by_set in pairs.items()},
        {kind: {name: tuple(_equal_workers(slots, kind, baseline, name)) for name in others} for kind in pairs},
        tuple(dict.fromkeys(left_out)),
    )


def _describe_final(run: FinishedRun) -> str:
    """Describe a final model, which has no test of its own and is not compared."""
    value, ends = run.scores.get("balanced_accuracy"), (run.scores.get("intervals") or {}).get("balanced_accuracy")
    span = f" [{100 * ends[0]:.0f}–{100 * ends[1]:.0f}]" if ends and None not in ends else ""
    folds = "" if value is None else f"; in the folds, balanced accuracy {value:.1%}{span}"
    return f"final model of {run.parameter_set} for {run.subject}, trained on all recordings{folds}"


def _reason_not_comparable(pair: Pair) -> str:
    """Return the reason why two results may not be compared; empty when they may."""
    baseline, other = pair.baseline, pair.other
    if baseline.types != other.types:
        return f"they have different types ({', '.join(baseline.types)} and {', '.join(other.types)})"
    fingerprints, other_fingerprints = baseline.data_fingerprints, other.data_fingerprints
    have_predictions = baseline.predictions is not None and other.predictions is not None
    if have_predictions and (differing := baseline.predictions.recordings ^ other.predictions.recordings):
        count = counted(len(differing), "is", "are")
        return f"their test recordings differ ({count} not in both); train both on the same recordings"
    if baseline.test_fingerprint and other.test_fingerprint:
        if baseline.test_fingerprint != other.test_fingerprint:
            return "their test recordings differ; train both on the same recordings"
    elif not have_predictions and not (fingerprints and other_fingerprints):
        return "it is unknown whether their test recordings are the same (no test_fingerprint, no predictions.csv)"
    if fingerprints and other_fingerprints and fingerprints != other_fingerprints:
        return "their training recordings differ (data_fingerprint); train both on the same recordings"
    return ""


def _group(runs: Iterable[FinishedRun], key: Callable[[FinishedRun], Hashable]) -> dict:
    groups = defaultdict(list)
    for run in runs:
        groups[key(run)].append(run)
    return groups


def _choose(candidates: Sequence[FinishedRun], left_out: list[LeftOut]) -> FinishedRun:
    """Choose the newest run with the worker settings of its parameter set, else the newest of all."""
    as_configured = [run for run in candidates if not run.worker_overrides]
    best = max(as_configured or candidates, key=lambda run: (run.finished, run.folder))
    for run in candidates:
        if run is not best:
            changed = ", ".join(run.worker_overrides)
            reason = f"with {changed}: counts for equal worker settings only" if changed else f"newer: {best.folder}"
            left_out.append(LeftOut(str(run.folder), reason))
    return best


def _results(runs: Sequence[FinishedRun], left_out: list[LeftOut]) -> dict:
    """Collect results by kind, subject and seed, then by parameter set; folds are joined when all exist."""
    cases: dict[tuple[Kind, str, int], dict[str, Result]] = defaultdict(dict)
    groups = _group(runs, lambda run: (Kind.of(run), run.subject, run.seed, run.parameter_set))
    for (kind, subject, seed, name), of_case in groups.items():
        try:
            cases[kind, subject, seed][name] = join_folds(of_case) if kind.folds else result_of(of_case[0])
        except DataError as error:
            left_out.append(LeftOut(f"{subject} seed {seed} ({kind.name}), {name}", str(error)))
    return cases


def _equal_workers(slots: Mapping, kind: Kind, baseline: str, other: str):
    """Yield for each species, seed and fold the newest two runs with equal workers and different parameter sets."""
    for (of_kind, subject, seed, fold, name), candidates in slots.items():
        if of_kind != kind or name != baseline:
            continue
        matching = [
            (run, partner)
            for run, partner in product(candidates, slots.get((kind, subject, seed, fold, other), []))
            if run.workers == partner.workers and run.workers["threads"] is not None and _same_data(run, partner)
        ]
        if matching:
            yield max(matching, key=lambda pair: (min(run.finished for run in pair), max(run.finished for run in pair)))


def _same_data(run: FinishedRun, other: FinishedRun) -> bool:
    """Return whether two runs used the same recordings, as far as they report them."""
    keys = ("test_fingerprint", "data_fingerprint")
    reported = [(run.report.get(key), other.report.get(key)) for key in keys]
    return run.types == other.types and all(first == second for first, second in reported if first and second)
