"""Plan of synthetic recordings: recordist, site, bird, labels and quality, drawn before any sound is rendered.

Duration, quality, distance and background are drawn independently of the vocalization type.
"""

import zlib
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache

import numpy as np

from birdnet_nl.recordings.recording import VOCALIZATION_TYPES
from birdnet_nl.species.table_file import NETHERLANDS, read_table
from birdnet_nl.synthetic.recordists import Recordist, Site, draw_recordists
from birdnet_nl.synthetic.species_voices import demo_voices
from birdnet_nl.synthetic.synthesis import Individual
from birdnet_nl.synthetic.voices import FURTHER_TYPES

FIRST_XC_NUMBER = 900_000_000
MAX_PER_TYPE = 250
MIN_S, MAX_S = 5.0, 60.0
OCCUPANCY = {"song": (0.6, 0.85), "call": (0.3, 0.6), "alarm": (0.5, 0.8), "drumming": (0.4, 0.7)}
"""Share of the 3 s windows with the bird; working values."""
SNR_DB = {"A": (20, 40), "B": (12, 25), "C": (5, 15), "D": (0, 8), "E": (-4, 4), "": (3, 25)}
DISTANCE_M = {"A": (3, 20), "B": (6, 35), "C": (12, 50), "D": (20, 60), "E": (25, 60), "": (4, 50)}
TYPE_TEXTS = {  # the first is by far the most frequent
    "song": ("song", "song", "song", "Song", "male, song", "adult, male, song"),
    "call": ("call", "call", "call", "call", "Call", "flight call", "female, call"),
    "alarm": ("alarm call", "alarm call", "alarm call", "Alarm call", "adult, alarm call"),
    "drumming": ("drumming", "drumming", "Drumming", "male, drumming"),
}


@dataclass(frozen=True)
class Difficulty:
    """Difficulty of a set of recordings; shares are of recordings.

    Attributes:
        qualities: shares of quality A, B, C, D, E and none.
        snr_db: added to the signal-to-noise ratio of the quality.
        mislabelled: share with another type than the label.
        mixed: share with two types, in addition to those with one.
        stray: share of the recordings with one type that contain a few softer sounds of another type.
        chorus: share with distant birds of other species; `foreign`: share with one that is nearby.
        variation: differences between individuals, relative to the working values.
        distance: distances, relative to the working values.
    """

    qualities: tuple[float, ...]
    snr_db: float
    mislabelled: float
    mixed: float
    stray: float
    chorus: float
    foreign: float
    variation: float
    distance: float


Origin = tuple[Recordist, Site, int]
"""Recordist, site and number of the bird."""

DIFFICULTIES = {
    "easy": Difficulty((0.8, 0.2, 0, 0, 0, 0), 3.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.4, 0.5),
    "normal": Difficulty((0.50, 0.36, 0.10, 0.02, 0, 0.02), 8.0, 0.05, 0.10, 0.05, 0.20, 0.10, 0.6, 0.6),
    "hard": Difficulty((0.31, 0.41, 0.19, 0.04, 0.01, 0.04), 5.0, 0.05, 0.10, 0.10, 0.35, 0.12, 1.0, 1.0),
}


@dataclass(frozen=True)
class RecordingPlan:
    """One recording to render.

    Attributes:
        labels: the types that the manifest states; they differ from `actual_types` if the recording is mislabelled.
        stray: a type with a few softer sounds, else empty.
        chorus: (slug, dB relative to the noise) of the birds of other species.
        described: whether the voice comes from `described_voices`, else from `demo_voices`.
    """

    slug: str
    index: int
    seed: tuple[int, ...]
    xc_id: str
    labels: tuple[str, ...]
    actual_types: tuple[str, ...]
    stray: str
    folder: str
    type_text: str
    recordist: Recordist
    site: Site
    individual: Individual
    quality: str
    snr_db: float
    distance_m: float
    duration_s: float
    chorus: tuple[tuple[str, float], ...]
    date: str
    described: bool = False

    @property
    def file_name(self) -> str:
        return f"{self.folder}/{self.xc_id}.mp3"


