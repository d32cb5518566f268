"""Training rules: values of conf/, and types with enough recordings."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from birdnet_nl.data.training_rules import TrainingRules, choose_types, usable_types
from birdnet_nl.recordings.recording import Recording
from birdnet_nl.recordings.type_set import THREE

TYPES = ("song", "call", "alarm")
SHARES = {"train": 0.6, "val": 0.2, "test": 0.2}
TANGLED = {"song": "AABD", "call": "CDEE", "alarm": "ABC"}
"""Recordists by type; alarm needs A, B and C apart, song A, B and D, so C and D meet, which leaves call two splits."""


def recordings_by(recordists: dict[str, str]) -> list[Recording]:
    return [
        Recording(f"{name}{number}", Path("x.mp3"), "merel", name, name, person.strip())
        for name, people in recordists.items()
        for number, person in enumerate(people)
    ]


def test_the_rules_have_the_values_of_the_configuration(repository):
    rules, data = TrainingRules(), OmegaConf.load(repository / "conf" / "data" / "base.yaml")
    types = OmegaConf.load(repository / "conf" / "data" / "types" / "three.yaml")
    assert list(rules.types) == list(types.types) == list(types.sounds) and dict(rules.shares) == dict(data.shares)
    assert rules.type_set.as_dict() == OmegaConf.to_container(types.sounds) == THREE.as_dict()
    for name in ("min_recordings", "segment_s", "segment_hop_s", "flight_call"):
        assert getattr(rules, name) == data[name], name
    assert rules.seed == OmegaConf.load(repository / "conf" / "train.yaml").seed
    assert rules.recommended_recordings == 50  # ten test recordings at a share of 0.2
    assert TrainingRules(flight_call="leave_out").flight_call == "leave_out"


def test_types_with_too_few_recordings_or_recordists_are_left_out_with_the_counts():
    recordings = recordings_by({"song": " " * 5, "call": "A" * 6 + "BB", "alarm": "  "})
    usable, left_out = usable_types(recordings, TYPES, min_recordings=3)
    assert usable == ["song"]
    assert left_out == {
        "call": "8 recordings by 2 recordists, at least 3 recordists needed",
        "alarm": "2 recordings, at least 3 needed",
    }
    assert usable_types(recordings, ("alarm", "song"), min_recordings=2)[0] == ["song"]  # two cannot fill three splits
    assert usable_types(recordings, ("call", "song"), min_recordings=6)[1]["song"] == "5 recordings, at least 6 needed"


def test_chosen_types_have_splits_for_all_their_recordings():
    chosen = choose_types(recordings_by({"song": " " * 5, "call": " " * 3, "alarm": "  "}), TYPES, SHARES, 3, seed=1)
    assert chosen.types == ["song", "call"] and set(chosen.left_out) == {"alarm"}
    assert set(chosen.splits) == {recording.id for recording in chosen.recordings} and len(chosen.splits) == 8


@pytest.mark.parametrize(("folds", "fold", "parts"), [(None, None, "three splits"), (3, 0, "3 folds")])
def test_the_rarest_of_three_types_is_left_out_when_its_recordists_cannot_be_divided(folds, fold, parts):
    chosen = choose_types(recordings_by(TANGLED), TYPES, SHARES, 3, 1, folds, fold)
    assert chosen.types == ["song", "call"]
    assert chosen.left_out == {"alarm": f"3 recordings, by recordists who cannot be divided over {parts}"}
    assert set(chosen.splits.values()) == {"train", "val", "test"}


def test_a_single_type_has_no_splits():
    chosen = choose_types(recordings_by({"song": " " * 5}), TYPES, SHARES, 3, seed=1)
    assert (chosen.types, chosen.splits) == (["song"], {}) and set(chosen.left_out) == {"call", "alarm"}
