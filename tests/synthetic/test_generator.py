"""Invented birds: each number its own recording, always the same, within what a recorder holds."""

import numpy as np
import pytest

from birdnet_nl.species.table import all_species
from birdnet_nl.synthetic.demo_voices import described_voices
from birdnet_nl.synthetic.generator import LONGEST_S, SHORTEST_S, generate, plan_synthetic, type_of


def test_a_number_always_gives_the_same_recording_and_another_gives_another():
    first, again, other = generate(4), generate(4), generate(7)
    np.testing.assert_array_equal(first.samples, again.samples)
    assert first.vocalization_type == other.vocalization_type == "call"
    assert len(first.samples) != len(other.samples) or not np.array_equal(first.samples, other.samples)


@pytest.mark.parametrize("index", range(6))
def test_a_recording_is_sound_of_a_plausible_length(index):
    recording = generate(index)
    assert recording.samples.dtype == np.float32 and np.isfinite(recording.samples).all()
    assert 0.001 < np.abs(recording.samples).max() <= 1
    duration_s = len(recording.samples) / recording.sample_rate_hz
    assert SHORTEST_S - 0.01 <= duration_s <= LONGEST_S + 0.01


def test_types_take_turns_and_no_recording_claims_what_it_does_not_hold():
    plans = [plan_synthetic(index) for index in range(60)]
    assert [plan.heard for plan in plans] == [(type_of(index),) for index in range(60)]
    assert [plan.claimed for plan in plans] == [plan.heard for plan in plans]


def test_two_in_three_voices_are_of_described_birds_and_the_others_are_of_no_species():
    plans = [plan_synthetic(index) for index in range(300)]
    described = [plan.slug for plan in plans if plan.described]
    others = [plan.slug for plan in plans if not plan.described]
    assert 0.55 < len(described) / 300 < 0.75
    assert set(described) <= set(described_voices()) and len(set(described)) > 60
    assert not set(others) & {one.slug for one in all_species()}
    assert len(set(others)) == len(others)


def test_there_is_nothing_before_the_first():
    with pytest.raises(ValueError, match="no invented recording -1"):
        plan_synthetic(-1)
