"""Tables of a comparison as text, for the terminal, Markdown and the page alike."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from birdnet_nl.comparison.compare import Section, SetComparison, SpeciesComparison
from birdnet_nl.comparison.finished_runs import FinishedRun
from birdnet_nl.comparison.results import PHASES, Result
from birdnet_nl.comparison.speed import seconds_per_epoch
from birdnet_nl.comparison.statistics import LEVEL, Estimate, Overall
from birdnet_nl.comparison.verdicts import points
from birdnet_nl.species.table import all_species

ABSENT = "–"
NOT_SETTINGS = ("parameter_set", "species", "seed", "synthetic")
SPEEDS = (  # label, attribute of the comparison, ratio of `Speed`
    ("training", "speed", "train"),
    ("whole run", "speed", "total"),
    ("an epoch", "speed", "per_epoch"),
    ("  equal workers", "speed_equal_workers", "per_epoch"),
    ("a segment in an epoch", "speed", "per_segment"),
    ("  equal workers", "speed_equal_workers", "per_segment"),
)


@dataclass(frozen=True)
class TextTable:
    """Table of strings; a first cell that starts with two spaces is a subordinate row."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def section_tables(section: Section) -> list[TextTable]:
    """Return all tables of a section in reading order."""
    tables = [overall_table(section), seconds_table(section), *(species_table(compared) for compared in section.sets)]
    return tables + [table for table in (calibration_table(section), settings_table(section)) if table]


def overall_table(section: Section) -> TextTable:
    """Return accuracy and speed of each set against the baseline, over all species."""
    sets = section.sets
    counts = [(len(compared.species), sum(len(species.pairs) for species in compared.species)) for compared in sets]
    rows: list[tuple[str, ...]] = [("species, pairs", *(f"{species}, {pairs}" for species, pairs in counts))]
    for label, metric in (("balanced accuracy", "balanced_accuracy"), ("macro-F1", "macro_f1")):
        overall = [compared.overall[metric] for compared in sets]
        rows += [
            (label, *(_points(result.over_species) for result in overall)),
            ("  these species only", *(_points(result.these_species) for result in overall)),
            ("  Hodges–Lehmann", *(_points(result.ranks.shift) for result in overall)),
            ("  Wilcoxon p", *(_wilcoxon(result) for result in overall)),
        ]
    rows.append(("McNemar–Holm p < 0.05", *(_significant_species(compared) for compared in sets)))
    for label, speed, ratio in SPEEDS:
        rows.append((label, *(format_ratio(getattr(getattr(compared, speed), ratio)) for compared in sets)))
    heads = (f"against {sets[0].baseline}", *(compared.parameter_set for compared in sets))
    return TextTable("Over all species (95 % intervals; speed as times as fast)", heads, tuple(rows))


def seconds_table(section: Section) -> TextTable:
    """Return mean seconds per species and seed for each set and phase, and an estimate for all species."""
    rows = []
    for name in section.names:
        results = [result for result in section.results if result.parameter_set == name]
        means = {phase: _mean([result.seconds(phase) for result in results]) for phase in PHASES}
        epochs = _mean([run.epochs for result in results for run in result.runs])
        epoch_s = _mean([seconds_per_epoch(run) or math.nan for result in results for run in result.runs])
        all_days = means["total"] * len(all_species()) / 86_400
        rows.append(
            (name, str(len(results)), *(_number(means[phase]) for phase in PHASES), _number(epochs), _number(epoch_s),
             _number(all_days, "{:.1f} days"))
        )  # fmt: skip
    heads = ("mean seconds", "trainings", *PHASES, "epochs", "an epoch", f"{len(all_species())} species")
    return TextTable("Seconds per species (preparing is short where the mels were cached)", heads, tuple(rows))


def species_table(compared: SetComparison) -> TextTable:
    """Return a row for each species."""
    old, new = compared.baseline, compared.parameter_set
    rows = []
    for species in sorted(compared.species, key=lambda species: species.dutch):
        baseline, other = [pair.baseline for pair in species.pairs], [pair.other for pair in species.pairs]
        rows.append(
            (species.dutch + ("" if species.enough else " *"), ", ".join(map(str, species.seeds)),
             _percent(mean_metric(baseline, "balanced_accuracy")), _percent(mean_metric(other, "balanced_accuracy")),
             _points(species.differences["balanced_accuracy"], unit=""),
             _points(Estimate(species.differences["macro_f1"].value), unit=""), *_mcnemar(species),
             _number(_mean([result.seconds("train") for result in baseline])),
             _number(_mean([result.seconds("train") for result in other])),
             _number(compared.speed.by_species.get(species.subject, math.nan), "{:.2f}"))
        )  # fmt: skip
    heads = ("species", "seeds", old, new, "difference", "macro-F1", "right", "p Holm", f"{old} s", f"{new} s", "×")
    title = (
        f"{new} against {old}: balanced accuracy per recording, difference in points, recordings that only {old} : "
        f"only {new} predicted correctly (McNemar), training seconds, × times as fast"
    )
    return TextTable(title, heads, tuple(rows))


