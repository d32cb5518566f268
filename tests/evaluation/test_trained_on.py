"""Recordings seen in training are recognised by number, content and recordist."""

import shutil
from pathlib import Path

import pytest

from birdnet_nl.data.splits import write_splits
from birdnet_nl.evaluation.trained_on import read_trained_on
from birdnet_nl.recordings.recording import Recording
from birdnet_nl.util.errors import RunError


def recording(id: str, path: Path, recordist: str = "", content: bytes | None = None) -> Recording:
    if content is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return Recording(id, path, "koolmees", "song", "song", recordist)


@pytest.fixture
def train_on(tmp_path):
    """Write `splits.csv` of recordings with the given splits, and read it."""

    def write_and_read(
        recordings: list[Recording], splits: list[str], synthetic: bool = False, split_by: str = "recording"
    ):
        path = tmp_path / "run" / "splits.csv"
        write_splits(path, recordings, dict(zip([item.id for item in recordings], splits, strict=True)))
        return read_trained_on(path, synthetic, split_by)

    return write_and_read


def test_train_and_validation_are_recognised_by_number_and_test_is_not(train_on, tmp_path):
    names = ["XC1", "koolmees/XC2", "XC3"]
    seen = train_on([recording(id, tmp_path / "gone.mp3") for id in names], ["train", "val", "test"])
    elsewhere = [recording(f"XC{number}", tmp_path / "other.mp3") for number in (1, 2, 3)]
    assert [seen.reason_seen(item) for item in elsewhere] == ["the same number", "the same number", ""]
    assert seen.reason_seen(recording("merel/XC1", tmp_path / "other.mp3")) == "the same number"


def test_a_split_by_segment_trains_on_every_recording(train_on, tmp_path):
    seen = train_on([recording("XC3", tmp_path / "gone.mp3")], ["test"], split_by="segment")
    assert seen.reason_seen(recording("XC3", tmp_path / "other.mp3"))


def test_a_copy_is_recognised_by_its_content(train_on, tmp_path):
    seen = train_on([recording("XC1", tmp_path / "a/XC1.mp3", content=b"tsjiep" * 9)], ["train"])
    copy = tmp_path / "b/merel.mp3"
    copy.parent.mkdir()
    shutil.copy(tmp_path / "a/XC1.mp3", copy)
    assert seen.reason_seen(recording("song/merel", copy)) == "the same content as XC1.mp3"
    same_size = recording("song/vink", tmp_path / "b/vink.mp3", content=b"tsjoep" * 9)
    assert seen.reason_seen(same_size) == ""
    assert seen.reason_seen(recording("song/x", tmp_path / "b/absent.mp3")) == ""


def test_numbers_that_are_not_unique_are_ignored_while_the_file_exists(train_on, tmp_path):
    """Demo recordings of another seed have the same numbers, and song/001 is a common name."""
    demo = train_on([recording("XC900000001", tmp_path / "a.mp3", content=b"one")], ["train"], synthetic=True)
    other = recording("XC900000001", tmp_path / "b.mp3", content=b"two")
    assert demo.reason_seen(other) == ""
    (tmp_path / "a.mp3").rename(tmp_path / "moved.mp3")
    gone = train_on([recording("XC900000001", tmp_path / "a.mp3")], ["train"], synthetic=True)
    assert gone.reason_seen(other) == "the same number"
    own = train_on([recording("song/001", tmp_path / "c.mp3", content=b"three")], ["train"])
    assert own.reason_seen(recording("song/001", tmp_path / "d.mp3", content=b"four!")) == ""


def test_recordists_are_recognised_in_any_spelling(train_on, tmp_path):
    gone = tmp_path / "gone.mp3"
    seen = train_on(
        [recording("XC1", gone, "Anna de Vries"), recording("XC2", gone), recording("XC3", gone, "Jan")],
        ["train", "train", "test"],
    )
    recordists = ["anna  de vries", "", "Jan"]
    assert [seen.recordist_seen(recording("XC9", gone, name)) for name in recordists] == [True, False, False]
    assert seen.type_counts == {"song": 2}


def test_a_missing_list_gives_none_and_a_broken_one_raises(tmp_path):
    assert read_trained_on(tmp_path / "splits.csv", False, "recording") is None
    (tmp_path / "splits.csv").write_text("a,b\n1,2\n")
    with pytest.raises(RunError, match=r"splits.csv is not the list of recordings of a run"):
        read_trained_on(tmp_path / "splits.csv", False, "recording")


def test_a_union_recognises_the_recordings_of_both(train_on, tmp_path):
    gone, existing = tmp_path / "gone.mp3", tmp_path / "2.mp3"
    base = train_on([recording("XC1", gone, "Ann"), recording("XC2", existing, content=b"2")], ["train", "val"])
    head = train_on([recording("XC3", gone)], ["train"])
    both = head.union(base)
    elsewhere = [recording(f"XC{number}", tmp_path / "other.mp3", "Ann") for number in (1, 2, 3, 4)]
    assert [bool(both.reason_seen(item)) for item in elsewhere] == [True, True, True, False]
    assert both.reason_seen(recording("song/x", tmp_path / "x.mp3", content=b"2")) == "the same content as 2.mp3"
    assert both.recordist_seen(elsewhere[3]) and not head.recordist_seen(elsewhere[3])
    assert both.type_counts == head.type_counts == {"song": 1}


def test_a_multilabel_recording_is_recognised_and_has_no_type_count(train_on, tmp_path):
    multilabel = Recording("XC2", tmp_path / "gone.mp3", "koolmees", None, "call, song", "Somebody")
    seen = train_on([recording("XC1", tmp_path / "gone too.mp3"), multilabel], ["train", "train"])
    assert seen.reason_seen(recording("XC2", tmp_path / "other.mp3")) == "the same number"
    assert seen.recordist_seen(recording("XC9", tmp_path / "other.mp3", "Somebody"))
    assert seen.type_counts == {"song": 1}
