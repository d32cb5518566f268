"""Rendering of a planned recording: a bird at a distance, with the noise and echo of its site and the recorder.

The background and the recordist set the level of a file, never the bird's peak, and the recording's quality sets the
level of the bird above the noise. So the background and its level reveal nothing about the type. Everything except the
notes is computed as one spectrum of the whole file, which is fast.
"""

import numpy as np
from scipy import fft

from birdnet_nl.synthetic.plan import OCCUPANCY, RecordingPlan
from birdnet_nl.synthetic.species_voices import demo_voices, described_voices
from birdnet_nl.synthetic.synthesis import Individual, Theme, compose, draw_themes, perform
from birdnet_nl.synthetic.voices import ALL_TYPES, Voice

BIRD_LEVEL_DB = -27.0
"""Level of the bird that a recordist aims at, in dB of full scale; with the SNR of the quality it sets the noise."""
GRID_KHZ = np.geomspace(0.02, 24.5, 600)
"""Smooth curves over frequency are computed on this grid, then interpolated to the bins of the spectrum."""
OCTAVE = np.log2(np.maximum(GRID_KHZ, 0.05))
TYPICAL_SNR_DB = {"A": 30.0, "B": 19.0, "C": 10.0, "D": 4.0, "E": 0.0, "": 14.0}


