"""Recordings that a species still needs to be usable, by type: from its learning curve, else from its counts."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from birdnet_nl.comparison.curve_files import summary
from birdnet_nl.comparison.curve_points import LearningCurve
from birdnet_nl.comparison.learning_curve import Outcome
from birdnet_nl.util.words import counted


@dataclass(frozen=True)
class Need:
    """Recordings to fetch of each type, the rarest type first, and why; types that need none are left out."""

    fetch: Mapping[str, int]
    reason: str


def find_need(
    on_disk: Mapping[str, int], curve: LearningCurve | None, recommended: int, per_type: int | None = None
) -> Need:
    """Decide what to fetch for a species.

    With a curve that estimates a number, the rarest types are filled up until the total is reached. A step at most
    doubles the recordings, because the curve is extrapolated: measure it again then. Without such an estimate every
    type is filled up to `recommended`, and while the curve is still rising beyond that.

    Args:
        on_disk: recordings of each type that may be fetched, 0 where there are none.
        recommended: recordings of a type that suffice by rule.
        per_type: most recordings of a type, including those on disk; None for no limit.
    """
    total = sum(on_disk.values())
    by_rule = {name: max(0, recommended - count) for name, count in on_disk.items()}
    step = max(total, sum(by_rule.values()))
    rule = f"each type up to {recommended} recordings"
    if curve is None:
        return _need(on_disk, by_rule, f"no learning curve (birdnet-nl curve measures one): {rule}", per_type)
    text, decisive = summary(curve), curve.decisive
    if decisive.outcome == Outcome.USABLE:
        return Need({}, text)
    if decisive.outcome == Outcome.ESTIMATED:
        goal = math.ceil(decisive.needed * curve.total_per_training)
        if goal <= total:
            return Need({}, f"{text}; there are {total} now: measure the curve again with birdnet-nl curve")
        more = min(goal - total, step)
        then = "" if more == goal - total else f"; a first step of {more}, then measure the curve again"
        return _need(on_disk, level(on_disk, more), f"{text}{then}", per_type)
    if decisive.outcome == Outcome.BEYOND and total:
        return _need(on_disk, level(on_disk, step), f"{text}; twice the recordings, then measure again", per_type)
    enough = f"every type has {recommended} recordings, and the curve gives no number, so none are fetched"
    advice = rule if any(by_rule.values()) else enough
    return _need(on_disk, by_rule, f"{text}; {advice}", per_type)


def _need(on_disk: Mapping[str, int], fetch: Mapping[str, int], reason: str, per_type: int | None) -> Need:
    limited = dict(fetch)
    if per_type is not None:
        limited = {name: min(count, max(0, per_type - on_disk[name])) for name, count in fetch.items()}
    if limited != dict(fetch):
        reason += f"; at most {per_type} of a type (--per-type)"
    order = sorted(on_disk, key=lambda name: on_disk[name])
    return Need({name: limited[name] for name in order if limited[name]}, reason)


def level(on_disk: Mapping[str, int], more: int) -> dict[str, int]:
    """Divide `more` recordings over the types so that the rarest types grow first: number by type.

    As water fills vessels: the types below a level are raised to it. What is left over goes to the first types.
    """
    counts = sorted(on_disk.values())
    filled = next(  # number of types that are raised
        (index for index in range(1, len(counts)) if index * counts[index] - sum(counts[:index]) >= more), len(counts)
    )
    height, left = divmod(more + sum(counts[:filled]), filled)
    raised = sorted(on_disk, key=lambda name: on_disk[name])[:filled]
    return {name: height + (place < left) - on_disk[name] for place, name in enumerate(raised)} | {
        name: 0 for name in on_disk if name not in raised
    }


def expectation(curve: LearningCurve | None, on_disk: int, fetched: int) -> str:
    """Return the balanced accuracy that the curve predicts after the download, as a clause; empty without a curve."""
    if curve is None or not fetched:
        return ""
    predicted = curve.decisive.at((on_disk + fetched) / curve.total_per_training)
    if predicted is None:
        return f"no estimate for {counted(on_disk + fetched, 'recording')}"
    value, low, high = predicted
    return f"estimated balanced accuracy afterwards {value:.0%} [{100 * low:.0f}–{100 * high:.0f}]"
