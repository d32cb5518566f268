"""Splits of whole recordings and recordists: no leakage, every type in every split, a function of data and seed."""

import csv
import random
from collections import Counter
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from birdnet_nl.data.splits import (
    SPLITS,
    assign_splits,
    assign_test_source,
    check_fold,
    group_of,
    read_inherited,
    read_splits,
    write_splits,
)
from birdnet_nl.recordings.recording import Recording
from birdnet_nl.util.errors import DataError, RunError

SHARES = {"train": 0.6, "val": 0.2, "test": 0.2}
TYPES = ("song", "call", "alarm")


def recording(number: int, name: str, recordist: str = "") -> Recording:
    return Recording(f"XC{number}", Path(f"/data/{name}/XC{number}.mp3"), "merel", name, name, recordist, "A", "CC BY")


def random_recordings(rng: random.Random, count: int, recordists: int, types: int = 3, known: float = 0.8):
    """Recordings with random shares of types and recordists; a share of `known` has a recordist."""
    names = rng.choices(TYPES[:types], weights=[rng.uniform(0.2, 1) for _ in range(types)], k=count)
    weights = [rng.expovariate(1) for _ in range(recordists)]
    people = rng.choices(range(recordists), weights=weights, k=count)
    return [
        recording(number, name, f"Recordist {person}" if rng.random() < known else "")
        for number, (name, person) in enumerate(zip(names, people, strict=True))
    ]


def is_possible(recordings: list[Recording]) -> bool:
    """Try all assignments of whole groups for one with every type in every split."""
    types_of: dict[str, set[str]] = {}
    for r in recordings:
        types_of.setdefault(group_of(r), set()).add(r.vocalization_type)
    wanted = {(part, name) for part in range(3) for types in types_of.values() for name in types}
    return any(
        wanted == {(part, name) for part, types in zip(parts, types_of.values(), strict=True) for name in types}
        for parts in product(range(3), repeat=len(types_of))
    )


def count_by_split(recordings: list[Recording], splits: dict[str, str]) -> dict[str, Counter]:
    """Count the recordings of each type in each split, after a check that no recordist is in two splits."""
    people = {(r.recordist, splits[r.id]) for r in recordings if r.recordist}
    assert len(people) == len({recordist for recordist, _ in people})
    return {split: Counter(r.vocalization_type for r in recordings if splits[r.id] == split) for split in SPLITS}


@pytest.mark.parametrize("configuration", range(25))
def test_no_recordist_is_in_two_splits_and_every_type_is_in_every_split(configuration):
    rng = random.Random(configuration)
    recordings = random_recordings(rng, rng.randint(40, 300), rng.randint(12, 60), types=rng.choice([2, 3]))
    splits = assign_splits(recordings, SHARES, seed=configuration)
    assert set(splits) == {r.id for r in recordings}
    types = {r.vocalization_type for r in recordings}
    assert all(set(counts) == types for counts in count_by_split(recordings, splits).values())


def test_a_possible_assignment_is_found_with_few_recordists():
    rng = random.Random(7)
    possible = impossible = 0
    for _ in range(40):
        recordings = random_recordings(rng, rng.randint(6, 14), rng.randint(3, 6), types=rng.choice([2, 3]), known=1.0)
        if is_possible(recordings):
            possible += 1
            counts = count_by_split(recordings, assign_splits(recordings, SHARES, seed=1))
            assert all(set(found) == {r.vocalization_type for r in recordings} for found in counts.values())
        else:
            impossible += 1
            with pytest.raises(DataError, match="no assignment found with every type in each of train, val and test"):
                assign_splits(recordings, SHARES, seed=1)
    assert possible >= 8 and impossible >= 8


def test_too_few_recordists_are_reported_with_the_counts():
    recordings = [recording(n, TYPES[n % 2], f"Recordist {n % 4 // 2}") for n in range(40)]
    message = r"^merel: no assignment found .* \(2 recordists, 40 recordings\); .*data\.types"
    with pytest.raises(DataError, match=message):
        assign_splits(recordings, SHARES, seed=1)


