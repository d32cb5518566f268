"""Synthetic recordings for pretraining: any number of short recordings, each of another synthetic bird.

Two thirds of the recordings use the described voice of a species at another pitch and rate. The others use a voice
derived from the number of the recording, with the properties that song, call and alarm share over species: songs are
long and tonal, calls short and sparse, alarms fast or harsh or thin and high. Plan, scene and synthesis are those of
the demo.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from birdnet_nl.recordings.recording import VOCALIZATION_TYPES
from birdnet_nl.recordings.type_set import THREE, TypeSet
from birdnet_nl.synthetic.plan import DIFFICULTIES, RecordingPlan, plan_recording
from birdnet_nl.synthetic.recordists import draw_recordists
from birdnet_nl.synthetic.scene import render_recording
from birdnet_nl.synthetic.species_voices import described_voices
from birdnet_nl.synthetic.synthesis import Individual

GENERATOR = "synthetic-2"
"""Name of caches and checkpoints made with this version; change it when the sound or the plan changes."""
LEVEL = replace(DIFFICULTIES["hard"], mislabelled=0.0, mixed=0.0, stray=0.05)
SOUNDS = {name: sounds[0] for name, sounds in THREE.sounds}  # of the type texts, by type of a synthetic recording
MEDIAN_S, MIN_S, MAX_S = 7.0, 4.0, 9.0
DESCRIBED_SHARE = 0.65
PITCH_STD, RATE_STD = 0.35, 0.25  # of the logarithm, for the described voices
MAX_PITCH = 2.0  # relative to the species; the minimum is its inverse


@dataclass(frozen=True)
class SyntheticRecording:
    """Sound and type; `samples` are float32 `[samples]` within ±1."""

    samples: np.ndarray
    sample_rate_hz: int
    vocalization_type: str


def generate(index: int) -> SyntheticRecording:
    """Return the recording of a number from 0 on, always the same; song, call and alarm alternate."""
    plan = plan_synthetic(index)
    return SyntheticRecording(render_recording(plan), plan.recordist.sample_rate_hz, plan.labels[0])


def type_of(index: int) -> str:
    return VOCALIZATION_TYPES[index % len(VOCALIZATION_TYPES)]


def synthetic_types(type_set: TypeSet, types: Sequence[str]) -> dict[str, str]:
    """Type among `types` of synthetic songs, calls and alarms, without those that have none: alarms may be calls."""
    of_name = {name: type_set.type_of.get(sound) for name, sound in SOUNDS.items()}
    return {name: type for name, type in of_name.items() if type in types}


def plan_synthetic(index: int) -> RecordingPlan:
    """Plan the recording of a number; raise `ValueError` for a negative one."""
    if index < 0:
        raise ValueError(f"synthetic recording {index} does not exist; numbers start at 0")
    rng = np.random.default_rng([index, 77])
    (recordist, *_), _ = draw_recordists(rng, 2)
    origin = (recordist, recordist.sites[0], int(rng.integers(100)))
    plan = plan_recording("koolmees", index % 1000, (index, 5), (type_of(index),), False, origin, LEVEL, MEDIAN_S)
    pitch, rate = np.exp(rng.normal(0, PITCH_STD)), np.exp(rng.normal(0, RATE_STD))
    slug, individual = f"invented_{index}", plan.individual  # the slug is the seed of a derived voice
    described = rng.random() < DESCRIBED_SHARE
    if described:
        slugs = list(described_voices())
        slug = slugs[rng.integers(len(slugs))]
        individual = Individual(float(np.clip(pitch, 1 / MAX_PITCH, MAX_PITCH)), float(rate), individual.seed)
    duration_s = float(np.clip(plan.duration_s, MIN_S, MAX_S))
    return replace(plan, slug=slug, individual=individual, duration_s=duration_s, described=described)
