"""Synthesis of a voice: the themes of an individual, their performance, and the samples of one note."""

from dataclasses import dataclass, replace

import numpy as np
from scipy import fft

from birdnet_nl.synthetic.voices import Part, Range, Syllable, Voice


@dataclass(frozen=True)
class Individual:
    """One bird: `pitch` and `rate` relative to its species, and the `seed` of its themes."""

    pitch: float
    rate: float
    seed: tuple[int, ...]


@dataclass(frozen=True)
class Note:
    """A syllable with every value drawn; `pitch_khz` is the contour of its frequency, or its noise band."""

    syllable: Syllable
    start_s: float
    duration_s: float
    pitch_khz: tuple[float, float, float]  # start, middle, end
    fm_hz: float
    pulse_hz: float
    peak_khz: float
    level_db: float


Theme = tuple[Note, ...]


def draw(rng: np.random.Generator, limits: Range) -> float:
    """Draw uniformly in the logarithm between two limits; 0 if the upper limit is 0."""
    return float(np.exp(rng.uniform(np.log(limits[0]), np.log(limits[1])))) if limits[0] > 0 else float(limits[1])


def draw_pitch(rng: np.random.Generator, syllable: Syllable) -> tuple[float, float, float]:
    """Draw the frequency in kHz at start, middle and end; for noise the lower edge, centre and upper edge."""
    low, high = syllable.khz
    if syllable.kind in ("rattle", "click"):
        low, high = low * rng.uniform(0.9, 1.15), high * rng.uniform(0.85, 1.1)
        return (low, (low * high) ** 0.5, high)
    shape = syllable.shape if syllable.shape != "any" else str(rng.choice(["flat", "up", "down", "arch", "bend"]))
    near, far = sorted((draw(rng, syllable.khz), draw(rng, syllable.khz)))
    if syllable.shape in ("up", "down"):  # a shape of the species crosses most of the range
        near, far = low * rng.uniform(1.0, 1.1), high * rng.uniform(0.9, 1.0)
    middle = (near * far) ** 0.5
    if shape == "flat":
        return (middle, middle * rng.uniform(0.98, 1.02), middle * rng.uniform(0.97, 1.03))
    contours = {
        "up": (near, middle, far),
        "down": (far, middle, near),
        "arch": (near, far, near * rng.uniform(1, 1.1)),
        "bend": (far, near, far * rng.uniform(0.85, 1)),
    }
    return contours[shape]


def draw_note(rng: np.random.Generator, syllable: Syllable, start_s: float, level_db: float) -> Note:
    peak_khz, fm_hz, pulse_hz = (draw(rng, x) for x in (syllable.peak_khz, syllable.fm_hz, syllable.pulse_hz))
    pitch_khz = draw_pitch(rng, syllable)
    return Note(syllable, start_s, draw(rng, syllable.ms) / 1000, pitch_khz, fm_hz, pulse_hz, peak_khz, level_db)


def compose_part(rng: np.random.Generator, part: Part, start_s: float) -> tuple[list[Note], float]:
    """Draw the notes of one part and the start of the next part in seconds."""
    count = int(rng.integers(part.count[0], part.count[1] + 1))
    rate_hz = draw(rng, part.rate_hz)
    motif = [draw_note(rng, syllable, 0.0, part.level_db) for syllable in part.syllables]
    if part.order == "series":
        motif = [motif[rng.integers(len(motif))]]
    notes = []
    for index in range(count):
        if part.order == "mixed":
            syllable = part.syllables[rng.integers(len(part.syllables))]
            note = draw_note(rng, syllable, 0.0, part.level_db + rng.uniform(-6, 0))
        else:
            note = motif[index % len(motif)]
        progress = index / max(1, count - 1)
        pitch_khz = tuple(khz * part.glide**progress for khz in note.pitch_khz)
        notes.append(replace(note, start_s=start_s, pitch_khz=pitch_khz))
        interval_s = 1 / (rate_hz * part.accelerate**progress)
        start_s += max(interval_s * rng.uniform(0.92, 1.08), note.duration_s * 1.02)
    return notes, start_s


def compose(rng: np.random.Generator, parts: tuple[Part, ...]) -> Theme:
    """Draw one utterance: the parts one after the other."""
    notes, start_s = [], 0.0
    for part in parts:
        more, start_s = compose_part(rng, part, start_s)
        notes += more
    return tuple(notes)


def draw_themes(individual: Individual, voice: Voice, type_index: int) -> list[Theme]:
    """Draw the individual's two to eight themes of one vocalization type; always the same for its seed."""
    rng = np.random.default_rng([*individual.seed, type_index])
    variants = rng.permutation(len(voice.variants))
    count = int(rng.integers(2, 9))
    return [compose(rng, voice.variants[variants[index % len(variants)]]) for index in range(count)]


