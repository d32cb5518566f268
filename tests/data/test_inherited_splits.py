"""What an earlier run learned from keeps its side, and so do its recordists; the rest is divided as ever."""

from pathlib import Path

import pytest

from birdnet_nl.data.inherited_splits import InheritedSplits, read_inherited
from birdnet_nl.data.splits import write_splits
from birdnet_nl.recordings.recording import Recording
from birdnet_nl.util.errors import RunError

SHARES = {"train": 0.6, "val": 0.2, "test": 0.2}


def recording(number: int, recordist: str = "", root: str = "/nas", kind: str = "song") -> Recording:
    path = Path(root) / "xeno-canto-vink" / kind / f"XC{number}.mp3"
    return Recording(f"XC{number}", path, "vink", kind, kind, recordist)


@pytest.fixture
def inherit(tmp_path):
    def inherited(**options) -> InheritedSplits:
        earlier = [recording(1, "Ann"), recording(2, "Bo"), recording(3), recording(4, "Cas")]
        write_splits(tmp_path / "splits.csv", earlier, {"XC1": "train", "XC2": "test", "XC3": "val", "XC4": "val"})
        return read_inherited(tmp_path / "splits.csv", **options)

    return inherited


@pytest.fixture
def inherited(inherit) -> InheritedSplits:
    return inherit()


def test_recordings_keep_their_split_wherever_the_folder_lies_now(inherited):
    now = [recording(number, root="/home/me/data") for number in (1, 2, 3)]
    assert inherited.assign(now, SHARES, seed=5) == {"XC1": "train", "XC2": "test", "XC3": "val"}


def test_recordings_keep_their_split_in_a_folder_of_another_name(inherited):
    folder = Path("/data/Vink/song")
    now = [Recording(f"vink/XC{n}", folder / f"XC{n} - Vink.mp3", "vink", "song", "song") for n in (1, 2, 3)]
    assert list(inherited.assign(now, SHARES, seed=5).values()) == ["train", "test", "val"]


def test_another_species_recording_of_the_same_name_is_not_taken_for_it(inherit):
    """Demo recordings share their numbers, and everybody has a song/001."""
    inherited = inherit(numbers_are_unique=False)
    other = Recording("XC1", Path("/nas/xeno-canto-merel/song/XC1.mp3"), "merel", "song", "song")
    assert inherited.assign([other], SHARES, seed=1) == {"XC1": "test"}  # alone it cannot be divided, so it is tested
    new = [Recording(f"N{n}", Path(f"/nas/xeno-canto-merel/song/XC{n}.mp3"), "merel", "song", "song") for n in range(9)]
    assert set(inherited.assign(new, SHARES, seed=1).values()) == {"train", "val", "test"}


def test_new_recordings_follow_their_recordist(inherited):
    new = [recording(10, "ann"), recording(11, " BO "), recording(12, "Cas")]
    assert inherited.assign(new, SHARES, seed=1) == {"XC10": "train", "XC11": "test", "XC12": "val"}


def test_what_nobody_knew_is_divided_by_shares(inherited):
    new = [recording(number) for number in range(20, 40)]
    splits = list(inherited.assign(new, SHARES, seed=1).values())
    assert [splits.count(split) for split in ("train", "val", "test")] == [12, 4, 4]


def test_another_file_is_refused(tmp_path):
    (tmp_path / "splits.csv").write_text("id,split\nXC1,train\n")
    with pytest.raises(RunError, match="is not the list of recordings of a run"):
        read_inherited(tmp_path / "splits.csv")
    with pytest.raises(RunError, match="is not the list of recordings of a run"):
        read_inherited(tmp_path / "gone.csv")


def test_a_split_that_does_not_exist_is_refused(tmp_path):
    (tmp_path / "splits.csv").write_text("id,split,type,recordist,file\nXC1,training,song,,a/b/c.mp3\n")
    with pytest.raises(RunError, match="has the split training, which is none of train, val, test"):
        read_inherited(tmp_path / "splits.csv")
