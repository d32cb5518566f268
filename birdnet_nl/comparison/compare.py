"""Two or more parameter sets side by side: what each gives up in accuracy and saves in time, species by species."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from birdnet_nl.comparison.bootstrap import FIGURES, Draws, difference_draws
from birdnet_nl.comparison.cross_validation import CrossValidation, cross_validations
from birdnet_nl.comparison.finished_runs import FinishedRun, FoundRuns
from birdnet_nl.comparison.pairing import Kind, LeftOut, Pair, pair_runs
from birdnet_nl.comparison.results import Result
from birdnet_nl.comparison.speed import Speed, compare_speed
from birdnet_nl.comparison.statistics import (
    Estimate,
    McNemar,
    Overall,
    SignedRank,
    holm,
    mcnemar,
    mean_estimate,
    percentile_interval,
    signed_rank,
)
from birdnet_nl.comparison.verdicts import Verdict, verdicts
from birdnet_nl.util.errors import DataError, SelectionError

KNOWN_SETS = ("legacy", "fast", "turbo")  # the order in which they are shown; others follow by name
ENOUGH_RECORDINGS = 10  # test recordings of each type; with fewer a species' own figures are a first impression


@dataclass(frozen=True)
class SpeciesComparison:
    """One species; several seeds are averaged.

    Attributes:
        differences: other minus baseline, with the interval over recordists (and seeds where there are several).
        mcnemar: over test recordings, each counted once; None without answers.
        enough: at least ten test recordings of each type, with every seed.
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
    """One parameter set against the baseline."""

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
        """Every result that is in a pair, once: the baseline's first."""
        found = [one for each in self.sets for species in each.species for pair in species.pairs
                 for one in (pair.baseline, pair.other)]  # fmt: skip
        return tuple({(one.parameter_set, one.subject, one.seed): one for one in found}.values())

    @property
    def names(self) -> tuple[str, ...]:
        """The parameter sets, the baseline first."""
        return tuple(dict.fromkeys(name for each in self.sets for name in (each.baseline, each.parameter_set)))


@dataclass(frozen=True)
class Comparison:
    """Sections of pairs, and every complete cross-validation by itself; `others` is empty with a single set."""

    baseline: str
    others: tuple[str, ...]
    sections: tuple[Section, ...]
    cross_validations: tuple[CrossValidation, ...]
    found: FoundRuns
    left_out: tuple[LeftOut, ...]


def compare_runs(found: FoundRuns, sets: Sequence[str] = (), baseline: str = "") -> Comparison:
    """Compare the named sets, or all there are, with `baseline` (default: legacy where there is one, else the first).

    Raises `SelectionError` for a set without finished runs, and `DataError` when there is nothing to compare.
    """
    names = _chosen_sets(found, sets, baseline)
    baseline = baseline or names[0]
    others = tuple(name for name in names if name != baseline)
    pairing = pair_runs(found.runs, baseline, others)
    sections = []
    for kind, by_set in pairing.pairs.items():
        compared = tuple(
            _compare_set(name, baseline, kind, pairs, pairing.equal_workers[kind][name])
            for name, pairs in by_set.items()
            if pairs
        )
        if compared:
            sections.append(Section(kind, compared, _notes(compared)))
    joined = cross_validations(pairing.results)
    return Comparison(baseline, others, tuple(sections), joined, found, pairing.left_out)


def _chosen_sets(found: FoundRuns, sets: Sequence[str], baseline: str) -> list[str]:
    there = {run.parameter_set for run in found.runs}
    listed = ", ".join(sorted(there))
    for name in (*sets, *([baseline] if baseline else [])):
        if name not in there:
            raise SelectionError(f"no finished run of trainer={name} was found; there are runs of {listed}")
    known = [name for name in KNOWN_SETS if name in there]
    names = list(dict.fromkeys(sets)) or known + sorted(there - set(known))
    if baseline and baseline not in names:
        names.insert(0, baseline)
    if len(names) < 2 and not any(run.folds for run in found.runs):
        raise DataError(
            f"only trainer={names[0]} was found, and a comparison needs two parameter sets; "
            "train the other too: python train.py -m species=… trainer=legacy,fast"
        )
    first = baseline or ("legacy" if "legacy" in names else names[0])
    return sorted(names, key=lambda name: name != first)