@cache
def demo_slugs() -> list[str]:
    """Return the slugs of the species that sing in the background, whatever table is in use."""
    return read_table(NETHERLANDS).slugs


def _number_of_species(slug: str) -> int:
    """Return the position of a species among the 232, or a larger number for one outside these."""
    slugs = demo_slugs()
    return slugs.index(slug) if slug in slugs else len(slugs) + zlib.crc32(slug.encode()) % 90_000


def plan_recordings(
    slug: str, recordings_per_type: int, seed: int, difficulty: str, median_s: float
) -> list[RecordingPlan]:
    """Plan the recordings of a species: `recordings_per_type` with one type for each type, and those with two.

    Raises `ValueError` for values out of range.
    """
    if not 1 <= recordings_per_type <= MAX_PER_TYPE:
        raise ValueError(f"recordings_per_type={recordings_per_type} is not possible; choose 1 to {MAX_PER_TYPE}")
    if difficulty not in DIFFICULTIES:
        raise ValueError(f"difficulty={difficulty} does not exist; choose one of {', '.join(DIFFICULTIES)}")
    if seed < 0:
        raise ValueError(f"seed={seed} is not possible; choose 0 or more")
    if not 1 <= median_s <= MAX_S:
        raise ValueError(f"median_s={median_s:g} is not possible; choose 1 to {MAX_S:g} seconds")
    level = DIFFICULTIES[difficulty]
    base = (seed, zlib.crc32(slug.encode()))
    rng = np.random.default_rng([*base, 0])
    labels = _draw_labels(rng, recordings_per_type, level.mixed)
    recordists, counts = draw_recordists(rng, len(labels))
    origins = _assign_origins(rng, labels, recordists, counts)
    mislabelled = set(rng.permutation(3 * recordings_per_type)[: round(level.mislabelled * 3 * recordings_per_type)])
    order = rng.permutation(len(labels))  # so that neither file names nor the manifest's order follow the type
    plans = [
        plan_recording(slug, int(order[row]), base, labels[row], row in mislabelled, origins[row], level, median_s)
        for row in range(len(labels))
    ]
    plans += _plan_further_types(slug, recordings_per_type, base, len(plans), level, median_s)
    return sorted(plans, key=lambda plan: plan.index)


def _plan_further_types(
    slug: str, recordings_per_type: int, base: tuple[int, ...], first: int, level: Difficulty, median_s: float
) -> list[RecordingPlan]:
    """Plan the recordings of types that few species have, after all others, which stay the same."""
    types = [name for name in demo_voices(slug) if name in FURTHER_TYPES]
    labels = [(name,) for name in types for _ in range(recordings_per_type)]
    if not labels:
        return []
    rng = np.random.default_rng([*base, 3])
    recordists, counts = draw_recordists(rng, len(labels))
    slots = [slot for slot, count in enumerate(counts) for _ in range(count)]
    rng.shuffle(slots)
    plans = []
    for row, slot in enumerate(slots):
        site = int(rng.integers(len(recordists[slot].sites)))
        origin = (recordists[slot], recordists[slot].sites[site], 10_000 + 100 * slot + 10 * site)
        plans.append(plan_recording(slug, first + row, base, labels[row], False, origin, level, median_s))
    return plans


def _draw_labels(rng: np.random.Generator, recordings_per_type: int, mixed: float) -> list[tuple[str, ...]]:
    """Draw the labels of each recording: single types in order, then pairs, most of them with alarm."""
    single = [(name,) for name in VOCALIZATION_TYPES for _ in range(recordings_per_type)]
    pairs = (("alarm", "call"), ("alarm", "song"), ("call", "song"))
    extra = rng.choice(3, size=round(mixed * len(single)), p=(0.5, 0.2, 0.3))
    return single + [pairs[pair] for pair in extra]