@pytest.mark.parametrize("shares", [SHARES, {"train": 0.8, "val": 0.1, "test": 0.1}])
def test_shares_are_kept_for_each_type_without_recordists(shares):
    totals = {"song": 50, "call": 100, "alarm": 20}
    recordings = [recording(n, name) for n, name in enumerate(name for name in TYPES for _ in range(totals[name]))]
    counts = count_by_split(recordings, assign_splits(recordings, shares, seed=3))
    for split, name in product(SPLITS, TYPES):
        assert counts[split][name] == pytest.approx(shares[split] * totals[name], abs=0.03 * totals[name])


def test_three_recordings_of_each_type_give_one_to_each_split():
    recordings = [recording(n, TYPES[n % 3]) for n in range(9)]
    for seed in range(20):
        counts = count_by_split(recordings, assign_splits(recordings, SHARES, seed))
        assert all(found == dict.fromkeys(TYPES, 1) for found in counts.values())


def test_the_splits_are_a_function_of_recordings_and_seed_whatever_their_order():
    rng = random.Random(3)
    recordings = random_recordings(rng, 80, 20)
    splits = assign_splits(recordings, SHARES, seed=5)
    for _ in range(3):
        rng.shuffle(recordings)
        assert assign_splits(recordings, SHARES, seed=5) == splits
    assert len({tuple(sorted(assign_splits(recordings, SHARES, seed).items())) for seed in range(6)}) == 6


def test_groups_ignore_case_and_spacing_of_the_recordist_and_are_single_without_one():
    assert group_of(recording(1, "song", "Anna  de Vries ")) == group_of(recording(2, "call", "anna de vries"))
    assert group_of(recording(3, "song")) != group_of(recording(4, "song"))
    assert group_of(recording(1, "song", "XC2")) != group_of(recording(2, "song"))


def test_written_splits_are_read_back(tmp_path):
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


def test_names_of_files_that_are_not_utf8_are_read_back(tmp_path):
    path = tmp_path / "splits.csv"
    write_splits(path, [Recording("a", Path("d\udce4ta/song/J\udcfc.mp3"), "merel", "song", "song")], {"a": "val"})
    assert b"d\xe4ta/song/J\xfc.mp3" in path.read_bytes() and read_splits(path) == {"a": "val"}
    assert list(read_inherited(path).of_file.values()) == ["val"]


def test_each_recording_is_tested_in_one_fold_and_recordists_stay_together():
    recordings = random_recordings(random.Random(3), 90, 30, types=3, known=0.8)
    tested: Counter[str] = Counter()
    for fold in range(5):
        splits = assign_splits(recordings, SHARES, seed=1, folds=5, fold=fold)
        assert all(len(of_type) == 3 for of_type in count_by_split(recordings, splits).values())
        tested.update(id for id, split in splits.items() if split == "test")
    assert tested == {recording.id: 1 for recording in recordings}


def test_train_and_val_divide_the_rest_of_a_fold():
    recordings = [recording(n, name) for n, name in enumerate(["song"] * 50 + ["call"] * 100)]
    counts = count_by_split(recordings, assign_splits(recordings, SHARES, seed=3, folds=5, fold=2))
    assert counts == {
        "train": {"song": 30, "call": 60}, "val": {"song": 10, "call": 20}, "test": {"song": 10, "call": 20},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("folds", "fold", "message"),
    [
        (5, None, "go together"), (None, 0, "go together"), (2, 0, "must be at least 3"), (5, 5, "between 0 and 4"),
        (5, -1, "between 0 and 4"),
    ],
)  # fmt: skip
def test_an_impossible_fold_raises(folds, fold, message):
    check_fold(None, None)
    check_fold(5, 4)
    with pytest.raises(ValueError, match=message):
        check_fold(folds, fold)


