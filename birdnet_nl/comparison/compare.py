"""Comparison of parameter sets with a baseline: accuracy and training time, species by species."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from birdnet_nl.comparison.cross_validation import CrossValidation, cross_validations
from birdnet_nl.comparison.finished_runs import FinishedRun, FoundRuns
from birdnet_nl.comparison.pairing import Kind, LeftOut, Pair, pair_runs
from birdnet_nl.comparison.results import Result
from birdnet_nl.comparison.speed import Speed, compare_speed
from birdnet_nl.comparison.statistics import (
    METRICS,
    Draws,
    Estimate,
    McNemar,
    Overall,
    SignedRank,
    difference_draws,
    holm,
    mcnemar,
    mean_estimate,
    percentile_interval,
    signed_rank,
)
from birdnet_nl.comparison.verdicts import Verdict, verdicts
from birdnet_nl.util.errors import DataError, SelectionError
from birdnet_nl.util.words import counted

KNOWN_SETS = ("legacy", "fast", "turbo")  # order of display; others follow by name
MIN_RECORDINGS = 10  # test recordings of each type; with fewer, metrics of a species are a first impression


@dataclass(frozen=True)
class SpeciesComparison:
    """Comparison for one species; several seeds are averaged.

    Attributes:
        differences: other minus baseline, with the interval over recordists (and seeds where there are several).
        mcnemar: over test recordings, each counted once; None without predictions.
        enough: whether every seed has at least ten test recordings of each type.
    """

    subject: str
    dutch: str
    pairs: tuple[Pair, ...]
    differences: Mapping[str, Estimate]
    mcnemar: McNemar | None
    enough: bool

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(pair.baseline.seed for pair in self.pairs)


@dataclass(frozen=True)
class SetComparison:
    """Comparison of one parameter set with the baseline."""

    parameter_set: str
    baseline: str
    species: tuple[SpeciesComparison, ...]
    overall: Mapping[str, Overall]
    speed: Speed
    speed_equal_workers: Speed
    equal_runs: tuple[tuple[FinishedRun, FinishedRun], ...]
    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True)
class Section:
    """All comparisons of one kind of run."""

    kind: Kind
    sets: tuple[SetComparison, ...]
    notes: tuple[str, ...]

    @property
    def results(self) -> tuple[Result, ...]:
        """Every paired result once, the baseline's first."""
        pairs = [pair for compared in self.sets for species in compared.species for pair in species.pairs]
        results = [result for pair in pairs for result in (pair.baseline, pair.other)]
        return tuple({(result.parameter_set, result.subject, result.seed): result for result in results}.values())

    def results_of(self, parameter_set: str) -> list[Result]:
        return [result for result in self.results if result.parameter_set == parameter_set]

    def runs_of(self, parameter_set: str) -> list[FinishedRun]:
        return [run for result in self.results_of(parameter_set) for run in result.runs]

    @property
    def names(self) -> tuple[str, ...]:
        """Parameter sets, the baseline first."""
        return (self.sets[0].baseline, *(compared.parameter_set for compared in self.sets))

    @property
    def verdicts(self) -> list[Verdict]:
        return [verdict for compared in self.sets for verdict in compared.verdicts]


@dataclass(frozen=True)
class Comparison:
    """Sections of pairs, and every complete cross-validation; `others` is empty with a single parameter set."""

    baseline: str
    others: tuple[str, ...]
    sections: tuple[Section, ...]
    cross_validations: tuple[CrossValidation, ...]
    found: FoundRuns
    left_out: tuple[LeftOut, ...]


def compare_runs(found: FoundRuns, sets: Sequence[str] = (), baseline: str = "") -> Comparison:
    """Compare the named sets, by default all, with `baseline` (default: legacy if present, else the first).

    Raises `SelectionError` for a set without finished runs, and `DataError` when there is nothing to compare.
    """
    names = _chosen_sets(found, sets, baseline)
    baseline = baseline or names[0]
    others = tuple(name for name in names if name != baseline)
    pairing = pair_runs(found.runs, baseline, others)
    sections = []
    for kind, by_set in pairing.pairs.items():
        equal = pairing.equal_workers[kind]
        compared = [_compare_set(name, baseline, kind, pairs, equal[name]) for name, pairs in by_set.items() if pairs]
        if compared:
            sections.append(Section(kind, tuple(compared), _notes(compared)))
    validations = cross_validations(pairing.results)
    return Comparison(baseline, others, tuple(sections), validations, found, pairing.left_out)


def _chosen_sets(found: FoundRuns, sets: Sequence[str], baseline: str) -> list[str]:
    present = {run.parameter_set for run in found.runs}
    for name in (*sets, baseline):
        if name and name not in present:
            listed = ", ".join(sorted(present))
            raise SelectionError(f"no finished run of trainer={name} was found; there are runs of {listed}")
    known = [name for name in KNOWN_SETS if name in present]
    names = list(dict.fromkeys(sets)) or known + sorted(present - set(known))
    if baseline and baseline not in names:
        names.insert(0, baseline)
    if len(names) < 2 and not any(run.folds for run in found.runs):
        raise DataError(
            f"only trainer={names[0]} was found, and a comparison needs two parameter sets; "
            "train another too: python train.py -m species=… trainer=legacy,fast"
        )
    first = baseline or ("legacy" if "legacy" in names else names[0])
    return sorted(names, key=lambda name: name != first)


