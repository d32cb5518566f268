"""What was met in training is recognised by number, by content and by recordist, and nothing else is."""

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
def learn(tmp_path):
    """Writes `splits.csv` of recordings with the splits given, and reads it."""

    def learned(recordings: list[Recording], splits: list[str], synthetic: bool = False, split_by: str = "recording"):
        path = tmp_path / "run" / "splits.csv"
        write_splits(path, recordings, dict(zip([one.id for one in recordings], splits, strict=True)))
        return read_trained_on(path, synthetic, split_by)

    return learned


def test_train_and_validation_are_known_by_number_and_the_test_is_not(learn, tmp_path):
    names = ["XC1", "koolmees/XC2", "XC3"]
    met = learn([recording(id, tmp_path / "gone.mp3") for id in names], ["train", "val", "test"])
    elsewhere = [recording(f"XC{number}", tmp_path / "other.mp3") for number in (1, 2, 3)]
    assert [met.reason_seen(one) for one in elsewhere] == ["the same number", "the same number", ""]
    assert met.reason_seen(recording("merel/XC1", tmp_path / "other.mp3")) == "the same number"


def test_with_segments_split_every_recording_was_learned_from(learn, tmp_path):
    met = learn([recording("XC3", tmp_path / "gone.mp3")], ["test"], split_by="segment")
    assert met.reason_seen(recording("XC3", tmp_path / "other.mp3"))


def test_a_copy_under_another_name_is_known_by_its_content(learn, tmp_path):
    met = learn([recording("XC1", tmp_path / "a/XC1.mp3", content=b"tsjiep" * 9)], ["train"])
    copy = tmp_path / "b/merel.mp3"
    copy.parent.mkdir()
    shutil.copy(tmp_path / "a/XC1.mp3", copy)
    assert met.reason_seen(recording("song/merel", copy)) == "the same content as XC1.mp3"
    same_size = recording("song/vink", tmp_path / "b/vink.mp3", content=b"tsjoep" * 9)
    assert met.reason_seen(same_size) == ""
    assert met.reason_seen(recording("song/x", tmp_path / "b/absent.mp3")) == ""


def test_numbers_that_are_not_unique_say_nothing_while_the_file_is_there(learn, tmp_path):
    """Demo recordings of another seed carry the same numbers, and everybody has a song/001."""
    demo = learn([recording("XC900000001", tmp_path / "a.mp3", content=b"one")], ["train"], synthetic=True)
    other = recording("XC900000001", tmp_path / "b.mp3", content=b"two")
    assert demo.reason_seen(other) == ""
    (tmp_path / "a.mp3").rename(tmp_path / "moved.mp3")
    gone = learn([recording("XC900000001", tmp_path / "a.mp3")], ["train"], synthetic=True)
    assert gone.reason_seen(other) == "the same number"
    own = learn([recording("song/001", tmp_path / "c.mp3", content=b"three")], ["train"])
    assert own.reason_seen(recording("song/001", tmp_path / "d.mp3", content=b"four!")) == ""


def test_recordists_are_known_however_they_are_written(learn, tmp_path):
    gone = tmp_path / "gone.mp3"
    met = learn(
        [recording("XC1", gone, "Anna de Vries"), recording("XC2", gone), recording("XC3", gone, "Jan")],
        ["train", "train", "test"],
    )
    people = ["anna  de vries", "", "Jan"]
    assert [met.knows_recordist(recording("XC9", gone, person)) for person in people] == [True, False, False]
    assert met.of_type == {"song": 2}


def test_a_checkpoint_alone_and_a_broken_list_are_told_apart(tmp_path):
    assert read_trained_on(tmp_path / "splits.csv", False, "recording") is None
    (tmp_path / "splits.csv").write_text("a,b\n1,2\n")
    with pytest.raises(RunError, match=r"splits.csv is not the list of recordings of a run"):
        read_trained_on(tmp_path / "splits.csv", False, "recording")


def test_what_a_head_and_its_trunk_met_is_known_to_both(learn, tmp_path):
    base = learn([recording("XC1", tmp_path / "gone.mp3", "Ann"), recording("XC2", tmp_path / "2.mp3", content=b"2")],
                  ["train", "val"])  # fmt: skip
    head = learn([recording("XC3", tmp_path / "gone.mp3")], ["train"])
    both = head.joined(base)
    elsewhere = [recording(f"XC{number}", tmp_path / "other.mp3", "Ann") for number in (1, 2, 3, 4)]
    assert [bool(both.reason_seen(one)) for one in elsewhere] == [True, True, True, False]
    assert both.reason_seen(recording("song/x", tmp_path / "x.mp3", content=b"2")) == "the same content as 2.mp3"
    assert both.knows_recordist(elsewhere[3]) and not head.knows_recordist(elsewhere[3])
    assert both.of_type == head.of_type == {"song": 1}


def test_a_recording_of_several_types_is_known_and_counts_as_none_of_them(learn, tmp_path):
    multilabel = Recording("XC2", tmp_path / "gone.mp3", "koolmees", None, "call, song", "Somebody")
    met = learn([recording("XC1", tmp_path / "gone too.mp3"), multilabel], ["train", "train"])
    assert met.reason_seen(recording("XC2", tmp_path / "other.mp3")) == "the same number"
    assert met.knows_recordist(recording("XC9", tmp_path / "other.mp3", "Somebody"))
    assert met.of_type == {"song": 1}
