"""Invented birds: any number of short recordings of birds that do not exist, to practise on before the real ones.

What song, call and alarm have in common over species is known from the literature: songs are long and tonal, calls
short and sparse, alarms fast or harsh or thin and high; and of the species of the Netherlands how each of them sounds.
The demo's generator holds that knowledge. Here every recording is of another bird: two in three have the voice of a
species as it is described, at another pitch and pace, one in three a voice derived from a number.
"""

from dataclasses import dataclass, replace

import numpy as np

from birdnet_nl.recordings.recording import VOCALIZATION_TYPES
from birdnet_nl.synthetic.demo_voices import described_voices
from birdnet_nl.synthetic.people import draw_recordists
from birdnet_nl.synthetic.plan import DIFFICULTIES, RecordingPlan, plan_recording
from birdnet_nl.synthetic.scene import render_recording
from birdnet_nl.synthetic.synthesis import Individual

GENERATOR = "invented-2"
"""Raise it when the sound or the plan changes: what was made of another version is then not taken for this one's."""
LEVEL = replace(DIFFICULTIES["hard"], wrong=0.0, mixed=0.0, stray=0.05)
MEDIAN_S, SHORTEST_S, LONGEST_S = 7.0, 4.0, 9.0
DESCRIBED_SHARE = 0.65
PITCH_SPREAD, RATE_SPREAD = 0.35, 0.25  # of the logarithm, for the voices of described species
MAX_PITCH = 2.0  # times as high, or as low


@dataclass(frozen=True)
class SyntheticRecording:
    """Sound and type; `samples` are float32 [samples] within ±1."""

    samples: np.ndarray
    sample_rate_hz: int
    vocalization_type: str


def generate(index: int) -> SyntheticRecording:
    """The recording of this number, from 0 on, always the same; the types take turns."""
    plan = plan_synthetic(index)
    return SyntheticRecording(render_recording(plan), plan.recordist.sample_rate_hz, plan.claimed[0])


def type_of(index: int) -> str:
    return VOCALIZATION_TYPES[index % len(VOCALIZATION_TYPES)]


def plan_synthetic(index: int) -> RecordingPlan:
    """Who sings what, where and how, for the recording of this number."""
    if index < 0:
        raise ValueError(f"there is no invented recording {index}; they are counted from 0")
    rng = np.random.default_rng([index, 77])
    (recordist, *_), _ = draw_recordists(rng, 2)
    owner = (recordist, recordist.sites[0], int(rng.integers(100)))
    plan = plan_recording("koolmees", index % 1000, (index, 5), (type_of(index),), False, owner, LEVEL, MEDIAN_S)
    pitch, rate = np.exp(rng.normal(0, PITCH_SPREAD)), np.exp(rng.normal(0, RATE_SPREAD))
    voice, individual = f"invented_{index}", plan.individual
    described = rng.random() < DESCRIBED_SHARE
    if described:
        names = list(described_voices())
        voice = names[rng.integers(len(names))]
        individual = Individual(float(np.clip(pitch, 1 / MAX_PITCH, MAX_PITCH)), float(rate), individual.seed)
    duration_s = float(np.clip(plan.duration_s, SHORTEST_S, LONGEST_S))
    return replace(plan, slug=voice, individual=individual, duration_s=duration_s, described=described)
