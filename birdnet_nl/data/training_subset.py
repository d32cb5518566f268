"""Nested subsets of the training split, for learning curves: `data.training_share`."""

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from birdnet_nl.data.multilabel import MultilabelRecordings
from birdnet_nl.data.prepare import PreparedRecordings
from birdnet_nl.data.splits import group_of
from birdnet_nl.recordings.recording import Recording


def check_training_share(share: float | None, split_by: str, final: bool) -> None:
    """Raise `ValueError` unless `share` is None or in (0, 1], and goes with the other rules for the splits."""
    if share is None:
        return
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
        raise ValueError(f"data.training_share={share} must be above 0 and at most 1, or null for the usual training")
    rules = {"data.split_by=segment": split_by == "segment", "final": final}
    if others := [name for name, value in rules.items() if value]:
        raise ValueError(f"data.training_share={share} and {others[0]} exclude each other; give one of them")


def limit_training(
    prepared: PreparedRecordings,
    multilabel: MultilabelRecordings,
    share: float,
    seed: int,
    extra: Collection[str] = (),
) -> tuple[PreparedRecordings, MultilabelRecordings, dict[Path, str]]:
    """Keep `share` of the recordings of the training split; val and test stay the same.

    A recordist's recordings are all kept or all left out, also those of several types, and every type keeps at least
    one. The subset of a smaller share is contained in that of a larger one. Recordings whose ids are in `extra` (those
    of `data.extra_roots`) are kept. The third value is the reason by file for those left out.
    """
    of_training = [r for r in prepared.recordings if prepared.splits[r.id] == "train" and r.id not in extra]
    groups = choose_groups(of_training, share, seed)
    known = {group_of(recording) for recording in of_training}
    several = [recording for recording in multilabel.recordings if recording.id not in extra]
    others = _shuffled(sorted({group_of(recording) for recording in several} - known), seed)  # without plain recordings
    groups |= set(others[: round(share * len(others))])
    left_out = [recording for recording in (*of_training, *several) if group_of(recording) not in groups]
    ids = {recording.id for recording in left_out}
    kept = [recording for recording in prepared.recordings if recording.id not in ids]
    kept_multilabel = [recording for recording in multilabel.recordings if recording.id not in ids]
    return (
        replace(
            prepared,
            recordings=kept,
            splits={recording.id: prepared.splits[recording.id] for recording in kept},
            mels={recording.id: prepared.mels[recording.id] for recording in kept},
        ),
        replace(
            multilabel,
            recordings=kept_multilabel,
            mels={recording.id: multilabel.mels[recording.id] for recording in kept_multilabel},
            types={recording.id: multilabel.types[recording.id] for recording in kept_multilabel},
        ),
        {recording.path: f"left out by data.training_share={share:g}" for recording in left_out},
    )


def choose_groups(recordings: Sequence[Recording], share: float, seed: int) -> set[str]:
    """Return the recordists (or recordings of unknown recordist) that together have about `share` of the recordings.

    Groups come in a random order in which every type grows at the same rate; the number of groups is the one that comes
    closest to `share`, and at least enough for every type.
    """
    order = order_groups(recordings, seed)
    sizes = Counter(group_of(recording) for recording in recordings)
    types_of = defaultdict(set)
    for recording in recordings:
        types_of[group_of(recording)].add(recording.vocalization_type)
    all_types = set().union(*types_of.values())
    totals = np.cumsum([sizes[group] for group in order])
    closest = int(np.abs(totals - share * len(recordings)).argmin()) + 1
    complete = next(k for k in range(1, len(order) + 1) if set().union(*(types_of[g] for g in order[:k])) == all_types)
    return set(order[: max(closest, complete)])


def order_groups(recordings: Sequence[Recording], seed: int) -> list[str]:
    """Return all groups, each time the next one at random that has the type of which the smallest share was taken.

    The order depends on the recordings and `seed` only, so that its beginnings are nested subsets.
    """
    counts: dict[str, Counter] = defaultdict(Counter)
    for recording in recordings:
        counts[group_of(recording)][recording.vocalization_type] += 1
    totals = Counter(recording.vocalization_type for recording in recordings)
    waiting, taken, order = _shuffled(sorted(counts), seed), Counter(), []
    while waiting:
        left = [name for name in sorted(totals) if taken[name] < totals[name]]
        behind = min(left, key=lambda name: taken[name] / totals[name])
        group = next(group for group in waiting if counts[group][behind])
        waiting.remove(group)
        order.append(group)
        taken += counts[group]
    return order


def _shuffled(names: Sequence[str], seed: int) -> list[str]:
    rng = np.random.default_rng(np.random.SeedSequence([seed, 0x5CA1E]))
    return [names[index] for index in rng.permutation(len(names))]
