"""Which runs may be compared: the same species, seed, folds and test recordings, and no mixing of kinds."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from birdnet_nl.comparison.finished_runs import BY_RECORDING, FinishedRun
from birdnet_nl.comparison.results import Result, join_folds, result_of
from birdnet_nl.util.errors import DataError


@dataclass(frozen=True, order=True)
class Kind:
    """What must never be mixed: each kind of run has a section of its own."""

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
    """What was not compared, and why."""

    what: str
    reason: str


@dataclass(frozen=True)
class Pairing:
    """Pairs by kind and by other parameter set; the same, run by run, at equal worker settings; what was left out.

    `results` has every result by kind, species and seed, then by parameter set, also where nothing pairs with it.
    """

    results: Mapping[tuple[Kind, str, int], Mapping[str, Result]]
    pairs: Mapping[Kind, Mapping[str, tuple[Pair, ...]]]
    equal_workers: Mapping[Kind, Mapping[str, tuple[tuple[FinishedRun, FinishedRun], ...]]]
    left_out: tuple[LeftOut, ...]


def pair_runs(runs: Sequence[FinishedRun], baseline: str, others: Sequence[str]) -> Pairing:
    """Pair the runs of each of `others` with those of `baseline`; of several alike the newest counts."""
    wanted = [run for run in runs if run.parameter_set in (baseline, *others)]
    left_out: list[LeftOut] = []
    slots = _grouped(wanted, lambda run: (Kind.of(run), run.subject, run.seed, run.fold, run.parameter_set))
    chosen = [_choose(candidates, left_out) for candidates in slots.values()]
    cases = _results(chosen, left_out)
    pairs = {kind: {name: [] for name in others} for kind in sorted({kind for kind, *_ in cases})}
    for (kind, subject, seed), by_set in cases.items():
        for name in others:
            if baseline in by_set and name in by_set:
                pair = Pair(by_set[baseline], by_set[name])
                if why := why_not(pair):
                    what = f"{subject} seed {seed} ({kind.name}), {name} against {baseline}"
                    left_out.append(LeftOut(what, why))
                else:
                    pairs[kind][name].append(pair)
            elif baseline in by_set or name in by_set:
                there, wanting = (baseline, name) if baseline in by_set else (name, baseline)
                left_out.append(
                    LeftOut(f"{subject} seed {seed} ({kind.name}), {there}", f"no finished run of {wanting}")
                )
    return Pairing(
        cases,
        {kind: {name: tuple(found) for name, found in by_set.items()} for kind, by_set in pairs.items()},
        {kind: {name: tuple(_equal_workers(slots, kind, baseline, name)) for name in others} for kind in pairs},
        tuple(dict.fromkeys(left_out)),
    )


def why_not(pair: Pair) -> str:
    """Why two results may not be compared; empty when they may."""
    one, two = pair.baseline, pair.other
    if one.types != two.types:
        return f"they tell other types apart ({', '.join(one.types)} and {', '.join(two.types)})"
    data_one, data_two = one.data_fingerprints, two.data_fingerprints
    if one.answers is not None and two.answers is not None:
        differing = one.answers.recordings ^ two.answers.recordings
        if differing:
            return f"their test recordings differ ({len(differing)} are not in both); train both on the same recordings"
    if one.test_fingerprint and two.test_fingerprint:
        if one.test_fingerprint != two.test_fingerprint:
            return "their test recordings differ; train both on the same recordings"
    elif (one.answers is None or two.answers is None) and not (data_one and data_two):
        return "nothing says whether their test recordings are the same (no test_fingerprint, no predictions.csv)"
    if data_one and data_two and data_one != data_two:
        return "they were trained on other recordings (data_fingerprint differs); train both on the same recordings"
    return ""


def _grouped(runs: Iterable[FinishedRun], key: Callable[[FinishedRun], Hashable]) -> dict:
    groups = defaultdict(list)
    for run in runs:
        groups[key(run)].append(run)
    return groups


def _choose(candidates: Sequence[FinishedRun], left_out: list[LeftOut]) -> FinishedRun:
    """The newest run with the worker settings of its parameter set; the newest of all where there is none."""
    as_configured = [run for run in candidates if not run.worker_overrides]
    best = max(as_configured or candidates, key=lambda run: (run.finished, run.folder))
    for run in candidates:
        if run is not best:
            changed = ", ".join(run.worker_overrides)
            reason = f"with {changed}: counts for equal worker settings only" if changed else f"newer: {best.folder}"
            left_out.append(LeftOut(str(run.folder), reason))
    return best


def _results(runs: Sequence[FinishedRun], left_out: list[LeftOut]) -> dict:
    """Result by kind, subject and seed, then by parameter set; folds are joined when all are there."""
    cases: dict[tuple[Kind, str, int], dict[str, Result]] = defaultdict(dict)
    groups = _grouped(runs, lambda run: (Kind.of(run), run.subject, run.seed, run.parameter_set))
    for (kind, subject, seed, name), of_case in groups.items():
        try:
            cases[kind, subject, seed][name] = join_folds(of_case) if kind.folds else result_of(of_case[0])
        except DataError as error:
            left_out.append(LeftOut(f"{subject} seed {seed} ({kind.name}), {name}", str(error)))
    return cases


def _equal_workers(slots: Mapping, kind: Kind, baseline: str, other: str):
    """For each species, seed and fold the newest two runs that differ in parameter set but not in workers."""
    for (of_kind, subject, seed, fold, name), candidates in slots.items():
        if of_kind != kind or name != baseline:
            continue
        partners = slots.get((kind, subject, seed, fold, other), [])
        matching = [
            (one, two)
            for one, two in product(candidates, partners)
            if one.workers == two.workers and one.workers["threads"] is not None and same_data(one, two)
        ]
        if matching:
            yield max(matching, key=lambda pair: (min(run.finished for run in pair), max(run.finished for run in pair)))


def same_data(one: FinishedRun, two: FinishedRun) -> bool:
    """Whether two runs had, as far as they say, the same recordings."""
    keys = ("test_fingerprint", "data_fingerprint")
    said = [(one.report.get(key), two.report.get(key)) for key in keys]
    return one.types == two.types and all(first == second for first, second in said if first and second)
