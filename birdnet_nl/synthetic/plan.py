"""Who recorded what, where and how: every choice behind a species' demo recordings, before any sound is made.

Length, quality, distance and background are drawn without looking at the vocalization type.
"""

import zlib
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from birdnet_nl.recordings.recording import VOCALIZATION_TYPES
from birdnet_nl.species.table import all_species
from birdnet_nl.synthetic.people import Recordist, Site, draw_recordists
from birdnet_nl.synthetic.synthesis import Individual

FIRST_XC_NUMBER = 900_000_000
MAX_PER_TYPE = 250
MEDIAN_S = 13.0  # of the recordings' length
SHORTEST_S, LONGEST_S = 5.0, 60.0
OCCUPANCY = {"song": (0.6, 0.85), "call": (0.3, 0.6), "alarm": (0.5, 0.8)}
"""Share of the 3 s windows that hold the bird; working values."""
SNR_DB = {"A": (20, 40), "B": (12, 25), "C": (5, 15), "D": (0, 8), "E": (-4, 4), "": (3, 25)}
DISTANCE_M = {"A": (3, 20), "B": (6, 35), "C": (12, 50), "D": (20, 60), "E": (25, 60), "": (4, 50)}
TYPE_TEXTS = {  # the first is by far the most frequent
    "song": ("song", "song", "song", "Song", "male, song", "adult, male, song"),
    "call": ("call", "call", "call", "call", "Call", "flight call", "female, call"),
    "alarm": ("alarm call", "alarm call", "alarm call", "Alarm call", "adult, alarm call"),
}


@dataclass(frozen=True)
class Difficulty:
    """How much stands between a listener and the answer; shares are of recordings.

    Attributes:
        qualities: shares of quality A, B, C, D, E and none.
        snr_db: added to the signal-to-noise ratio of the quality.
        wrong: the bird does another type than claimed.
        mixed: recordings of two types, on top of the pure ones.
        stray: pure recordings with a few softer sounds of another type.
        chorus: recordings with distant birds of other species; `foreign` with one clearly heard.
        spread: how much individuals differ, as a multiple of the working values.
        far: distances, as a multiple of the working values.
    """

    qualities: tuple[float, ...]
    snr_db: float
    wrong: float
    mixed: float
    stray: float
    chorus: float
    foreign: float
    spread: float
    far: float


DIFFICULTIES = {
    "easy": Difficulty((0.8, 0.2, 0, 0, 0, 0), 3.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.4, 0.5),
    "normal": Difficulty((0.50, 0.36, 0.10, 0.02, 0, 0.02), 8.0, 0.05, 0.10, 0.05, 0.20, 0.10, 0.6, 0.6),
    "hard": Difficulty((0.31, 0.41, 0.19, 0.04, 0.01, 0.04), 5.0, 0.05, 0.10, 0.10, 0.35, 0.12, 1.0, 1.0),
}


@dataclass(frozen=True)
class RecordingPlan:
    """One recording to be made. `claimed` is what the world is told, `heard` what the bird really does.

    `described`: the bird sings as its species is described (`described_voices`), not as the demo has it.
    """

    slug: str
    index: int
    seed: tuple[int, ...]
    xc_id: str
    claimed: tuple[str, ...]
    heard: tuple[str, ...]
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
    chorus: tuple[tuple[str, float], ...]  # (slug, dB against the noise)
    date: str
    described: bool = False


def plan_recordings(
    slug: str, recordings_per_type: int = 36, seed: int = 0, difficulty: str = "normal", median_s: float = MEDIAN_S
) -> list[RecordingPlan]:
    """All recordings of a species: `recordings_per_type` pure ones of each type, and the mixed ones besides."""
    if not 1 <= recordings_per_type <= MAX_PER_TYPE:
        raise ValueError(f"recordings_per_type={recordings_per_type} is not possible; choose 1 to {MAX_PER_TYPE}")
    if difficulty not in DIFFICULTIES:
        raise ValueError(f"difficulty={difficulty} does not exist; choose one of {', '.join(DIFFICULTIES)}")
    if seed < 0:
        raise ValueError(f"seed={seed} is not possible; choose 0 or more")
    if not 1 <= median_s <= LONGEST_S:
        raise ValueError(f"median_s={median_s:g} is not possible; choose 1 to {LONGEST_S:g} seconds")
    level = DIFFICULTIES[difficulty]
    base = (seed, zlib.crc32(slug.encode()))
    rng = np.random.default_rng([*base, 0])
    claims = _claims(rng, recordings_per_type, level.mixed)
    recordists, visits = draw_recordists(rng, len(claims))
    owners = _assign(rng, claims, recordists, visits)
    wrong = set(rng.permutation(3 * recordings_per_type)[: round(level.wrong * 3 * recordings_per_type)])
    order = rng.permutation(len(claims))  # so that neither file names nor the manifest's order follow the type
    plans = [
        plan_recording(slug, int(order[row]), base, claims[row], row in wrong, owners[row], level, median_s)
        for row in range(len(claims))
    ]
    return sorted(plans, key=lambda plan: plan.index)


