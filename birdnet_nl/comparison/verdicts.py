"""The original's two claims for its new parameters, each with what the runs say about it."""

from dataclasses import dataclass

from birdnet_nl.comparison.pairing import Kind
from birdnet_nl.comparison.speed import Speed
from birdnet_nl.comparison.statistics import MIN_FOR_INTERVAL, Estimate, Overall

CLAIMED = ("fast", "legacy")  # the set the claims are about, and the one it was compared with
SPEED_CLAIM, ACCURACY_CLAIM = "40–50 % faster per species", "at most 1–2 points less accurate"
SAVED, MARGIN = 0.40, 0.02  # the least time saved, and the most accuracy lost, that still fulfil the claims
WEAKER = 1.4  # "40 % faster" as 1.4 times as fast
CONFIRMED, REFUTED, OPEN = "confirmed", "refuted", "not decided by these data"
HOW_TO_EQUAL = (
    "train both with data.num_workers=0 (and the same engine), e.g. "
    "python train.py -m species=… trainer=legacy,fast data.num_workers=0 engine.threads=2"
)


@dataclass(frozen=True)
class Verdict:
    """On one claim: confirmed, refuted or not decided by these data, and the sentence with the numbers."""

    claim: str
    basis: str
    answer: str
    sentence: str


def verdicts(
    name: str, baseline: str, kind: Kind, overall: Overall, species: int, seeds: int, speed: Speed, equal: Speed
) -> tuple[Verdict, ...]:
    """Empty for other sets than fast against legacy; of a control or a leaking split only the speed is judged."""
    if (name, baseline) != CLAIMED:
        return ()
    found = [_speed_as_configured(speed), _speed_at_equal_workers(equal)]
    if not (kind.shuffled or kind.leaks):
        found.append(_accuracy(overall, species, seeds))
    return tuple(found)


def _speed_as_configured(speed: Speed) -> Verdict:
    basis = "as configured"
    if speed.train is None:
        return Verdict(SPEED_CLAIM, basis, OPEN, "no pair of runs on one machine tells its seconds")
    sentence = (
        f"training a species takes {_saved_words(speed.train)}: {_times(speed.train)}, "
        f"{_number(speed.species, 'species', 'species')}, {_number(speed.pairs, 'pair')} of runs"
    )
    return _judged_saving(basis, speed.train, sentence)


def _speed_at_equal_workers(equal: Speed) -> Verdict:
    basis = "equal worker settings"
    if equal.per_segment is None:
        return Verdict(
            SPEED_CLAIM, basis, OPEN,
            f"no two runs have the same num_workers, threads and engine; {HOW_TO_EQUAL}",
        )  # fmt: skip
    sentence = (
        f"a training segment costs {_saved_words(equal.per_segment)} in an epoch: {_times(equal.per_segment)} "
        f"(an epoch {_times(equal.per_epoch)}, a whole training {_times(equal.train)}); "
        f"{_number(equal.species, 'species', 'species')}, {_number(equal.pairs, 'pair')} of runs"
    )
    return _judged_saving(basis, equal.per_segment, sentence)


def _judged_saving(basis: str, times: Estimate, sentence: str) -> Verdict:
    """Faster by 40 % is read as 40 % less time; the weaker reading, 1.4 times as fast, is named beside it."""
    answer = _judge(times, 1 / (1 - SAVED))
    weaker = _judge(times, WEAKER)
    if answer != weaker:
        sentence += f"; read as {WEAKER:g} times as fast the claim is {weaker}"
    if not times.has_interval:
        sentence += f"; no interval ({times.absent})"
    return Verdict(SPEED_CLAIM, basis, answer, sentence)


def _judge(estimate: Estimate, least: float) -> str:
    if not estimate.has_interval:
        return OPEN
    if estimate.low >= least:
        return CONFIRMED
    return REFUTED if estimate.high < least else OPEN


def _accuracy(overall: Overall, species: int, seeds: int) -> Verdict:
    """Over species where there are three; else over recordists and seeds, if three seeds show the chance in it."""
    basis = "balanced accuracy per recording"
    over_species = overall.over_species.has_interval
    estimate = overall.over_species if over_species else overall.these_species
    where = f"over {species} species" if over_species else f"for {'this' if species == 1 else 'these'} species only"
    sentence = f"fast differs by {points(estimate)} from legacy, {where}"
    if not over_species and seeds < MIN_FOR_INTERVAL:
        sentence += f"; with fewer than {MIN_FOR_INTERVAL} species and seeds the chance in training is not known"
        return Verdict(ACCURACY_CLAIM, basis, OPEN, sentence)
    return Verdict(ACCURACY_CLAIM, basis, _judge(estimate, -MARGIN), sentence)


def points(estimate: Estimate) -> str:
    """A difference in points of percentage, as `-1.2 points (-3.4 to +0.9)`."""
    text = f"{100 * estimate.value:+.1f} points"
    return text + (f" ({100 * estimate.low:+.1f} to {100 * estimate.high:+.1f})" if estimate.has_interval else "")


def _saved_words(times: Estimate) -> str:
    saved = times.changed(lambda ratio: 1 - 1 / ratio)
    if not saved.has_interval:
        return f"{abs(saved.value):.0%} {'less' if saved.value >= 0 else 'more'} time"
    if saved.low >= 0:
        return f"{saved.value:.0%} less time ({saved.low:.0%} to {saved.high:.0%} less)"
    if saved.high < 0:
        return f"{-saved.value:.0%} more time ({-saved.high:.0%} to {-saved.low:.0%} more)"
    word = "less" if saved.value >= 0 else "more"
    return f"{abs(saved.value):.0%} {word} time ({-saved.low:.0%} more to {saved.high:.0%} less)"


def _times(times: Estimate | None) -> str:
    if times is None:
        return "of unknown speed"
    interval = f" ({times.low:.2f}–{times.high:.2f})" if times.has_interval else ""
    return f"{times.value:.2f}{interval} times as fast"


def _number(count: int, thing: str, many: str = "") -> str:
    return f"{count} {thing if count == 1 else many or thing + 's'}"