def render_recording(plan: RecordingPlan) -> np.ndarray:
    """Render the recording as float32 `[samples]` within ±1 at the recordist's sample rate; the same for each call."""
    rate_hz = plan.recordist.sample_rate_hz
    count = round(plan.duration_s * rate_hz)
    size = fft.next_fast_len(count + rate_hz, real=True)  # one more second for the echo
    khz = np.arange(size // 2 + 1, dtype=np.float32) * np.float32(rate_hz / size / 1000)
    background = _background(plan, khz, size)
    microphone = _interpolate(khz, _microphone_db(plan))
    noise = _power(background * microphone, khz, 1, 8) * 2 / size**2
    mix = background + _bird(plan, khz, size, count, background)
    gain_db = plan.recordist.gain_db + BIRD_LEVEL_DB - TYPICAL_SNR_DB[plan.quality] - 10 * np.log10(noise)
    samples = fft.irfft(mix * microphone, size)[:count] * np.float32(10 ** (gain_db / 20))
    loud = np.abs(samples) > 0.5
    if loud.any():  # the limiter of a recorder: linear up to half of full scale
        samples[loud] = np.sign(samples[loud]) * (0.5 + 0.45 * np.tanh((np.abs(samples[loud]) - 0.5) / 0.45))
    return samples


Times = list[tuple[float, float, str]]  # start and end in seconds, and type, of each utterance


def utterance_times(plan: RecordingPlan) -> Times:
    """Return start, end and type of each utterance of the bird that `render_recording` renders, in their order."""
    times: Times = []
    sing(plan, np.random.default_rng([*plan.seed, 2]), round(plan.duration_s * plan.recordist.sample_rate_hz), times)
    return sorted(times)


def sing(plan: RecordingPlan, rng: np.random.Generator, count: int, times: Times | None = None) -> np.ndarray:
    """Render the bird's utterances during the recording, float32 `[count]`: bouts with silence between them.

    The time of each is added to `times`.
    """
    track = np.zeros(count, np.float32)
    duration_s = plan.duration_s
    types = list(rng.permutation(plan.actual_types))
    occupancy = np.mean([rng.uniform(*OCCUPANCY[name]) for name in types])
    clock_s = rng.uniform(-3, 3)
    bout = 0
    while clock_s < duration_s - 0.5:
        singer = _Singer(plan, types[bout % len(types)], rng, times)
        start_s, end_s = clock_s, clock_s + min(rng.uniform(2, 8), duration_s / len(types))
        while clock_s < end_s:
            clock_s = singer.utter(track, clock_s)
        sung_s = clock_s - start_s
        silence_s = (sung_s + 3) / occupancy - sung_s  # a 3 s window overlaps the bout from 3 s before it
        clock_s += max(0.0, silence_s * rng.uniform(0.6, 1.4) - singer.voice.pause_s[0])
        bout += 1
    if not track.any():
        _Singer(plan, types[0], rng, times).utter(track, rng.uniform(0, 0.5 * duration_s))
    if plan.stray:
        singer = _Singer(plan, plan.stray, rng, times)
        clock_s = rng.uniform(0, 0.8 * duration_s)
        for _ in range(rng.integers(1, 3)):
            clock_s = singer.utter(track, clock_s, level_db=-rng.uniform(2, 10))
    return track


def _voices(plan: RecordingPlan) -> dict[str, Voice]:
    return described_voices()[plan.slug] if plan.described else demo_voices(plan.slug)


class _Singer:
    """The recording's individual in one bout, with one or two of its themes."""

    def __init__(
        self, plan: RecordingPlan, vocalization_type: str, rng: np.random.Generator, times: Times | None = None
    ) -> None:
        self.vocalization_type, self.times = str(vocalization_type), times
        self.voice = _voices(plan)[vocalization_type]
        self.bird, self.rate_hz, self.rng = plan.individual, plan.recordist.sample_rate_hz, rng
        themes = draw_themes(self.bird, self.voice, ALL_TYPES.index(vocalization_type))
        self.themes = [themes[index] for index in rng.permutation(len(themes))[: rng.integers(1, 3)]]

    def utter(self, track: np.ndarray, start_s: float, level_db: float = 0.0) -> float:
        """Add an utterance to the track and return the start of the next in seconds."""
        theme: Theme = self.themes[self.rng.integers(len(self.themes))]
        if self.voice.fresh:
            theme = compose(self.rng, self.voice.variants[self.rng.integers(len(self.voice.variants))])
        sound = perform(self.rng, theme, self.bird, self.rate_hz)
        first = int(start_s * self.rate_hz)
        _add(track, sound * np.float32(10 ** (level_db / 20)), first)
        begin, end = max(0, first), min(len(track), first + len(sound))
        if self.times is not None and end > begin:
            self.times.append((begin / self.rate_hz, end / self.rate_hz, self.vocalization_type))
        return start_s + len(sound) / self.rate_hz + self.rng.uniform(*self.voice.pause_s)


def _add(track: np.ndarray, sound: np.ndarray, start: int) -> int:
    """Add the part of a sound that is within the track, and return the length of that part in samples."""
    sound, start = sound[max(0, -start) :], max(0, start)
    sound = sound[: max(0, len(track) - start)]
    track[start : start + len(sound)] += sound
    return len(sound)


def _bird(plan: RecordingPlan, khz: np.ndarray, size: int, count: int, background: np.ndarray) -> np.ndarray:
    """Return the bird's spectrum at the microphone, at the planned level above the background."""
    rng = np.random.default_rng([*plan.seed, 2])
    dry = sing(plan, rng, count)
    wet = fft.rfft(dry, size) * _interpolate(khz, _air_db(rng, plan.distance_m)) * _echo(rng, plan, size)
    active = np.count_nonzero(np.abs(dry) > 0.01 * np.abs(dry).max()) / count
    level_db = plan.snr_db + np.mean([_voices(plan)[name].level_db for name in plan.actual_types])
    return _place(wet, background, khz, level_db + 10 * np.log10(active))


def _place(sound: np.ndarray, background: np.ndarray, khz: np.ndarray, level_db: float) -> np.ndarray:
    """Scale the sound to `level_db` above the background within its own band of at least an octave."""
    power = sound.real**2 + sound.imag**2
    step = 1 + len(power) // 4000  # -> 4000 bands are fine enough to find the band
    share = np.cumsum(np.add.reduceat(power, np.arange(0, len(power), step)), dtype=np.float64)
    low, high = khz[step * np.searchsorted(share, (0.1 * share[-1], 0.9 * share[-1]))]
    middle, half = np.sqrt(low * high), max(np.sqrt(high / low), np.sqrt(2))
    noise = _power(background, khz, middle / half, middle * half)
    return sound * np.float32(np.sqrt(noise / share[-1]) * 10 ** (level_db / 20))


def _power(spectrum: np.ndarray, khz: np.ndarray, low: float, high: float) -> float:
    first, last = np.searchsorted(khz, (low, high))
    band = spectrum[first : last + 1]
    return float((band.real**2 + band.imag**2).sum(dtype=np.float64))


def _interpolate(khz: np.ndarray, gain_db: np.ndarray) -> np.ndarray:
    """Interpolate a curve in dB on `GRID_KHZ` to float32 amplitudes at the frequencies `khz`."""
    return np.interp(khz, GRID_KHZ, 10 ** (gain_db / 20)).astype(np.float32)


def _air_db(rng: np.random.Generator, distance_m: float) -> np.ndarray:
    """Gain by frequency over the distance: 0.03 dB/m at 4 kHz and 0.1 at 8 kHz, and up to 20 dB off the bird's axis."""
    air_db = 0.03 * distance_m * (GRID_KHZ / 4) ** 1.74
    away_db = 20 * rng.random() * np.clip(OCTAVE - np.log2(5), 0, 1)
    return -(np.minimum(air_db, 60) + away_db)


def _echo(rng: np.random.Generator, plan: RecordingPlan, size: int) -> np.ndarray:
    """Spectrum of the echo: the direct sound and a decaying tail, from +10 dB direct at 3 m to −5 dB at 60 m."""
    rate_hz = plan.recordist.sample_rate_hz
    reverb_s = plan.site.reverb_s
    time_s = np.arange(int(0.8 * reverb_s * rate_hz), dtype=np.float32) / rate_hz
    tail = rng.standard_normal(len(time_s), dtype=np.float32) * np.exp(-6.9 * time_s / reverb_s)
    tail[1:] += 0.7 * tail[:-1]  # echoes have less high frequencies than the direct sound
    tail[: int(rng.uniform(0.004, 0.02) * rate_hz)] = 0
    direct_db = 10 - 15 * np.log(max(plan.distance_m, 3) / 3) / np.log(20) + plan.site.echo_db
    tail *= np.float32(10 ** (-direct_db / 20) / np.sqrt((tail**2).sum()))
    tail[0] = 1
    return fft.rfft(tail, size)


def _background(plan: RecordingPlan, khz: np.ndarray, size: int) -> np.ndarray:
    """Spectrum of the background: steady noise of the site, wind, traffic, rain and distant birds."""
    rng = np.random.default_rng([*plan.seed, 3])
    site = plan.site
    colour_db = -(site.tilt_db_per_octave + rng.normal(0, 0.4)) * OCTAVE + _bumps_db(site.bumps)
    hiss_db = rng.uniform(-30, -12) + site.rain_db * (rng.random() < 0.7)  # of the recorder, or rain
    white = rng.standard_normal(2 * len(khz), dtype=np.float32).view(np.complex64)
    steady = white * _interpolate(khz, np.logaddexp2(colour_db / 6, hiss_db / 6) * 6)
    for low, high, level_db in ((0.06, 0.5, site.wind_db), (0.1, 2.0, site.traffic_db)):
        gusts = _gusts(rng, khz, size, low, high)
        level_db += rng.normal(0, 3)
        ratio = _power(steady, khz, low, high) / _power(gusts, khz, low, high)
        steady[: len(gusts)] += gusts * np.float32(np.sqrt(ratio) * 10 ** (level_db / 20))
    mix = steady
    for number, (slug, level_db) in enumerate(plan.chorus):
        mix = mix + _distant_bird(plan, slug, number, level_db, khz, size, steady)
    return mix


def _distant_bird(
    plan: RecordingPlan, slug: str, number: int, level_db: float, khz: np.ndarray, size: int, noise: np.ndarray
) -> np.ndarray:
    """Spectrum of a few utterances, of any type, of a distant bird of another species."""
    rng = np.random.default_rng([*plan.seed, 4, number])
    rate_hz = plan.recordist.sample_rate_hz
    track = np.zeros(size - rate_hz, np.float32)
    voice = list(demo_voices(slug).values())[rng.choice(3, p=(0.6, 0.3, 0.1))]
    bird = Individual(float(np.exp(rng.normal(0, 0.1))), float(np.exp(rng.normal(0, 0.1))), (*plan.seed, 5, number))
    theme = draw_themes(bird, voice, 0)[0]
    clock_s = rng.uniform(-2, 4)
    while clock_s < plan.duration_s:
        added = _add(track, perform(rng, theme, bird, rate_hz), int(clock_s * rate_hz))
        clock_s += added / rate_hz + rng.uniform(*voice.pause_s) * rng.uniform(1, 2.5)
    if not track.any():
        return np.zeros_like(noise)
    active = np.count_nonzero(track) / len(track)
    wet = fft.rfft(track, size) * _interpolate(khz, _air_db(rng, 70.0)) * _echo(rng, plan, size)
    return _place(wet, noise, khz, level_db + 10 * np.log10(active))


def _gusts(rng: np.random.Generator, khz: np.ndarray, size: int, low_khz: float, high_khz: float) -> np.ndarray:
    """First bins of the spectrum of low noise that rises and falls, computed at a low sample rate."""
    bins = int(np.searchsorted(khz, 2.5 * high_khz))
    count = 2 * (bins - 1)
    duration_s = count / (5000 * high_khz)
    levels = np.exp(rng.normal(0, 0.8, 2 + int(duration_s / 1.5)))
    swell = np.interp(np.linspace(0, 1, count), np.linspace(0, 1, len(levels)), levels)
    noise = rng.standard_normal(count, dtype=np.float32) * swell.astype(np.float32)
    edges_db = -10 * np.log10((1 + (low_khz / GRID_KHZ) ** 8) * (1 + (GRID_KHZ / high_khz) ** 8))
    return fft.rfft(noise) * _interpolate(khz[:bins], edges_db - 6 * OCTAVE)


def _bumps_db(bumps: tuple[tuple[float, float], ...]) -> np.ndarray:
    return sum(db * np.exp(-((OCTAVE - np.log2(centre)) ** 2) / 0.6) for centre, db in bumps)


def _microphone_db(plan: RecordingPlan) -> np.ndarray:
    """Gain by frequency of the recordist's equipment: tilt, bumps, low cut, and the low-pass of an mp3 encoder."""
    recordist = plan.recordist
    low_cut = (1 + (recordist.low_cut_hz / 1000 / GRID_KHZ) ** 4) * (1 + (GRID_KHZ / recordist.low_pass_khz) ** 40)
    return recordist.tilt_db_per_octave * (OCTAVE - 1) + _bumps_db(recordist.bumps) - 10 * np.log10(low_cut)