def _claims(rng: np.random.Generator, recordings_per_type: int, mixed: float) -> list[tuple[str, ...]]:
    """What each recording claims to hold: the pure ones, type by type, then pairs, most of them with alarm."""
    pure = [(name,) for name in VOCALIZATION_TYPES for _ in range(recordings_per_type)]
    pairs = (("alarm", "call"), ("alarm", "song"), ("call", "song"))
    extra = rng.choice(3, size=round(mixed * len(pure)), p=(0.5, 0.2, 0.3))
    return pure + [pairs[pair] for pair in extra]


def _assign(
    rng: np.random.Generator, claims: list[tuple[str, ...]], recordists: list[Recordist], visits: list[int]
) -> list[tuple[Recordist, Site, int]]:
    """For each claim who made it, where, and the number of the bird: by taste, as far as the types still to do go."""
    slots = [index for index, count in enumerate(visits) for _ in range(count)]
    rng.shuffle(slots)
    waiting = {claim: [row for row, other in enumerate(claims) if other == claim] for claim in dict.fromkeys(claims)}
    owners: list[tuple[Recordist, Site, int] | None] = [None] * len(claims)
    for slot in slots:
        recordist = recordists[slot]
        place = int(rng.integers(len(recordist.sites)))
        taste = dict(zip(VOCALIZATION_TYPES, recordist.taste[place], strict=True))
        weights = np.array([len(rows) * np.mean([taste[name] for name in claim]) for claim, rows in waiting.items()])
        weights += 1e-9 * np.array([len(rows) for rows in waiting.values()])
        claim = list(waiting)[rng.choice(len(weights), p=weights / weights.sum())]
        bird = 100 * slot + 10 * place + int(rng.integers(0, 3))
        owners[waiting[claim].pop()] = (recordist, recordist.sites[place], bird)
    return owners


def plan_recording(
    slug: str,
    index: int,
    base: tuple[int, ...],
    claimed: tuple[str, ...],
    is_wrong: bool,
    owner: tuple[Recordist, Site, int],
    level: Difficulty,
    median_s: float,
) -> RecordingPlan:
    """One recording of `claimed` types; `base` seeds the species, `owner` is who made it, where, and of which bird."""
    recordist, site, bird = owner
    seed = (*base, 1, index)
    rng = np.random.default_rng(seed)
    others = [name for name in VOCALIZATION_TYPES if name not in claimed]
    heard = (str(rng.choice(others)),) if is_wrong else claimed
    strays = [name for name in VOCALIZATION_TYPES if name not in heard]
    stray = str(rng.choice(strays)) if len(heard) == 1 and rng.random() < level.stray else ""
    quality = ("A", "B", "C", "D", "E", "")[rng.choice(6, p=level.qualities)]
    near, far = DISTANCE_M[quality]
    snr_db = rng.uniform(*SNR_DB[quality]) + level.snr_db
    species = [other.slug for other in all_species()]
    chorus = [(species[rng.integers(len(species))], rng.uniform(-8, 4)) for _ in range(rng.integers(1, 4))] * (
        rng.random() < level.chorus
    )
    if rng.random() < level.foreign:
        chorus.append((species[rng.integers(len(species))], snr_db - rng.uniform(3, 15)))
    return RecordingPlan(
        slug=slug,
        index=index,
        seed=seed,
        xc_id=f"XC{FIRST_XC_NUMBER + 1000 * species.index(slug) + index}",
        claimed=claimed,
        heard=heard,
        stray=stray,
        folder=str(rng.choice(claimed)),
        type_text=", ".join(str(rng.choice(TYPE_TEXTS[name])) for name in claimed)
        if len(claimed) == 1
        else ", ".join("alarm call" if name == "alarm" else name for name in claimed),
        recordist=recordist,
        site=site,
        individual=_individual(base, bird, level.spread),
        quality=quality,
        snr_db=snr_db,
        distance_m=float(level.far * np.exp(rng.uniform(np.log(near), np.log(far)))),
        duration_s=float(np.clip(median_s * np.exp(rng.normal(0, 0.5)), min(SHORTEST_S, median_s / 2), LONGEST_S)),
        chorus=tuple(chorus),
        date=str(date(2012, 1, 1) + timedelta(days=int(rng.integers(0, 12 * 365)))),
    )


def _individual(base: tuple[int, ...], bird: int, spread: float) -> Individual:
    """Pitch differs by 6–10 % between birds and rate by 10–15 %: working values."""
    seed = (*base, 2, bird)
    rng = np.random.default_rng(seed)
    pitch, rate = np.exp(rng.normal(0, 1, 2) * (0.08 * spread, 0.12 * spread))
    return Individual(float(pitch), float(rate), seed)
