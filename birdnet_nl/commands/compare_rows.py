"""The tables of a comparison as plain words, for the screen, Markdown and the page alike."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from birdnet_nl.comparison.compare import Section, SetComparison, SpeciesComparison
from birdnet_nl.comparison.finished_runs import FinishedRun
from birdnet_nl.comparison.results import PHASES, Result
from birdnet_nl.comparison.speed import Speed, seconds_per_epoch
from birdnet_nl.comparison.statistics import LEVEL, Estimate, Overall
from birdnet_nl.comparison.verdicts import points
from birdnet_nl.species.table import all_species

ABSENT = "–"
NOT_SETTINGS = ("parameter_set", "species", "seed", "synthetic")


@dataclass(frozen=True)
class WordTable:
    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def overall_table(section: Section) -> WordTable:
    """Accuracy and speed of each set against the baseline, over all species."""
    sets = section.sets
    rows: list[tuple[str, ...]] = [
        ("species, pairs", *(f"{len(each.species)}, {sum(len(one.pairs) for one in each.species)}" for each in sets))
    ]
    for label, figure in (("balanced accuracy", "balanced_accuracy"), ("macro-F1", "macro_f1")):
        overall = [each.overall[figure] for each in sets]
        rows += [
            (label, *(_points(one.over_species) for one in overall)),
            ("  these species only", *(_points(one.these_species) for one in overall)),
            ("  Hodges–Lehmann", *(_points(one.ranks.shift) for one in overall)),
            ("  Wilcoxon p", *(_wilcoxon(one) for one in overall)),
        ]
    rows.append(("McNemar–Holm p < 0.05", *(_surely_different(each) for each in sets)))
    for label, of_speed, name in (
        ("training", "speed", "train"),
        ("whole run", "speed", "total"),
        ("an epoch", "speed", "per_epoch"),
        ("  equal workers", "speed_equal_workers", "per_epoch"),
        ("a segment in an epoch", "speed", "per_segment"),
        ("  equal workers", "speed_equal_workers", "per_segment"),
    ):
        speeds: list[Speed] = [getattr(each, of_speed) for each in sets]
        rows.append((label, *(times(getattr(speed, name)) for speed in speeds)))
    heads = (f"against {sets[0].baseline}", *(each.parameter_set for each in sets))
    return WordTable("Over all species (95 % intervals; speed as times as fast)", heads, tuple(rows))


def seconds_table(section: Section) -> WordTable:
    """Mean seconds of a species and seed, per set and phase, and what all species of the table would take."""
    rows = []
    for name in section.names:
        results = [one for one in section.results if one.parameter_set == name]
        means = {phase: _mean([one.seconds(phase) for one in results]) for phase in PHASES}
        epochs = _mean([run.epochs for one in results for run in one.runs])
        epoch_s = _mean([seconds_per_epoch(run) or math.nan for one in results for run in one.runs])
        all_days = means["total"] * len(all_species()) / 86_400
        rows.append(
            (name, str(len(results)), *(_number(means[phase]) for phase in PHASES), _number(epochs), _number(epoch_s),
             _number(all_days, "{:.1f} days"))
        )  # fmt: skip
    heads = ("mean seconds", "trainings", *PHASES, "epochs", "an epoch", f"{len(all_species())} species")
    return WordTable("Seconds per species (preparing is short where the mels were in the cache)", heads, tuple(rows))


def species_table(each: SetComparison) -> WordTable:
    """One row per species."""
    old, new = each.baseline, each.parameter_set
    rows = [
        (one.dutch + ("" if one.enough else " *"), ", ".join(map(str, one.seeds)),
         _percent(_mean([pair.baseline.metric("balanced_accuracy") for pair in one.pairs])),
         _percent(_mean([pair.other.metric("balanced_accuracy") for pair in one.pairs])),
         _points(one.differences["balanced_accuracy"], unit=""),
         _points(Estimate(one.differences["macro_f1"].value), unit=""),
         *_mcnemar(one),
         _number(_mean([pair.baseline.seconds("train") for pair in one.pairs])),
         _number(_mean([pair.other.seconds("train") for pair in one.pairs])),
         _number(each.speed.by_species.get(one.subject, math.nan), "{:.2f}"))
        for one in sorted(each.species, key=lambda one: one.dutch)
    ]  # fmt: skip
    heads = ("species", "seeds", old, new, "difference", "macro-F1", "right", "p Holm", f"{old} s", f"{new} s", "×")
    title = (
        f"{new} against {old}: balanced accuracy per recording, difference in points, recordings that only {old} : "
        f"only {new} had right (McNemar), training seconds, × times as fast"
    )
    return WordTable(title, heads, tuple(rows))


def calibration_table(section: Section) -> WordTable | None:
    """Mean expected calibration error before and after the temperature; None for older runs."""
    rows = []
    for name in section.names:
        runs = [run for one in section.results if one.parameter_set == name for run in one.runs]
        found = [run.report["calibration"] for run in runs if run.report.get("calibration")]
        if found:
            before, after = (_mean([_ece(one, when) for one in found]) for when in ("before", "after"))
            temperature = _mean([_value(one.get("temperature")) for one in found])
            rows.append((name, _number(temperature, "{:.2f}"), _percent(before), _percent(after)))
    if not rows:
        return None
    heads = ("calibration", "temperature", "error before", "error after")
    return WordTable("Calibration (means over runs of temperature and expected calibration error)", heads, tuple(rows))


def settings_table(section: Section) -> WordTable | None:
    """Parameters that differ between the sets, or among the runs of one; None when there are none."""
    runs = {name: [run for one in section.results if one.parameter_set == name for run in one.runs]
            for name in section.names}  # fmt: skip
    every = [run for of_set in runs.values() for run in of_set]
    keys = dict.fromkeys(key for run in every for key in run.report.get("parameters") or {} if key not in NOT_SETTINGS)
    rows = []
    for key in keys:
        values = {name: _values(of_set, key) for name, of_set in runs.items()}
        if len({tuple(found) for found in values.values()}) > 1 or any(len(found) > 1 for found in values.values()):
            rows.append((key, *(_counted(found) for found in values.values())))
    return WordTable("Parameters that differ", ("parameter", *runs), tuple(rows)) if rows else None


def tables_of(section: Section) -> list[WordTable]:
    """All of a section in the order to read them."""
    found = [overall_table(section), seconds_table(section), *(species_table(each) for each in section.sets)]
    return found + [table for table in (calibration_table(section), settings_table(section)) if table]


def times(estimate: Estimate | None) -> str:
    """`1.31 (1.20–1.43)`."""
    if estimate is None:
        return ABSENT
    return f"{estimate.value:.2f}" + (f" ({estimate.low:.2f}–{estimate.high:.2f})" if estimate.has_interval else "")


def _points(estimate: Estimate, unit: str = " points") -> str:
    if not math.isfinite(estimate.value):
        return ABSENT
    return points(estimate).replace(" points", unit)


def _wilcoxon(overall: Overall) -> str:
    if overall.ranks.p is None:
        return "no difference in any species"
    floor = 2.0 ** (1 - overall.ranks.species)
    never = " (cannot be below 0.05)" if floor > 1 - LEVEL else ""
    return f"{_p(overall.ranks.p)}{never}"


def _p(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"


def _surely_different(each: SetComparison) -> str:
    tested = [one.mcnemar for one in each.species if one.mcnemar]
    better = sum(one.p_holm < 0.05 and one.only_other > one.only_baseline for one in tested)
    worse = sum(one.p_holm < 0.05 and one.only_other < one.only_baseline for one in tested)
    return f"{better} better, {worse} worse of {len(tested)}" if tested else ABSENT


def _mcnemar(one: SpeciesComparison) -> tuple[str, str]:
    if one.mcnemar is None:
        return ABSENT, ABSENT
    return f"{one.mcnemar.only_baseline} : {one.mcnemar.only_other}", _p(one.mcnemar.p_holm)


def _values(runs: Sequence[FinishedRun], key: str) -> list[tuple[str, int]]:
    counts = Counter(str((run.report.get("parameters") or {}).get(key, ABSENT)) for run in runs)
    most = counts.most_common()
    return most if len(most) > 1 else [(name, 0) for name, _ in most]


def _counted(values: Sequence[tuple[str, int]]) -> str:
    return ", ".join(f"{name} ({count} runs)" if count else name for name, count in values)


def _ece(calibration: dict, when: str) -> float:
    return _value((calibration.get(when) or {}).get("ece"))


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


def mean_figure(results: Sequence[Result], figure: str) -> float:
    return _mean([one.metric(figure) for one in results])
