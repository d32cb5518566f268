"""Inherited splits: recordings and recordists of the earlier run keep their split; the rest is divided by shares."""

from pathlib import Path

import pytest

from birdnet_nl.data.inherited_splits import InheritedSplits, read_inherited
from birdnet_nl.data.splits import write_splits
from birdnet_nl.recordings.recording import Recording
from birdnet_nl.util.errors import RunError

SHARES = {"train": 0.6, "val": 0.2, "test": 0.2}


def recording(number: int, recordist: str = "", root: str = "/nas") -> Recording:
    path = Path(root) / "xeno-canto-vink" / "song" / f"XC{number}.mp3"
    return Recording(f"XC{number}", path, "vink", "song", "song", recordist)


@pytest.fixture
def inherit(tmp_path):
    def inherit(**options) -> InheritedSplits:
        earlier = [recording(1, "Ann"), recording(2, "Bo"), recording(3), recording(4, "Cas")]
        write_splits(tmp_path / "splits.csv", earlier, {"XC1": "train", "XC2": "test", "XC3": "val", "XC4": "val"})
        return read_inherited(tmp_path / "splits.csv", **options)

    return inherit


@pytest.mark.parametrize(
    "recordings",
    [
        [recording(n, root="/home/me/data") for n in (1, 2, 3)],
        [Recording(f"vink/XC{n}", Path(f"/data/Vink/XC{n} - Vink.mp3"), "vink", "song", "song") for n in (1, 2, 3)],
        [recording(10, "ann"), recording(11, " BO "), recording(12, "Cas")],
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
    splits = list(inherit().assign([recording(number) for number in range(20, 40)], SHARES, seed=1).values())
    assert [splits.count(split) for split in ("train", "val", "test")] == [12, 4, 4]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"splits\.csv is not the splits\.csv of a run \(FileNotFoundError.*; choose another run with base="),
        ("id,split\nXC1,train\n", r"is not the splits\.csv of a run \(KeyError"),
        (
            "id,split,type,recordist,file\nXC1,training,song,,a/b/c.mp3\n",
            "has the split training, expected train",
        ),
    ],
    ids=["missing", "other columns", "unknown split"],
)
def test_another_file_raises(tmp_path, text, message):
    if text is not None:
        (tmp_path / "splits.csv").write_text(text)
    with pytest.raises(RunError, match=message):
        read_inherited(tmp_path / "splits.csv")
