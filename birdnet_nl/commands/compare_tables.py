"""Tables of a comparison as text, for the terminal, Markdown and the page alike."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from birdnet_nl.comparison.compare import Section, SetComparison, SpeciesComparison
from birdnet_nl.comparison.cross_validation import CrossValidation, over_seeds
from birdnet_nl.comparison.results import PHASES, Result
from birdnet_nl.comparison.speed import seconds_per_epoch
from birdnet_nl.comparison.statistics import LEVEL, Estimate, Overall
from birdnet_nl.comparison.verdicts import points
from birdnet_nl.species.table import all_species
from birdnet_nl.util.words import counted

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
CROSS_VALIDATION_HEADS = (
    "out of fold", "seed", "recordings", "balanced accuracy", "macro-F1", "AUROC", "song : call", "recalls", "ECE",
    "metadata alone", "each fold", "training s",
)  # fmt: skip


@dataclass(frozen=True)
class TextTable:
    """Table of strings; a first cell that starts with two spaces is a subordinate row."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


def section_tables(section: Section) -> list[TextTable]:
    """Return all tables of a section in reading order."""
    tables = [_overall_table(section), _seconds_table(section), *map(_species_table, section.sets)]
    return tables + [table for table in (_calibration_table(section), _settings_table(section)) if table.rows]


def _overall_table(section: Section) -> TextTable:
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
    return TextTable("Over all species (95 % intervals; speed as times as fast)", heads, rows)


def _seconds_table(section: Section) -> TextTable:
    """Return mean seconds per species and seed for each set and phase, and an estimate for all species."""
    rows = []
    for name in section.names:
        results, runs = section.results_of(name), section.runs_of(name)
        means = {phase: _mean(result.seconds(phase) for result in results) for phase in PHASES}
        epochs, epoch_s = _mean(run.epochs for run in runs), _mean(map(seconds_per_epoch, runs))
        all_days = means["total"] * len(all_species()) / 86_400
        numbers = [_number(value) for value in (*means.values(), epochs, epoch_s)]
        rows.append((name, str(len(results)), *numbers, _number(all_days, "{:.1f} days")))
    heads = ("mean seconds", "trainings", *PHASES, "epochs", "an epoch", f"{len(all_species())} species")
    return TextTable("Seconds per species (preparing is short where the mels were cached)", heads, rows)


def _species_table(compared: SetComparison) -> TextTable:
    old, new = compared.baseline, compared.parameter_set
    rows = []
    for species in sorted(compared.species, key=lambda species: species.dutch):
        both = [pair.baseline for pair in species.pairs], [pair.other for pair in species.pairs]
        rows.append((
            species.dutch + ("" if species.enough else " *"),
            ", ".join(map(str, species.seeds)),
            *(_percent(mean_metric(results, "balanced_accuracy")) for results in both),
            _points(species.differences["balanced_accuracy"], unit=""),
            _points(Estimate(species.differences["macro_f1"].value), unit=""),
            *_mcnemar(species),
            *(_number(_mean(result.seconds("train") for result in results)) for results in both),
            _number(compared.speed.by_species.get(species.subject, math.nan), "{:.2f}"),
        ))  # fmt: skip
    heads = ("species", "seeds", old, new, "difference", "macro-F1", "right", "p Holm", f"{old} s", f"{new} s", "×")
    title = (
        f"{new} against {old}: balanced accuracy per recording, difference in points, recordings that only {old} : "
        f"only {new} predicted correctly (McNemar), training seconds, × times as fast"
    )
    return TextTable(title, heads, rows)


def _calibration_table(section: Section) -> TextTable:
    """Return the mean expected calibration error before and after calibration; older runs have no row."""
    rows = []
    for name in section.names:
        reports = [run.report["calibration"] for run in section.runs_of(name) if run.report.get("calibration")]
        if reports:
            errors = (_mean((report.get(time) or {}).get("ece") for report in reports) for time in ("before", "after"))
            temperature = _mean(report.get("temperature") for report in reports)
            rows.append((name, _number(temperature, "{:.2f}"), *map(_percent, errors)))
    heads = ("calibration", "temperature", "error before", "error after")
    return TextTable("Calibration (means over runs of temperature and expected calibration error)", heads, rows)


def _settings_table(section: Section) -> TextTable:
    """Return the parameters that differ between the sets, or among the runs of a set."""
    settings = {name: [run.report.get("parameters") or {} for run in section.runs_of(name)] for name in section.names}
    keys = dict.fromkeys(key for of_set in settings.values() for parameters in of_set for key in parameters)
    rows = []
    for key in keys:
        counts = [Counter(str(parameters.get(key, ABSENT)) for parameters in of_set) for of_set in settings.values()]
        if key not in NOT_SETTINGS and len(set().union(*counts)) > 1:
            rows.append((key, *map(_format_setting, counts)))
    return TextTable("Parameters that differ", ("parameter", *settings), rows)


