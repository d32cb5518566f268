"""Splits of whole recordings and recordists: no leak, every type on every side, by data and seed alone."""

import csv
import random
from collections import Counter
from itertools import product
from pathlib import Path

import pytest

from birdnet_nl.data.splits import (
    SPLITS,
    assert_no_leak,
    assign_splits,
    check_fold,
    count_by_split,
    group_of,
    read_splits,
    usable_types,
    write_splits,
)
from birdnet_nl.recordings.recording import Recording
from birdnet_nl.util.errors import DataError

SHARES = {"train": 0.6, "val": 0.2, "test": 0.2}
TYPES = ("song", "call", "alarm")


def recording(number: int, kind: str, recordist: str = "") -> Recording:
    return Recording(f"XC{number}", Path(f"/data/{kind}/XC{number}.mp3"), "merel", kind, kind, recordist, "A", "CC BY")


def random_recordings(rng: random.Random, count: int, recordists: int, types: int = 3, known: float = 0.8):
    """Recordings with types and recordists in random shares; some recordists unknown."""
    kinds = rng.choices(TYPES[:types], weights=[rng.uniform(0.2, 1) for _ in range(types)], k=count)
    weights = [rng.expovariate(1) for _ in range(recordists)]
    names = rng.choices(range(recordists), weights=weights, k=count)
    return [
        recording(number, kind, f"Recordist {name}" if rng.random() < known else "")
        for number, (kind, name) in enumerate(zip(kinds, names, strict=True))
    ]


def is_possible(recordings: list[Recording]) -> bool:
    """Whether any assignment of whole groups puts every type on every side, by trying all of them."""
    types = sorted({r.vocalization_type for r in recordings})
    held = {}
    for r in recordings:
        held.setdefault(group_of(r), set()).add(r.vocalization_type)
    return any(
        all(
            set(types)
            == set().union(*(kinds for kinds, side in zip(held.values(), sides, strict=True) if side == split))
            for split in range(3)
        )
        for sides in product(range(3), repeat=len(held))
    )


def sides_of_recordists(recordings, splits) -> dict[str, set[str]]:
    sides: dict[str, set[str]] = {}
    for r in recordings:
        if r.recordist:
            sides.setdefault(" ".join(r.recordist.lower().split()), set()).add(splits[r.id])
    return sides


@pytest.mark.parametrize("configuration", range(40))
def test_no_recordist_is_on_two_sides_and_every_type_is_on_every_side(configuration):
    rng = random.Random(configuration)
    recordings = random_recordings(rng, rng.randint(40, 300), rng.randint(12, 60), types=rng.choice([2, 3]))
    splits = assign_splits(recordings, SHARES, seed=configuration)
    assert set(splits) == {r.id for r in recordings}
    assert all(len(sides) == 1 for sides in sides_of_recordists(recordings, splits).values())
    for split in SPLITS:
        kinds = {r.vocalization_type for r in recordings if splits[r.id] == split}
        assert kinds == {r.vocalization_type for r in recordings}


def test_a_possible_split_is_found_where_there_are_few_recordists():
    rng = random.Random(7)
    possible = impossible = 0
    for _ in range(60):
        recordings = random_recordings(rng, rng.randint(6, 14), rng.randint(3, 6), types=rng.choice([2, 3]), known=1.0)
        if is_possible(recordings):
            possible += 1
            splits = assign_splits(recordings, SHARES, seed=1)
            assert all(
                set(counts) == {r.vocalization_type for r in recordings}
                for counts in count_by_split(recordings, splits).values()
            )
        else:
            impossible += 1
            with pytest.raises(DataError, match="no way found to put every type in train, val and test"):
                assign_splits(recordings, SHARES, seed=1)
    assert possible >= 10 and impossible >= 10


def test_shares_are_kept_per_type_when_every_recording_stands_alone():
    recordings = [recording(n, kind) for n, kind in enumerate(["song"] * 50 + ["call"] * 100 + ["alarm"] * 10)]
    counts = count_by_split(recordings, assign_splits(recordings, SHARES, seed=3))
    assert {split: dict(found) for split, found in counts.items()} == {
        "train": {"song": 30, "call": 60, "alarm": 6},
        "val": {"song": 10, "call": 20, "alarm": 2},
        "test": {"song": 10, "call": 20, "alarm": 2},
    }


def test_shares_are_near_when_recordists_are_many():
    rng = random.Random(1)
    recordings = random_recordings(rng, 300, 100)
    splits = assign_splits(recordings, SHARES, seed=1)
    for kind, total in Counter(r.vocalization_type for r in recordings).items():
        for split, share in SHARES.items():
            found = sum(r.vocalization_type == kind and splits[r.id] == split for r in recordings)
            assert found / total == pytest.approx(share, abs=0.06)


def test_other_shares_are_kept_too():
    recordings = [recording(n, TYPES[n % 2]) for n in range(100)]
    counts = count_by_split(recordings, assign_splits(recordings, {"train": 0.8, "val": 0.1, "test": 0.1}, seed=1))
    assert [counts[split].total() for split in SPLITS] == [80, 10, 10]


def test_three_recordings_of_each_type_give_one_to_each_side():
    recordings = [recording(n, TYPES[n % 3]) for n in range(9)]
    for seed in range(20):
        counts = count_by_split(recordings, assign_splits(recordings, SHARES, seed))
        assert all(found == dict.fromkeys(TYPES, 1) for found in counts.values())


