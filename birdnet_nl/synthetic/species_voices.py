"""Voices of the species: described in `voices.txt`, or derived from the slug.

The demo describes 14 species and derives the others, so that its recordings, and results on them, stay the same.
Synthetic pretraining uses all descriptions.
"""

import zlib
from functools import cache
from pathlib import Path

import numpy as np

from birdnet_nl.synthetic.voices import FURTHER_TYPES, Part, Range, Syllable, Voice, parse_voices

DESCRIBED_IN_DEMO = (
    "roodborst", "merel", "koolmees", "pimpelmees", "vink", "winterkoning", "houtduif", "turkse_tortel", "ekster",
    "roek", "grauwe_gans", "kolgans", "koperwiek", "boomkruiper",
)  # fmt: skip


@cache
def described_voices() -> dict[str, dict[str, Voice]]:
    """Return the voices in `voices.txt` by species and vocalization type."""
    return parse_voices(Path(__file__).with_name("voices.txt").read_text(encoding="utf-8"))


@cache
def demo_voices(slug: str) -> dict[str, Voice]:
    """Return the demo's voice of each vocalization type of a species; of a woodpecker also its drumming."""
    described = described_voices().get(slug, {})
    if slug in DESCRIBED_IN_DEMO:
        return described
    return derive_voices(slug) | {name: described[name] for name in FURTHER_TYPES if name in described}


def derive_voices(slug: str) -> dict[str, Voice]:
    """Draw plausible voices of song, call and alarm, with the slug as seed.

    The body size is drawn first and sets the pitch of all three types. Songs are more tonal and longer, calls short and
    sparse, alarms faster and often noisier. The bands overlap, so that the long-term spectrum does not reveal the type.
    """
    rng = np.random.default_rng([zlib.crc32(slug.encode()), 1])
    size = rng.beta(1.4, 2.0)  # 0: as small as a goldcrest, 1: as large as a goose
    pitch_khz = 5.8 * 0.11**size  # -> 5.8 kHz to 0.64 kHz
    slowness = 1 + 1.2 * size
    return {
        "song": _song(rng, pitch_khz, slowness, size),
        "call": _call(rng, pitch_khz, slowness, size),
        "alarm": _alarm(rng, pitch_khz, slowness, size),
    }


def _around(rng: np.random.Generator, pitch_khz: float, width: float) -> Range:
    """Draw a band of `width` octaves with its centre within a third of an octave of the pitch."""
    middle = pitch_khz * 2 ** rng.uniform(-0.33, 0.33)
    return (round(middle * 2 ** (-width / 2), 3), round(min(middle * 2 ** (width / 2), 9.5), 3))


def _ms(rng: np.random.Generator, low: float, high: float, slowness: float) -> Range:
    middle = slowness * np.exp(rng.uniform(np.log(low), np.log(high)))
    return (round(0.75 * middle), round(1.35 * middle))


def _tone(rng: np.random.Generator, size: float, band: Range, ms: Range, shape: str = "any") -> Syllable:
    """Draw a whistle, sometimes with vibrato, or a stack of harmonics, which is more likely for large birds."""
    if rng.random() < 0.15 + 0.7 * size:
        return Syllable("stack", band, ms, shape, peak_khz=(1.1 * band[0], 2.2 * band[1]), noise=rng.uniform(0, 0.25))
    vibrato = (30.0, 90.0) if rng.random() < 0.3 else (0.0, 0.0)
    return Syllable("whistle", band, ms, shape, fm_hz=vibrato, fm_depth=0.06 if vibrato[1] else 0.0)


def _rate(rng: np.random.Generator, ms: Range, low: float, high: float) -> Range:
    """Return syllables per second that fill between `low` and `high` of the time."""
    return (low * 1000 / ms[1], high * 1000 / ms[1])


def _song(rng: np.random.Generator, pitch_khz: float, slowness: float, size: float) -> Voice:
    parts = []
    for _ in range(rng.integers(1, 3)):
        ms = _ms(rng, 35, 140, slowness)
        rate_hz = _rate(rng, ms, 0.55, 0.95)
        notes = max(4, round(rng.uniform(1.0, 2.5) * rate_hz[0]))
        order = str(rng.choice(["series", "mixed", "cycle"]))
        syllables = tuple(_tone(rng, size, _around(rng, pitch_khz, rng.uniform(0.5, 1.1)), ms) for _ in range(2))
        parts.append(Part(syllables, (notes, round(notes * 1.6)), rate_hz, order, glide=rng.uniform(0.8, 1.15)))
    return Voice((tuple(parts),), (1.5, 4.5), fresh=bool(rng.random() < 0.15))


def _call(rng: np.random.Generator, pitch_khz: float, slowness: float, size: float) -> Voice:
    variants = []
    for _ in range(2):
        ms = _ms(rng, 35, 150, slowness)
        shape = str(rng.choice(["down", "arch", "up", "any"]))
        syllable = _tone(rng, size, _around(rng, pitch_khz, rng.uniform(0.4, 0.8)), ms, shape)
        variants.append((Part((syllable,), (1, int(rng.integers(2, 5))), _rate(rng, ms, 0.25, 0.6)),))
    return Voice(tuple(variants), (1.0, 3.8))


def _alarm(rng: np.random.Generator, pitch_khz: float, slowness: float, size: float) -> Voice:
    variants = []
    for noisy in (True, bool(rng.random() < 0.3)):
        ms = _ms(rng, 25, 90, slowness)
        band = _around(rng, pitch_khz, rng.uniform(0.8, 1.3) if noisy else rng.uniform(0.4, 0.8))
        if noisy and rng.random() < 0.5:
            syllable = Syllable("rattle", band, ms, pulse_hz=(110.0, 220.0))
        elif noisy:
            syllable = Syllable("stack", band, ms, "arch", peak_khz=(band[0], 2 * band[1]), noise=rng.uniform(0.3, 0.6))
        else:
            syllable = _tone(rng, size, band, ms, str(rng.choice(["down", "up", "flat"])))
        variants.append((Part((syllable,), (3, int(rng.integers(8, 18))), _rate(rng, ms, 0.5, 0.85)),))
    return Voice(tuple(variants), (0.8, 2.8))
