"""Nested subsets of the training split: stratified by type, recordists whole, val and test unchanged."""

from collections import Counter
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from birdnet_nl.data.multilabel import MultilabelRecordings
from birdnet_nl.data.prepare import PreparedRecordings
from birdnet_nl.data.splits import group_of
from birdnet_nl.data.training_subset import check_training_share, choose_groups, limit_training, order_groups
from birdnet_nl.recordings.recording import Recording

TYPES = ("song", "call", "alarm")
SHARES = (0.05, 0.1, 0.2, 0.4, 0.7, 1)


def make_recordings(count: int, seed: int = 0, recordists: int = 60) -> list[Recording]:
    """Recordings of the three types at 60, 34 and 6 %; a fifth of them of unknown recordist."""
    rng = np.random.default_rng(seed)
    return [
        Recording(
            id=f"XC{number}",
            path=Path(f"XC{number}.mp3"),
            species="merel",
            vocalization_type=str(rng.choice(TYPES, p=(0.6, 0.34, 0.06))),
            type_text="",
            recordist="" if rng.random() < 0.2 else f"Recordist {int(recordists * rng.random() ** 2)}",
        )
        for number in range(count)
    ]


def make_prepared(recordings: list[Recording]) -> PreparedRecordings:
    """Every fourth recordist is in val or test."""
    groups = sorted({group_of(recording) for recording in recordings})
    split_of = {group: ("val", "train", "train", "train", "test", "train")[i % 6] for i, group in enumerate(groups)}
    return PreparedRecordings(
        recordings=recordings,
        types=list(TYPES),
        splits={recording.id: split_of[group_of(recording)] for recording in recordings},
        mels={recording.id: SimpleNamespace(content=recording.id) for recording in recordings},
    )


def of_split(prepared: PreparedRecordings, split: str) -> list[str]:
    return [recording.id for recording in prepared.recordings if prepared.splits[recording.id] == split]


@pytest.mark.parametrize("seed", range(5))
def test_subsets_are_nested_and_keep_recordists_whole(seed):
    recordings = make_recordings(400, seed)
    subsets = [choose_groups(recordings, share, seed) for share in SHARES]
    assert all(smaller <= larger for smaller, larger in pairwise(subsets))
    assert subsets[-1] == {group_of(recording) for recording in recordings}
    assert subsets[0] < subsets[-1]


@pytest.mark.parametrize("seed", range(5))
def test_subsets_have_the_wanted_size_and_the_same_shares_of_the_types(seed):
    recordings = make_recordings(600, seed, recordists=120)
    total = Counter(recording.vocalization_type for recording in recordings)
    largest = max(Counter(map(group_of, recordings)).values())
    for share in SHARES[1:]:
        groups = choose_groups(recordings, share, seed)
        chosen = Counter(r.vocalization_type for r in recordings if group_of(r) in groups)
        assert chosen.total() == pytest.approx(share * len(recordings), abs=largest / 2 + 1)
        for name in TYPES:
            assert chosen[name] == pytest.approx(share * total[name], abs=2 * largest), (share, name)


def test_every_type_is_kept_however_small_the_share():
    recordings = make_recordings(300)
    groups = choose_groups(recordings, 0.001, 1)
    assert {r.vocalization_type for r in recordings if group_of(r) in groups} == set(TYPES)
    assert len(groups) <= len(TYPES)


def test_another_seed_gives_another_order_and_the_same_seed_the_same():
    recordings = make_recordings(100)
    assert order_groups(recordings, 1) == order_groups(recordings[::-1], 1) != order_groups(recordings, 2)


def test_val_and_test_and_extra_recordings_stay_and_the_others_are_accounted_for():
    prepared = make_prepared(make_recordings(300))
    several = [
        Recording(f"M{number}", Path(f"M{number}.mp3"), "merel", None, "song, call", f"Recordist {number}")
        for number in range(60)
    ]
    held_out = {group_of(r) for r in prepared.recordings if prepared.splits[r.id] != "train"}
    several = [recording for recording in several if group_of(recording) not in held_out]
    multilabel = MultilabelRecordings(
        several, {r.id: SimpleNamespace(content=r.id) for r in several}, {r.id: ["song", "call"] for r in several}
    )
    extra = of_split(prepared, "train")[:20]
    before: tuple[set, set] | None = None
    for share in SHARES:
        limited, of_several, left_out = limit_training(prepared, multilabel, share, 1, extra)
        for split in ("val", "test"):
            assert of_split(limited, split) == of_split(prepared, split)
        assert set(extra) <= set(of_split(limited, "train"))
        kept = set(of_split(limited, "train")), {recording.id for recording in of_several.recordings}
        assert before is None or (before[0] <= kept[0] and before[1] <= kept[1])
        before = kept
        assert set(limited.splits) == set(limited.mels) == {recording.id for recording in limited.recordings}
        assert set(of_several.mels) == set(of_several.types) == kept[1]
        everything = len(prepared.recordings) + len(several)
        assert len(limited.recordings) + len(of_several.recordings) + len(left_out) == everything
        groups = {group_of(r) for r in limited.recordings if r.id not in extra} - held_out
        plain = {group_of(r) for r in prepared.recordings if r.id not in extra}
        assert {group_of(r) for r in of_several.recordings} & plain <= groups
    assert not left_out and before[1] == {recording.id for recording in several}


@pytest.mark.parametrize("share", [0, -0.1, 1.5, True, "half"])
def test_a_share_outside_0_to_1_is_refused(share):
    with pytest.raises(ValueError, match=r"training_share=.* must be above 0 and at most 1"):
        check_training_share(share, "recording", final=False)


def test_a_share_does_not_go_with_a_final_run_or_the_leak():
    with pytest.raises(ValueError, match="final exclude each other"):
        check_training_share(0.5, "recording", final=True)
    with pytest.raises(ValueError, match="split_by=segment exclude each other"):
        check_training_share(1, "segment", final=False)
    check_training_share(None, "segment", final=True)
