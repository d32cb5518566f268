"""Recordists and sites of synthetic recordings.

Each recordist prefers some vocalization types at each site, so that a leak through recordists can be measured.
Equipment and sites are drawn independently of these preferences and reveal nothing about recordings by others.
"""

from dataclasses import dataclass

import numpy as np

COUNTRIES = ("Netherlands", "Germany", "Belgium", "France", "United Kingdom", "Sweden", "Poland", "Spain")


@dataclass(frozen=True)
class Site:
    """Noise and echo of a place; levels in dB relative to the steady noise in the same band."""

    tilt_db_per_octave: float
    bumps: tuple[tuple[float, float], ...]  # (kHz, dB)
    wind_db: float
    traffic_db: float
    rain_db: float
    reverb_s: float
    echo_db: float


@dataclass(frozen=True)
class Recordist:
    """Equipment and sites of a person; `type_weights` holds the weights of song, call and alarm at each site."""

    name: str
    country: str
    sample_rate_hz: int
    low_cut_hz: float
    low_pass_khz: float
    tilt_db_per_octave: float
    bumps: tuple[tuple[float, float], ...]
    gain_db: float
    sites: tuple[Site, ...]
    type_weights: tuple[tuple[float, ...], ...]


def _bumps(rng: np.random.Generator, count: int, std_db: float) -> tuple[tuple[float, float], ...]:
    return tuple((float(2 ** rng.uniform(-1, 3.5)), float(rng.normal(0, std_db))) for _ in range(count))


def _draw_site(rng: np.random.Generator) -> Site:
    return Site(
        tilt_db_per_octave=rng.uniform(2, 6),
        bumps=_bumps(rng, 3, 4.0),
        wind_db=rng.uniform(-12, 12),
        traffic_db=rng.uniform(-15, 9),
        rain_db=rng.uniform(0, 8) if rng.random() < 0.08 else -30.0,
        reverb_s=rng.uniform(0.3, 1.0),
        echo_db=rng.normal(0, 2),
    )


def draw_recordists(rng: np.random.Generator, count: int) -> tuple[list[Recordist], list[int]]:
    """Draw recordists and the number of recordings of each: two to eight (or fewer), `count` in total."""
    recordings: list[int] = []
    while sum(recordings) < count:
        recordings.append(int(np.clip(rng.geometric(0.3) + 1, 2, 8)))
    recordings[-1] -= sum(recordings) - count
    names = [f"Demo Recordist {letter}{number}" for number in range(1, 30) for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"]
    recordists = []
    for name in names[: len(recordings)]:
        sites = tuple(_draw_site(rng) for _ in range(rng.integers(1, 3)))
        recordists.append(
            Recordist(
                name=name,
                country=str(rng.choice(COUNTRIES, p=(0.3, *(0.1,) * 7))),
                sample_rate_hz=int(rng.choice((44_100, 48_000))),
                low_cut_hz=float(rng.uniform(80, 250)),
                low_pass_khz=float(rng.choice((15.0, 16.0, 19.0), p=(0.3, 0.4, 0.3))),
                tilt_db_per_octave=float(rng.normal(0, 1.2)),
                bumps=_bumps(rng, 3, 2.5),
                gain_db=float(rng.normal(0, 4)),
                sites=sites,
                type_weights=tuple(tuple(rng.dirichlet((0.6, 0.6, 0.6))) for _ in sites),
            )
        )
    return recordists, recordings