def _assign_origins(
    rng: np.random.Generator, labels: list[tuple[str, ...]], recordists: list[Recordist], counts: list[int]
) -> list[Origin]:
    """Assign recordist, site and bird to each recording, by the recordist's weights among the types that remain."""
    slots = [index for index, count in enumerate(counts) for _ in range(count)]
    rng.shuffle(slots)
    remaining = {types: [row for row, other in enumerate(labels) if other == types] for types in dict.fromkeys(labels)}
    origins: list[Origin | None] = [None] * len(labels)
    for slot in slots:
        recordist = recordists[slot]
        site = int(rng.integers(len(recordist.sites)))
        by_type = dict(zip(VOCALIZATION_TYPES, recordist.type_weights[site], strict=True))
        counts_left = np.array([len(rows) for rows in remaining.values()])
        weights = counts_left * [np.mean([by_type[name] for name in types]) for types in remaining]
        weights += 1e-9 * counts_left
        types = list(remaining)[rng.choice(len(weights), p=weights / weights.sum())]
        bird = 100 * slot + 10 * site + int(rng.integers(0, 3))
        origins[remaining[types].pop()] = (recordist, recordist.sites[site], bird)
    return origins


def plan_recording(
    slug: str,
    index: int,
    base: tuple[int, ...],
    labels: tuple[str, ...],
    is_mislabelled: bool,
    origin: Origin,
    level: Difficulty,
    median_s: float,
) -> RecordingPlan:
    """Plan one recording with the given labels; `base` is the seed of the species."""
    recordist, site, bird = origin
    seed = (*base, 1, index)
    rng = np.random.default_rng(seed)
    others = [name for name in VOCALIZATION_TYPES if name not in labels]
    actual_types = (str(rng.choice(others)),) if is_mislabelled else labels
    strays = [name for name in VOCALIZATION_TYPES if name not in actual_types]
    stray = str(rng.choice(strays)) if len(actual_types) == 1 and rng.random() < level.stray else ""
    quality = ("A", "B", "C", "D", "E", "")[rng.choice(6, p=level.qualities)]
    near, far = DISTANCE_M[quality]
    snr_db = rng.uniform(*SNR_DB[quality]) + level.snr_db
    species = demo_slugs()
    chorus = [(species[rng.integers(len(species))], rng.uniform(-8, 4)) for _ in range(rng.integers(1, 4))] * (
        rng.random() < level.chorus
    )
    if rng.random() < level.foreign:
        chorus.append((species[rng.integers(len(species))], snr_db - rng.uniform(3, 15)))
    return RecordingPlan(
        slug=slug,
        index=index,
        seed=seed,
        xc_id=f"XC{FIRST_XC_NUMBER + 1000 * _number_of_species(slug) + index}",
        labels=labels,
        actual_types=actual_types,
        stray=stray,
        folder=str(rng.choice(labels)),
        type_text=", ".join(str(rng.choice(TYPE_TEXTS[name])) for name in labels)
        if len(labels) == 1
        else ", ".join("alarm call" if name == "alarm" else name for name in labels),
        recordist=recordist,
        site=site,
        individual=_individual(base, bird, level.variation),
        quality=quality,
        snr_db=snr_db,
        distance_m=float(level.distance * np.exp(rng.uniform(np.log(near), np.log(far)))),
        duration_s=float(np.clip(median_s * np.exp(rng.normal(0, 0.5)), min(MIN_S, median_s / 2), MAX_S)),
        chorus=tuple(chorus),
        date=str(date(2012, 1, 1) + timedelta(days=int(rng.integers(0, 12 * 365)))),
    )


def _individual(base: tuple[int, ...], bird: int, variation: float) -> Individual:
    """Draw the individual of a bird number; the std of pitch is 8 % and of rate 12 %, working values."""
    seed = (*base, 2, bird)
    rng = np.random.default_rng(seed)
    pitch, rate = np.exp(rng.normal(0, 1, 2) * (0.08 * variation, 0.12 * variation))
    return Individual(float(pitch), float(rate), seed)
