"""What is judged: types the network knows, not met before, each sound once; the rest is counted."""

from pathlib import Path

import pytest

from birdnet_nl.audio.cache import CachedMel, UnusableFile
from birdnet_nl.data.evaluation_set import build_evaluation_set
from birdnet_nl.recordings.recording import Recording

FOUND = [
    Recording(id, Path(f"{id}.mp3"), "koolmees", kind, text)
    for id, kind, text in [
        ("XC1", "song", "song"), ("XC2", "call", "call"), ("XC3", "alarm", "alarm call"), ("XC4", None, "song, call"),
        ("XC5", "song", "song"), ("XC6", "call", "call"), ("XC7", "song", "song"),
    ]
]  # fmt: skip


@pytest.fixture
def made():
    """Ids that mels were asked for; XC6 cannot be decoded and XC7 is the same sound as XC1."""
    return []


@pytest.fixture
def gather(made, small_mel):
    def make_mels(recordings):
        made.extend(recording.id for recording in recordings)
        content = {"XC7": "XC1"}
        mels = {r.id: CachedMel(Path(r.id), 10, content.get(r.id, r.id)) for r in recordings if r.id != "XC6"}
        return mels, [UnusableFile(r.path, "is silent") for r in recordings if r.id == "XC6"]

    def evaluation_set(keep_seen: bool):
        reason_seen = {"XC5": "the same number"}
        types = ["song", "call"]
        return build_evaluation_set(
            FOUND, types, lambda one: reason_seen.get(one.id, ""), keep_seen, make_mels, small_mel
        )

    return evaluation_set


def test_each_reason_to_leave_out_is_counted(gather, made):
    evaluation_set = gather(keep_seen=False)
    assert [one.id for one in evaluation_set.recordings] == list(evaluation_set.mels) == ["XC1", "XC2"]
    assert evaluation_set.unclear == {"song, call": 1} and evaluation_set.unknown_types == {"alarm": 1}
    assert [(one.id, why) for one, why in evaluation_set.seen] == [("XC5", "the same number")]
    assert [file.path.stem for file in evaluation_set.unusable] == ["XC6", "XC7"]
    assert made == ["XC1", "XC2", "XC6", "XC7"]


def test_what_was_met_before_is_kept_when_asked_for_and_still_counted(gather):
    evaluation_set = gather(keep_seen=True)
    assert [one.id for one in evaluation_set.recordings] == ["XC1", "XC2", "XC5"]
    assert len(evaluation_set.seen) == 1