def vink(number: int, recordist: str = "", root: str = "/nas") -> Recording:
    path = Path(root) / "xeno-canto-vink" / "song" / f"XC{number}.mp3"
    return Recording(f"XC{number}", path, "vink", "song", "song", recordist)


@pytest.fixture
def inherit(tmp_path):
    def inherit(**options):
        earlier = [vink(1, "Ann"), vink(2, "Bo"), vink(3), vink(4, "Cas")]
        write_splits(tmp_path / "splits.csv", earlier, {"XC1": "train", "XC2": "test", "XC3": "val", "XC4": "val"})
        return read_inherited(tmp_path / "splits.csv", **options)

    return inherit


@pytest.mark.parametrize(
    "recordings",
    [
        [vink(n, root="/home/me/data") for n in (1, 2, 3)],
        [Recording(f"vink/XC{n}", Path(f"/data/Vink/XC{n} - Vink.mp3"), "vink", "song", "song") for n in (1, 2, 3)],
        [vink(10, "ann"), vink(11, " BO "), vink(12, "Cas")],
    ],
    ids=["same file below another root", "same number in another folder", "new recording by the same recordist"],
)
def test_the_split_of_the_earlier_run_is_kept(inherit, recordings):
    assert list(inherit().assign(recordings, SHARES, seed=5).values()) == ["train", "test", "val"]


def test_a_recording_of_another_species_with_the_same_name_is_not_recognised(inherit):
    """Demo recordings of all species share their numbers, and own recordings names such as song/001."""
    inherited = inherit(numbers_are_unique=False)
    other = Recording("XC1", Path("/nas/xeno-canto-merel/song/XC1.mp3"), "merel", "song", "song")
    assert inherited.assign([other], SHARES, seed=1) == {"XC1": "test"}  # a single one cannot be divided
    new = [Recording(f"N{n}", Path(f"/nas/xeno-canto-merel/song/XC{n}.mp3"), "merel", "song", "song") for n in range(9)]
    assert set(inherited.assign(new, SHARES, seed=1).values()) == {"train", "val", "test"}


def test_new_recordings_are_divided_by_shares(inherit):
    splits = list(inherit().assign([vink(number) for number in range(20, 40)], SHARES, seed=1).values())
    assert [splits.count(split) for split in ("train", "val", "test")] == [12, 4, 4]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"splits\.csv is not the splits\.csv of a run \(FileNotFoundError.*; choose another run with base="),
        ("id,split\nXC1,train\n", r"is not the splits\.csv of a run \(KeyError"),
        ("id,split,type,recordist,file\nXC1,training,song,,a/b/c.mp3\n", "has the split training, expected train"),
    ],
    ids=["missing", "other columns", "unknown split"],
)
def test_another_file_raises(tmp_path, text, message):
    if text is not None:
        (tmp_path / "splits.csv").write_text(text)
    with pytest.raises(RunError, match=message):
        read_inherited(tmp_path / "splits.csv")


def test_one_source_is_left_out_with_its_recordists():
    recordings = [
        replace(recording(number, ("song", "call")[number // 4 % 2]), source="A" if number % 4 == 0 else "B")
        for number in range(32)
    ]
    recordings[0] = replace(recordings[0], recordist="Both")
    recordings[1] = replace(recordings[1], recordist="both ")
    splits = assign_test_source(recordings, "A", SHARES, 1)
    assert {r.id for r in recordings if splits.get(r.id) == "test"} == {r.id for r in recordings if r.source == "A"}
    assert recordings[1].id not in splits and len(splits) == len(recordings) - 1
    assert {splits[r.id] for r in recordings[2:] if r.source == "B"} == {"train", "val"}
    with pytest.raises(DataError, match=r"no recording has it .* there are: B 24, A 8"):
        assign_test_source(recordings, "C", SHARES, 1)
    with pytest.raises(DataError, match="no recordings by other recordists"):
        assign_test_source([r for r in recordings if r.source == "A"], "A", SHARES, 1)