def perform(rng: np.random.Generator, theme: Theme, bird: Individual, sample_rate_hz: int) -> np.ndarray:
    """Render a theme, float32 `[samples]`, with the 2–4 % by which a bird varies."""
    tempo = bird.rate * np.exp(rng.normal(0, 0.03))
    key = bird.pitch * np.exp(rng.normal(0, 0.015))
    length_s = max(note.start_s / tempo + note.duration_s for note in theme)
    samples = np.zeros(int((length_s + 0.02) * sample_rate_hz), np.float32)
    for note in theme:
        sound = render_note(rng, note, key * np.exp(rng.normal(0, 0.012)), sample_rate_hz)
        start = int(note.start_s / tempo * sample_rate_hz)
        sound = sound[: len(samples) - start]
        samples[start : start + len(sound)] += sound * np.float32(10 ** ((note.level_db + rng.normal(0, 1)) / 20))
    return samples


def render_note(rng: np.random.Generator, note: Note, key: float, sample_rate_hz: int) -> np.ndarray:
    """Render one note, float32 `[samples]`, with roughly the same loudness for every kind of syllable."""
    kind = note.syllable.kind
    count = max(32, int(note.duration_s * np.exp(rng.normal(0, 0.03)) * sample_rate_hz))
    position = np.linspace(0, 1, count, dtype=np.float32)
    if kind in ("rattle", "click"):
        sound = band_noise(rng, count, key * note.pitch_khz[0], key * note.pitch_khz[2], sample_rate_hz)
    else:
        sound = tone(rng, note, key, position, sample_rate_hz)
    if note.pulse_hz:
        phase = (note.pulse_hz * note.duration_s * position + rng.random()) % 1
        sound *= np.exp(-4 * phase) if kind == "rattle" else 0.55 + 0.45 * np.cos(2 * np.pi * phase)
    return sound * envelope(rng, kind, position)


def envelope(rng: np.random.Generator, kind: str, position: np.ndarray) -> np.ndarray:
    """Return the amplitude over the note: clicks start sharply and decay, the others rise and fall."""
    if kind == "click":
        return np.minimum(position / 0.06, 1) * np.exp(-rng.uniform(2.5, 4.5) * position)
    attack, release = rng.uniform(0.05, 0.3), rng.uniform(0.1, 0.5)
    rise = np.minimum(position / attack, 1)
    fall = np.minimum((1 - position) / release, 1)
    return (rise * fall) ** 0.8


def tone(rng: np.random.Generator, note: Note, key: float, position: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    """Render a whistle with a faint octave, or a stack of up to 14 harmonics with its share of noise."""
    knots_hz = 1000 * key * np.asarray(note.pitch_khz)
    f0_hz = np.interp(position, (0, 0.5, 1), knots_hz)
    if note.fm_hz:
        f0_hz = f0_hz * (1 + note.syllable.fm_depth * np.sin(2 * np.pi * note.fm_hz * note.duration_s * position))
    phase = (2 * np.pi / sample_rate_hz) * np.cumsum(f0_hz) + rng.uniform(0, 2 * np.pi)
    if note.syllable.kind == "whistle":
        return (np.sin(phase) + 0.04 * np.sin(2 * phase)).astype(np.float32)
    numbers = np.arange(1, 15)
    numbers = numbers[numbers * knots_hz.max() < min(0.45 * sample_rate_hz, 12_000)]
    if note.peak_khz:
        octaves = np.log2(numbers * knots_hz.mean() / (1000 * key * note.peak_khz))
        weights = np.exp(-0.5 * (octaves / 0.7) ** 2) + 0.02
    else:
        weights = numbers**-2.0
    weights = weights / np.sqrt((weights**2).sum())
    sound = np.zeros(len(position), np.float32)
    for number, weight in zip(numbers, weights, strict=True):
        if weight > 0.02:
            sound += weight * np.sin(number * phase)
    if note.syllable.noise:
        centre_khz = key * note.peak_khz if note.peak_khz else 2 * knots_hz.mean() / 1000
        hiss = band_noise(rng, len(sound), 0.6 * centre_khz, 1.7 * centre_khz, sample_rate_hz)
        sound = (1 - note.syllable.noise) * sound + note.syllable.noise * hiss
    return sound


def band_noise(
    rng: np.random.Generator, count: int, low_khz: float, high_khz: float, sample_rate_hz: int
) -> np.ndarray:
    """Draw noise within a band with soft edges, float32 `[count]`, with an rms of 0.7."""
    size = fft.next_fast_len(count, real=True)
    khz = np.arange(size // 2 + 1, dtype=np.float32) * (sample_rate_hz / size / 1000) + 1e-3
    middle, half = np.log((low_khz * high_khz) ** 0.5), max(np.log(high_khz / low_khz) / 2, 0.05)
    gain = np.exp(-(((np.log(khz) - middle) / half) ** 4))
    bins = rng.standard_normal((2, len(khz)), dtype=np.float32)
    noise = fft.irfft((bins[0] + 1j * bins[1]) * gain, size)[:count]
    return noise / (np.sqrt((noise**2).mean()) + 1e-9) * np.float32(0.7)