def _compare_set(
    name: str, baseline: str, kind: Kind, pairs: Sequence[Pair], equal: Sequence[tuple[FinishedRun, FinishedRun]]
) -> SetComparison:
    by_subject: dict[str, list[Pair]] = defaultdict(list)
    for pair in sorted(pairs, key=lambda pair: (pair.baseline.subject, pair.baseline.seed)):
        by_subject[pair.baseline.subject].append(pair)
    draws = {subject: difference_draws(of_subject, seed=index) for index, (subject, of_subject) in
             enumerate(by_subject.items())}  # fmt: skip
    species = [_compare_species(of_subject, draws[subject]) for subject, of_subject in by_subject.items()]
    species = _with_holm(species)
    overall = {figure: _overall(figure, species, list(draws.values())) for figure in FIGURES}
    run_pairs = [run_pair for pair in pairs for run_pair in zip(pair.baseline.runs, pair.other.runs, strict=True)]
    speed, speed_equal = compare_speed(run_pairs), compare_speed(equal)
    seeds = min(len(one.pairs) for one in species)
    said = verdicts(name, baseline, kind, overall["balanced_accuracy"], len(species), seeds, speed, speed_equal)
    return SetComparison(name, baseline, tuple(species), overall, speed, speed_equal, tuple(equal), said)


def _compare_species(pairs: Sequence[Pair], draws: Draws | None) -> SpeciesComparison:
    differences = {}
    for figure in FIGURES:
        value = float(np.mean([pair.other.metric(figure) - pair.baseline.metric(figure) for pair in pairs]))
        if not np.isfinite(value):
            differences[figure] = Estimate(value, absent="a run has no such figure")
        elif draws is None:
            differences[figure] = Estimate(value, absent="a run left no predictions.csv")
        else:
            differences[figure] = percentile_interval(value, draws.figures[figure], draws.recordists)
    first = pairs[0].baseline
    enough = all(count >= ENOUGH_RECORDINGS for pair in pairs for count in pair.baseline.test_counts.values())
    return SpeciesComparison(first.subject, first.dutch, tuple(pairs), differences, _mcnemar(pairs), enough)


def _mcnemar(pairs: Sequence[Pair]) -> McNemar | None:
    """A recording tested with several seeds counts once, for the set that was right more often on it."""
    if any(pair.baseline.answers is None or pair.other.answers is None for pair in pairs):
        return None
    balance: Counter[str] = Counter()
    for pair in pairs:
        one, two = pair.baseline.answers, pair.other.answers
        for name, before, after in zip(one.ids, one.right, two.right, strict=True):
            balance[name] += int(after) - int(before)
    return mcnemar(sum(value < 0 for value in balance.values()), sum(value > 0 for value in balance.values()))


def _with_holm(species: Sequence[SpeciesComparison]) -> list[SpeciesComparison]:
    tested = [one for one in species if one.mcnemar is not None]
    corrected = dict(zip((one.subject for one in tested), holm([one.mcnemar.p for one in tested]), strict=True))
    return [
        replace(one, mcnemar=replace(one.mcnemar, p_holm=corrected[one.subject])) if one.mcnemar else one
        for one in species
    ]


def _overall(figure: str, species: Sequence[SpeciesComparison], draws: Sequence[Draws | None]) -> Overall:
    values = [one.differences[figure].value for one in species]
    known = [value for value in values if np.isfinite(value)]
    if not known:
        absent = Estimate(float("nan"), absent="no run has the figure")
        return Overall(absent, absent, SignedRank(None, absent, 0))
    if len(known) < len(values) or any(one is None for one in draws):
        these = Estimate(float(np.mean(known)), absent="not every run left its answers")
    else:
        drawn = np.mean([one.figures[figure] for one in draws], axis=0)
        these = percentile_interval(float(np.mean(known)), drawn, sum(one.recordists for one in draws))
    return Overall(mean_estimate(known), these, signed_rank(known))


def _notes(sets: Sequence[SetComparison]) -> tuple[str, ...]:
    """What a reader must know of the runs before believing their comparison."""
    notes = []
    for each in sets:
        pairs = [pair for one in each.species for pair in one.pairs]
        for key, words in (("versions", "versions of libraries"), ("git_commit", "states of the code")):
            differing = sum(
                pair.baseline.runs[0].report.get(key) != pair.other.runs[0].report.get(key) for pair in pairs
            )
            if differing:
                notes.append(f"{each.parameter_set}: in {differing} of {len(pairs)} pairs the {words} differ")
        if each.speed.elsewhere:
            notes.append(
                f"{each.parameter_set}: the speed of {each.speed.elsewhere} pairs does not count, their two runs were "
                "made on different machines"
            )
        enough = sum(one.enough for one in each.species)
        notes.append(
            f"{each.parameter_set}: {enough} of {len(each.species)} species had at least {ENOUGH_RECORDINGS} test "
            "recordings of each type"
        )
    return tuple(notes)