def test_the_split_is_a_function_of_data_and_seed():
    recordings = random_recordings(random.Random(2), 80, 20)
    assert assign_splits(recordings, SHARES, seed=5) == assign_splits(recordings, SHARES, seed=5)
    different = {tuple(sorted(assign_splits(recordings, SHARES, seed).items())) for seed in range(6)}
    assert len(different) == 6


def test_the_split_does_not_depend_on_the_order_of_the_recordings():
    rng = random.Random(3)
    recordings = random_recordings(rng, 80, 20)
    splits = assign_splits(recordings, SHARES, seed=5)
    for _ in range(5):
        rng.shuffle(recordings)
        assert assign_splits(recordings, SHARES, seed=5) == splits


def test_every_recording_comes_to_the_test_split_under_some_seed():
    recordings = [recording(n, TYPES[n % 2]) for n in range(20)]
    tested = set()
    for seed in range(40):
        tested |= {id for id, split in assign_splits(recordings, SHARES, seed).items() if split == "test"}
    assert tested == {r.id for r in recordings}


def test_a_recordist_is_the_same_in_any_case_and_spacing():
    one, two = recording(1, "song", "Anna  de Vries "), recording(2, "call", "anna de vries")
    assert group_of(one) == group_of(two)
    assert group_of(recording(3, "song")) != group_of(recording(4, "song"))


def test_an_unknown_recordist_is_not_taken_for_a_recording_of_that_name():
    assert group_of(recording(1, "song", "XC2")) != group_of(recording(2, "song"))


def test_two_recordists_for_three_splits_are_refused_with_the_counts():
    recordings = [recording(n, TYPES[n % 2], f"Recordist {n % 4 // 2}") for n in range(40)]
    with pytest.raises(DataError, match=r"^merel: no way found .* \(2 recordists, 40 recordings\); .*data\.types"):
        assign_splits(recordings, SHARES, seed=1)


def test_a_leak_is_refused():
    recordings = [recording(1, "song", "Anna"), recording(2, "song", "anna"), recording(3, "song", "Bob")]
    assert_no_leak(recordings, {"XC1": "train", "XC2": "train", "XC3": "test"})
    with pytest.raises(AssertionError, match="split leaks: recordist:anna on more than one side"):
        assert_no_leak(recordings, {"XC1": "train", "XC2": "test", "XC3": "test"})


def test_types_with_too_few_recordings_or_recordists_are_left_out_with_the_counts():
    recordings = (
        [recording(n, "song") for n in range(5)]
        + [recording(10 + n, "call", "Anna" if n < 6 else "Bob") for n in range(8)]
        + [recording(30 + n, "alarm") for n in range(2)]
    )
    usable, left_out = usable_types(recordings, TYPES, least=3)
    assert usable == ["song"]
    assert left_out == {
        "call": "8 recordings by 2 recordists, at least 3 recordists needed",
        "alarm": "2 recordings, at least 3 needed",
    }
    assert usable_types(recordings, ("alarm", "song"), least=2)[0] == ["song"]  # two cannot be on three sides
    assert usable_types(recordings, ("call", "song"), least=6)[1]["song"] == "5 recordings, at least 6 needed"


def test_what_is_written_is_read_back(tmp_path):
    recordings = [recording(1, "song", "Anna, de Vries"), recording(2, "call", "Jürgen “X”"), recording(3, "alarm")]
    splits = {"XC1": "train", "XC2": "val", "XC3": "test"}
    path = tmp_path / "splits.csv"
    write_splits(path, recordings, splits)
    assert read_splits(path) == splits
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[1] == {
        "id": "XC2", "split": "val", "type": "call", "recordist": "Jürgen “X”", "quality": "A", "licence": "CC BY",
        "file": "/data/call/XC2.mp3",
    }  # fmt: skip
    assert [entry.name for entry in tmp_path.iterdir()] == ["splits.csv"]


def test_each_recording_is_tested_in_one_fold_with_recordists_apart():
    rng = random.Random(3)
    recordings = random_recordings(rng, 90, 30, types=3, known=0.8)
    tested: Counter[str] = Counter()
    for fold in range(5):
        splits = assign_splits(recordings, SHARES, seed=1, folds=5, fold=fold)
        assert_no_leak(recordings, splits)
        counts = count_by_split(recordings, splits)
        assert all(len(of_type) == 3 for of_type in counts.values())
        tested.update(id for id, split in splits.items() if split == "test")
    assert tested == {recording.id: 1 for recording in recordings}


def test_train_and_val_share_what_a_fold_leaves():
    recordings = [recording(n, kind) for n, kind in enumerate(["song"] * 50 + ["call"] * 100)]
    counts = count_by_split(recordings, assign_splits(recordings, SHARES, seed=3, folds=5, fold=2))
    assert {split: dict(found) for split, found in counts.items()} == {
        "train": {"song": 30, "call": 60},
        "val": {"song": 10, "call": 20},
        "test": {"song": 10, "call": 20},
    }


@pytest.mark.parametrize(
    ("folds", "fold", "sentence"),
    [
        (5, None, "go together"),
        (None, 0, "go together"),
        (2, 0, "must be at least 3"),
        (5, 5, "between 0 and 4"),
        (5, -1, "between"),
    ],
)
def test_a_fold_that_does_not_exist_is_refused(folds, fold, sentence):
    with pytest.raises(ValueError, match=sentence):
        check_fold(folds, fold)


def test_any_fold_or_none_is_taken():
    check_fold(None, None)
    check_fold(5, 4)
