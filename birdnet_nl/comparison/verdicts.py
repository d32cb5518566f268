"""Verdicts on the original's two claims for its new parameters, from the runs of a comparison."""

from dataclasses import dataclass

from birdnet_nl.comparison.pairing import Kind
from birdnet_nl.comparison.speed import Speed
from birdnet_nl.comparison.statistics import MIN_FOR_INTERVAL, Estimate, Overall

CLAIMED = ("fast", "legacy")  # the set of the claims, and the set it was compared with
SPEED_CLAIM, ACCURACY_CLAIM = "40–50 % faster per species", "at most 1–2 points less accurate"
SAVED, MARGIN = 0.40, 0.02  # minimum of time saved, and maximum of accuracy lost, that fulfil the claims
WEAKER = 1.4  # "40 % faster" as 1.4 times as fast
CONFIRMED, REFUTED, OPEN = "confirmed", "refuted", "not decided by these data"
HOW_TO_EQUAL = (
    "train both with data.num_workers=0 (and the same engine), e.g. "
    "python train.py -m species=… trainer=legacy,fast data.num_workers=0 engine.threads=2"
)


@dataclass(frozen=True)
class Verdict:
    """Verdict on one claim: `answer` (confirmed, refuted or not decided by these data), and a sentence with numbers."""

    claim: str
    basis: str
    answer: str
    sentence: str


def verdicts(
    name: str, baseline: str, kind: Kind, overall: Overall, species: int, seeds: int, speed: Speed, equal: Speed
) -> tuple[Verdict, ...]:
    """Evaluate the claims of fast against legacy only; of a control or a leaking split only the claim of speed."""
    if (name, baseline) != CLAIMED:
        return ()
    result = [_speed_as_configured(speed), _speed_at_equal_workers(equal)]
    if not (kind.shuffled or kind.leaks):
        result.append(_accuracy(overall, species, seeds))
    return tuple(result)


def _speed_as_configured(speed: Speed) -> Verdict:
    basis = "as configured"
    if speed.train is None:
        return Verdict(SPEED_CLAIM, basis, OPEN, "no pair of runs on one machine reports its training time")
    sentence = f"training a species takes {_time_saved(speed.train)}: {_times(speed.train)}, {_counts(speed)}"
    return _speed_verdict(basis, speed.train, sentence)


def _speed_at_equal_workers(equal: Speed) -> Verdict:
    basis = "equal worker settings"
    if equal.per_segment is None:
        reason = f"no two runs have the same num_workers, threads and engine; {HOW_TO_EQUAL}"
        return Verdict(SPEED_CLAIM, basis, OPEN, reason)
    sentence = (
        f"a training segment takes {_time_saved(equal.per_segment)} in an epoch: {_times(equal.per_segment)} "
        f"(an epoch {_times(equal.per_epoch)}, a whole training {_times(equal.train)}); {_counts(equal)}"
    )
    return _speed_verdict(basis, equal.per_segment, sentence)


def _speed_verdict(basis: str, times: Estimate, sentence: str) -> Verdict:
    """Interpret 40 % faster as 40 % less time; the sentence adds the verdict for 1.4 times as fast where it differs."""
    answer = _decide(times, 1 / (1 - SAVED))
    weaker = _decide(times, WEAKER)
    if answer != weaker:
        sentence += f"; interpreted as {WEAKER:g} times as fast, the claim is {weaker}"
    if not times.has_interval:
        sentence += f"; no interval ({times.absent})"
    return Verdict(SPEED_CLAIM, basis, answer, sentence)


def _decide(estimate: Estimate, minimum: float) -> str:
    if not estimate.has_interval:
        return OPEN
    if estimate.low >= minimum:
        return CONFIRMED
    return REFUTED if estimate.high < minimum else OPEN


def _accuracy(overall: Overall, species: int, seeds: int) -> Verdict:
    """Evaluate over species where there are three, else over recordists and seeds, which needs three seeds."""
    basis = "balanced accuracy per recording"
    over_species = overall.over_species.has_interval
    estimate = overall.over_species if over_species else overall.these_species
    where = f"over {species} species" if over_species else f"for {'this' if species == 1 else 'these'} species only"
    sentence = f"fast differs by {points(estimate)} from legacy, {where}"
    if not over_species and seeds < MIN_FOR_INTERVAL:
        sentence += f"; with fewer than {MIN_FOR_INTERVAL} species and seeds the variation between trainings is unknown"
        return Verdict(ACCURACY_CLAIM, basis, OPEN, sentence)
    return Verdict(ACCURACY_CLAIM, basis, _decide(estimate, -MARGIN), sentence)


def points(estimate: Estimate) -> str:
    """Format a difference in percentage points, as `-1.2 points (-3.4 to +0.9)`."""
    text = f"{100 * estimate.value:+.1f} points"
    return text + (f" ({100 * estimate.low:+.1f} to {100 * estimate.high:+.1f})" if estimate.has_interval else "")


def _time_saved(times: Estimate) -> str:
    saved = times.transform(lambda ratio: 1 - 1 / ratio)
    text = f"{abs(saved.value):.0%} {'less' if saved.value >= 0 else 'more'} time"
    if not saved.has_interval:
        return text
    if saved.low >= 0:
        return f"{text} ({saved.low:.0%} to {saved.high:.0%} less)"
    if saved.high < 0:
        return f"{text} ({-saved.high:.0%} to {-saved.low:.0%} more)"
    return f"{text} ({-saved.low:.0%} more to {saved.high:.0%} less)"


def _times(times: Estimate | None) -> str:
    if times is None:
        return "of unknown speed"
    interval = f" ({times.low:.2f}–{times.high:.2f})" if times.has_interval else ""
    return f"{times.value:.2f}{interval} times as fast"


def _counts(speed: Speed) -> str:
    return f"{speed.species} species, {speed.pairs} pair{'s' * (speed.pairs != 1)} of runs"