def calibration_table(section: Section) -> TextTable | None:
    """Return the mean expected calibration error before and after calibration; None for older runs."""
    rows = []
    for name in section.names:
        runs = [run for result in section.results if result.parameter_set == name for run in result.runs]
        reports = [run.report["calibration"] for run in runs if run.report.get("calibration")]
        if reports:
            before, after = (
                _mean([_value((report.get(time) or {}).get("ece")) for report in reports])
                for time in ("before", "after")
            )
            temperature = _mean([_value(report.get("temperature")) for report in reports])
            rows.append((name, _number(temperature, "{:.2f}"), _percent(before), _percent(after)))
    if not rows:
        return None
    heads = ("calibration", "temperature", "error before", "error after")
    return TextTable("Calibration (means over runs of temperature and expected calibration error)", heads, tuple(rows))


def settings_table(section: Section) -> TextTable | None:
    """Return the parameters that differ between the sets, or among the runs of a set; None when none does."""
    runs = {
        name: [run for result in section.results if result.parameter_set == name for run in result.runs]
        for name in section.names
    }
    parameters = (run.report.get("parameters") or {} for set_runs in runs.values() for run in set_runs)
    rows = []
    for key in dict.fromkeys(key for values in parameters for key in values if key not in NOT_SETTINGS):
        values = [_setting_counts(set_runs, key) for set_runs in runs.values()]
        if len(set(map(tuple, values))) > 1 or any(len(counts) > 1 for counts in values):
            rows.append((key, *map(_format_setting, values)))
    return TextTable("Parameters that differ", ("parameter", *runs), tuple(rows)) if rows else None


def format_ratio(estimate: Estimate | None) -> str:
    """Format a ratio and its interval as `1.31 (1.20–1.43)`."""
    if estimate is None:
        return ABSENT
    return f"{estimate.value:.2f}" + (f" ({estimate.low:.2f}–{estimate.high:.2f})" if estimate.has_interval else "")


def mean_metric(results: Sequence[Result], metric: str) -> float:
    """Return the mean over results where the metric is defined; NaN where it never is."""
    return _mean([result.metric(metric) for result in results])


def _points(estimate: Estimate, unit: str = " points") -> str:
    return points(estimate).replace(" points", unit) if math.isfinite(estimate.value) else ABSENT


def _wilcoxon(overall: Overall) -> str:
    if overall.ranks.p is None:
        return "no difference in any species"
    smallest_p = 2.0 ** (1 - overall.ranks.species)
    return _p_value(overall.ranks.p) + (" (cannot be below 0.05)" if smallest_p > 1 - LEVEL else "")


def _p_value(p: float) -> str:
    return f"{p:.3f}" if p >= 0.001 else "< 0.001"


def _significant_species(compared: SetComparison) -> str:
    tests = [species.mcnemar for species in compared.species if species.mcnemar]
    better = sum(test.p_holm < 0.05 and test.only_other > test.only_baseline for test in tests)
    worse = sum(test.p_holm < 0.05 and test.only_other < test.only_baseline for test in tests)
    return f"{better} better, {worse} worse of {len(tests)}" if tests else ABSENT


def _mcnemar(species: SpeciesComparison) -> tuple[str, str]:
    if species.mcnemar is None:
        return ABSENT, ABSENT
    return f"{species.mcnemar.only_baseline} : {species.mcnemar.only_other}", _p_value(species.mcnemar.p_holm)


def _setting_counts(runs: Sequence[FinishedRun], key: str) -> list[tuple[str, int]]:
    """Return the values of a parameter with the number of runs; 0 for a value that all runs share."""
    counts = Counter(str((run.report.get("parameters") or {}).get(key, ABSENT)) for run in runs).most_common()
    return counts if len(counts) > 1 else [(value, 0) for value, _ in counts]


def _format_setting(counts: Sequence[tuple[str, int]]) -> str:
    return ", ".join(f"{value} ({count} runs)" if count else value for value, count in counts)


def _value(number: object) -> float:
    return float(number) if isinstance(number, int | float) else math.nan


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return float(np.mean(known)) if known else math.nan


def _percent(value: float) -> str:
    return f"{value:.1%}" if math.isfinite(value) else ABSENT


def _number(value: float, form: str = "") -> str:
    if not math.isfinite(value):
        return ABSENT
    return form.format(value) if form else (f"{value:.1f}" if value < 100 else f"{value:.0f}")