def _compare_set(
    name: str, baseline: str, kind: Kind, pairs: Sequence[Pair], equal: Sequence[tuple[FinishedRun, FinishedRun]]
) -> SetComparison:
    by_subject: dict[str, list[Pair]] = defaultdict(list)
    for pair in sorted(pairs, key=lambda pair: (pair.baseline.subject, pair.baseline.seed)):
        by_subject[pair.baseline.subject].append(pair)
    draws = [difference_draws(subject_pairs, seed=index) for index, subject_pairs in enumerate(by_subject.values())]
    species = _with_holm(list(map(_compare_species, by_subject.values(), draws)))
    overall = {metric: _overall(metric, species, draws) for metric in METRICS}
    run_pairs = [run_pair for pair in pairs for run_pair in zip(pair.baseline.runs, pair.other.runs, strict=True)]
    speed, speed_equal = compare_speed(run_pairs), compare_speed(equal)
    seeds = min(len(item.pairs) for item in species)
    judged = verdicts(name, baseline, kind, overall["balanced_accuracy"], len(species), seeds, speed, speed_equal)
    return SetComparison(name, baseline, tuple(species), overall, speed, speed_equal, tuple(equal), judged)


def _compare_species(pairs: Sequence[Pair], draws: Draws | None) -> SpeciesComparison:
    differences = {}
    for metric in METRICS:
        value = float(np.mean([pair.other.metric(metric) - pair.baseline.metric(metric) for pair in pairs]))
        if not np.isfinite(value):
            differences[metric] = Estimate(value, absent="the metric is undefined in a run")
        elif draws is None:
            differences[metric] = Estimate(value, absent="a run has no predictions.csv")
        else:
            differences[metric] = percentile_interval(value, draws.metrics[metric], draws.recordists)
    first = pairs[0].baseline
    enough = all(count >= MIN_RECORDINGS for pair in pairs for count in pair.baseline.test_counts.values())
    return SpeciesComparison(first.subject, first.dutch, tuple(pairs), differences, _mcnemar(pairs), enough)


def _mcnemar(pairs: Sequence[Pair]) -> McNemar | None:
    """Run McNemar's test; a recording tested with several seeds counts once, for the set that is correct more often."""
    if any(pair.baseline.predictions is None or pair.other.predictions is None for pair in pairs):
        return None
    balance: Counter[str] = Counter()
    for pair in pairs:
        baseline, other = pair.baseline.predictions, pair.other.predictions
        for name, before, after in zip(baseline.ids, baseline.correct, other.correct, strict=True):
            balance[name] += int(after) - int(before)
    return mcnemar(sum(value < 0 for value in balance.values()), sum(value > 0 for value in balance.values()))


def _with_holm(species: Sequence[SpeciesComparison]) -> list[SpeciesComparison]:
    corrected = iter(holm([item.mcnemar.p for item in species if item.mcnemar]))
    return [
        replace(item, mcnemar=replace(item.mcnemar, p_holm=next(corrected))) if item.mcnemar else item
        for item in species
    ]


def _overall(metric: str, species: Sequence[SpeciesComparison], draws: Sequence[Draws | None]) -> Overall:
    values = [item.differences[metric].value for item in species]
    known = [value for value in values if np.isfinite(value)]
    if not known:
        absent = Estimate(float("nan"), absent="the metric is undefined in every run")
        return Overall(absent, absent, SignedRank(None, absent, 0))
    if len(known) < len(values) or any(item is None for item in draws):
        these = Estimate(float(np.mean(known)), absent="not every run has predictions.csv")
    else:
        drawn = np.mean([item.metrics[metric] for item in draws], axis=0)
        these = percentile_interval(float(np.mean(known)), drawn, sum(item.recordists for item in draws))
    return Overall(mean_estimate(known), these, signed_rank(known))


def _notes(sets: Sequence[SetComparison]) -> tuple[str, ...]:
    """List limitations of the comparison: versions, machines and numbers of test recordings."""
    notes = []
    for compared in sets:
        name = compared.parameter_set
        pairs = [pair for species in compared.species for pair in species.pairs]
        reports = [(pair.baseline.runs[0].report, pair.other.runs[0].report) for pair in pairs]
        for key, words in (("versions", "versions of libraries"), ("git_commit", "versions of the code")):
            if differing := sum(baseline.get(key) != other.get(key) for baseline, other in reports):
                notes.append(f"{name}: in {differing} of {len(pairs)} pairs the {words} differ")
        if compared.speed.elsewhere:
            notes.append(
                f"{name}: the speed of {counted(compared.speed.elsewhere, 'pair')} does not count, because their two "
                "runs used different machines"
            )
        enough = sum(species.enough for species in compared.species)
        notes.append(
            f"{name}: {enough} of {len(compared.species)} species had at least {MIN_RECORDINGS} test "
            "recordings of each type"
        )
    return tuple(notes)
