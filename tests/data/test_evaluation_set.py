"""Evaluation set: types of the network, not seen in training, without duplicates; the rest is counted."""

from pathlib import Path

import pytest

from birdnet_nl.audio.cache import CachedMel, UnusableFile
from birdnet_nl.data.evaluation_set import build_evaluation_set
from birdnet_nl.recordings.recording import Recording

FOUND = [
    Recording(id, Path(f"{id}.mp3"), "koolmees", vocalization_type, text)
    for id, vocalization_type, text in [
        ("XC1", "song", "song"), ("XC2", "call", "call"), ("XC3", "alarm", "alarm call"), ("XC4", None, "song, call"),
        ("XC5", "song", "song"), ("XC6", "call", "call"), ("XC7", "song", "song"),
    ]
]  # fmt: skip


@pytest.fixture
def build(small_mel):
    """Builds the set: XC5 was seen in training, XC6 cannot be decoded and XC7 has the sound of XC1."""

    def make_mels(recordings):
        content = {"XC7": "XC1"}
        mels = {r.id: CachedMel(Path(r.id), 10, content.get(r.id, r.id)) for r in recordings if r.id != "XC6"}
        build.made = [r.id for r in recordings]
        return mels, [UnusableFile(r.path, "is silent") for r in recordings if r.id == "XC6"]

    def build(keep_seen: bool):
        reasons = {"XC5": "the same number"}
        return build_evaluation_set(
            FOUND, ["song", "call"], lambda recording: reasons.get(recording.id, ""), keep_seen, make_mels, small_mel
        )

    return build


def test_every_recording_left_out_is_counted(build):
    evaluation_set = build(keep_seen=False)
    assert [recording.id for recording in evaluation_set.recordings] == list(evaluation_set.mels) == ["XC1", "XC2"]
    assert evaluation_set.unclear == {"song, call": 1} and evaluation_set.unknown_types == {"alarm": 1}
    assert [(recording.id, reason) for recording, reason in evaluation_set.seen] == [("XC5", "the same number")]
    assert [file.path.stem for file in evaluation_set.unusable] == ["XC6", "XC7"]
    assert build.made == ["XC1", "XC2", "XC6", "XC7"]


def test_recordings_seen_in_training_are_kept_on_request_and_still_counted(build):
    evaluation_set = build(keep_seen=True)
    assert [recording.id for recording in evaluation_set.recordings] == ["XC1", "XC2", "XC5"]
    assert len(evaluation_set.seen) == 1
