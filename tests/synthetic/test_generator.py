"""Synthetic recordings for pretraining."""

import numpy as np
import pytest

from birdnet_nl.species.table import all_species
from birdnet_nl.synthetic.generator import MAX_S, MIN_S, generate, plan_synthetic, type_of
from birdnet_nl.synthetic.species_voices import described_voices


def test_a_number_determines_the_recording():
    first, again, other = generate(4), generate(4), generate(7)
    np.testing.assert_array_equal(first.samples, again.samples)
    assert first.vocalization_type == other.vocalization_type == "call"
    assert len(first.samples) != len(other.samples) or not np.array_equal(first.samples, other.samples)


@pytest.mark.parametrize("index", range(3))
def test_recordings_have_a_plausible_level_and_duration(index):
    recording = generate(index)
    assert recording.samples.dtype == np.float32 and np.isfinite(recording.samples).all()
    assert 0.001 < np.abs(recording.samples).max() <= 1
    duration_s = len(recording.samples) / recording.sample_rate_hz
    assert MIN_S - 0.01 <= duration_s <= MAX_S + 0.01


def test_types_alternate_and_labels_are_correct():
    plans = [plan_synthetic(index) for index in range(60)]
    assert [plan.actual_types for plan in plans] == [(type_of(index),) for index in range(60)]
    assert [plan.labels for plan in plans] == [plan.actual_types for plan in plans]


def test_two_thirds_of_the_voices_are_described_and_the_others_derived():
    plans = [plan_synthetic(index) for index in range(300)]
    described = [plan.slug for plan in plans if plan.described]
    others = [plan.slug for plan in plans if not plan.described]
    assert 0.55 < len(described) / 300 < 0.75
    assert set(described) <= set(described_voices()) and len(set(described)) > 60
    assert not set(others) & {species.slug for species in all_species()}
    assert len(set(others)) == len(others)


def test_negative_numbers_raise():
    with pytest.raises(ValueError, match="synthetic recording -1 does not exist"):
        plan_synthetic(-1)