def cross_validation_table(validations: Sequence[CrossValidation]) -> TextTable | None:
    """Return a row for each cross-validation, and their mean where there are several seeds; None without any."""
    if not validations:
        return None
    rows = []
    for group in over_seeds(validations):
        rows += [_cross_validation_row([validation]) for validation in group]
        if len(group) > 1:
            rows.append(_cross_validation_row(group))
    recalls = "/".join(dict.fromkeys(name for validation in validations for name in validation.result.types))
    title = f"Cross-validation: each recording predicted once, by a network not trained on it (recalls: {recalls})"
    return TextTable(title, CROSS_VALIDATION_HEADS, rows)


def _cross_validation_row(group: Sequence[CrossValidation]) -> tuple[str, ...]:
    """Return the row of one cross-validation, or of the mean over several that differ in the seed."""
    first, results = group[0], [validation.result for validation in group]
    single = len(group) == 1

    def mean(values: Iterable[float]) -> float:
        return float(np.mean(list(values)))

    def score(metric: str, form: str) -> str:
        if single:
            return _with_interval(first.result, metric, form)
        values = [result.metric(metric) for result in results]
        return f"{mean(values):{form}} ({min(values):{form}} to {max(values):{form}})"

    song_against_call = {
        key: mean(validation.song_against_call.get(key, math.nan) for validation in group)
        for key in ("balanced_accuracy", "auroc")
    }
    recalls = (mean(result.metric(f"recall/{name}") for result in results) for name in first.result.types)
    metadata = [validation.metadata for validation in group]
    return (
        f"{first.result.parameter_set} · {first.result.dutch} · {first.kind.name}",
        str(first.result.seed) if single else f"mean of {len(group)}",
        str(len(first.result.predictions.ids)) if single else "",
        score("balanced_accuracy", ".1%"),
        score("macro_f1", ".1%"),
        score("auroc", ".3f"),
        _song_against_call(song_against_call),
        "/".join(map(_whole_percent, recalls)),
        f"{mean(validation.calibration['ece'] for validation in group):.2f}",
        ABSENT if None in metadata else _whole_percent(mean(metadata)),
        " ".join(map(_whole_percent, first.fold_accuracies)) if single else "",
        f"{mean(result.seconds('train') for result in results):.0f}",
    )


def format_ratio(estimate: Estimate | None) -> str:
    """Format a ratio and its interval as `1.31 (1.20–1.43)`."""
    if estimate is None:
        return ABSENT
    return f"{estimate.value:.2f}" + (f" ({estimate.low:.2f}–{estimate.high:.2f})" if estimate.has_interval else "")


def mean_metric(results: Sequence[Result], metric: str) -> float:
    """Return the mean over results where the metric is defined; NaN where it never is."""
    return _mean(result.metric(metric) for result in results)


def _with_interval(result: Result, metric: str, form: str) -> str:
    value, interval = result.metric(metric), result.interval(metric)
    if not math.isfinite(value):
        return ABSENT
    if interval is None:
        return f"{value:{form}}"
    low, high = (f"{bound:{form}}".rstrip("%") for bound in interval)
    return f"{value:{form}} [{low}–{high}]"


def _song_against_call(metrics: Mapping[str, float]) -> str:
    if not math.isfinite(metrics["auroc"]):
        return ABSENT
    return f"{metrics['balanced_accuracy']:.1%}, AUROC {metrics['auroc']:.3f}"


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


def _format_setting(counts: Counter[str]) -> str:
    """Format the values of a parameter, with the number of runs where they differ."""
    several = len(counts) > 1
    return ", ".join(
        f"{value} ({counted(count, 'run')})" if several else value for value, count in counts.most_common()
    )


def _mean(values: Iterable[object]) -> float:
    """Average the finite numbers; NaN without any."""
    known = [value for value in values if isinstance(value, int | float) and math.isfinite(value)]
    return float(np.mean(known)) if known else math.nan


def _percent(value: float) -> str:
    return f"{value:.1%}" if math.isfinite(value) else ABSENT


def _whole_percent(value: float | None) -> str:
    return ABSENT if value is None or not math.isfinite(value) else f"{value:.0%}"


def _number(value: float, form: str = "") -> str:
    if not math.isfinite(value):
        return ABSENT
    return form.format(value) if form else (f"{value:.1f}" if value < 100 else f"{value:.0f}")
