"""Recall of the near-duplicate search: planted pairs, encoded again, cut, resampled or noisy, among many recordings.

The planted pairs are stretches of recordings, decoded, changed and computed as for training. The others are made from
the mels of the same recordings: shifted in pitch, stretched, reversed, with noise.
"""

import io
import time
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from benchmarks import processes
from benchmarks.processes import run_part

CHANGES = ("low bit rate", "mp3", "ogg", "start cut", "end cut", "excerpt", "quieter", "resampled", "noise", "several")
STRETCH_S = (5.0, 30.0)
EXCERPT_S = (2.1, 6.0)
SOURCES = 300  # recordings that are read at most


def measure(
    quick: bool = False, root: str | None = None, count: int = 5000, planted: int = 200, all_pairs: bool = False
) -> dict[str, Any]:
    """Search `count` recordings with `planted` pairs made from the recordings below `root` (None: the demo).

    With `all_pairs` every pair of all recordings is compared too, as up to version 0.2: four minutes for 5,000.
    """
    count, planted = (260, 20) if quick else (count, planted)
    return processes.in_own_process(
        "benchmarks.near_duplicates:search", root=root, count=count, planted=planted, all_pairs=all_pairs
    )


def search(root: str | None, count: int, planted: int, all_pairs: bool, seed: int = 0) -> dict[str, Any]:
    """Count the planted pairs that the search finds, of those it finds when it has only the pair itself."""
    from birdnet_nl.audio.decode import decode
    from birdnet_nl.audio.mel import WIDE_COARSE, log_mel
    from birdnet_nl.data import near_duplicates
    from birdnet_nl.util.errors import DataError

    rng = np.random.default_rng(seed)
    sources = []
    for path in sound_paths(root):
        try:
            sources.append(decode(path, WIDE_COARSE.sample_rate_hz))
        except DataError:
            continue
    whole = [log_mel(samples, WIDE_COARSE) for samples in sources]
    mels = {f"other{n}": change_mel(rng, whole[n % len(whole)], WIDE_COARSE.frames_per_s) for n in range(count)}
    pairs = {}
    for n in range(planted):
        samples = draw_stretch(rng, sources[rng.integers(len(sources))], WIDE_COARSE.sample_rate_hz, STRETCH_S)
        change = CHANGES[n % len(CHANGES)]
        both = {"first": samples, "second": change_samples(rng, samples, WIDE_COARSE.sample_rate_hz, change)}
        own = {f"{name}{n}": log_mel(sound, WIDE_COARSE).astype(np.float16) for name, sound in both.items()}
        mels |= own
        if near_duplicates.find_near_duplicates(own, WIDE_COARSE):
            pairs[frozenset(own)] = change
    started, processor_started = time.perf_counter(), time.process_time()
    found = {frozenset((pair.first, pair.second)) for pair in near_duplicates.find_near_duplicates(mels, WIDE_COARSE)}
    result = {
        "recordings": len(mels),
        "seconds": time.perf_counter() - started,
        "processor_s": time.process_time() - processor_started,
        "planted": Counter(CHANGES[n % len(CHANGES)] for n in range(planted)),
        "findable": Counter(pairs.values()),
        "found": Counter(pairs[pair] for pair in found & pairs.keys()),
        "others": len(found - pairs.keys()),
    }
    if all_pairs:
        near_duplicates.FEW_RECORDINGS = len(mels)
        every = {
            frozenset((pair.first, pair.second)) for pair in near_duplicates.find_near_duplicates(mels, WIDE_COARSE)
        }
        result |= {"all_pairs": len(every), "all_pairs_found": len(every & found), "only_index": len(found - every)}
    return result


def sound_paths(root: str | None) -> Sequence[Path]:
    from birdnet_nl.recordings.folder import sound_files
    from birdnet_nl.synthetic.demo import make_demo_species

    if root is None:
        folder = make_demo_species(processes.ROOT / "cache" / "demo", "koolmees", 60, "normal", 0)
        return list(sound_files(folder))[:SOURCES]
    return list(sound_files(Path(root).expanduser()))[:SOURCES]


def change_mel(rng: np.random.Generator, mel: np.ndarray, frames_per_s: float) -> np.ndarray:
    """Make another recording of a mel: a stretch, at another pitch and speed, half of them reversed, with noise."""
    frames = min(mel.shape[1], round(rng.uniform(6, 30) * frames_per_s))
    start, speed = rng.integers(0, mel.shape[1] - frames + 1), rng.uniform(0.75, 1.3)
    changed = mel[:, start : start + frames][:, (np.arange(int(frames / speed)) * speed).astype(int)]
    changed = changed[:, :: rng.choice([-1, 1])]
    changed = np.roll(changed, rng.integers(-8, 9), axis=0) + rng.normal(0, 1, (len(mel), 1))
    return (changed + 1.5 * rng.standard_normal(changed.shape, dtype=np.float32)).astype(np.float16)


def draw_stretch(
    rng: np.random.Generator, samples: np.ndarray, rate_hz: int, range_s: tuple[float, float]
) -> np.ndarray:
    length = min(len(samples), round(rng.uniform(*range_s) * rate_hz))
    start = rng.integers(0, len(samples) - length + 1)
    return samples[start : start + length]


def change_samples(rng: np.random.Generator, samples: np.ndarray, rate_hz: int, change: str) -> np.ndarray:
    """Change a sound as people, editors and web sites do: float32 [samples] -> float32 [other samples]."""
    from scipy.signal import resample_poly

    cut = round(rng.uniform(0.05, 0.4) * len(samples))
    if change == "resampled":
        return resample_poly(resample_poly(samples, 1, 2), 2, 1).astype(np.float32)
    if change == "quieter":
        return encode(0.1 * samples, rate_hz, "WAV", subtype="PCM_16")
    if change == "ogg":
        return encode(samples, rate_hz, "OGG", subtype="VORBIS", compression_level=0.95)
    if change == "noise":
        return add_noise(rng, samples, snr_db=20)
    if change == "several":
        return encode(add_noise(rng, 0.3 * samples[cut:], snr_db=25), rate_hz, "MP3", compression_level=0.8)
    if change == "excerpt":
        samples = draw_stretch(rng, samples, rate_hz, EXCERPT_S)
    samples = {"start cut": samples[cut:], "end cut": samples[:-cut]}.get(change, samples)
    return encode(samples, rate_hz, "MP3", compression_level=0.85 if change == "low bit rate" else 0.6)


def encode(samples: np.ndarray, rate_hz: int, format: str, **options: Any) -> np.ndarray:
    import soundfile

    if format == "MP3":
        options["bitrate_mode"] = "CONSTANT"
    file = io.BytesIO()
    soundfile.write(file, samples, rate_hz, format=format, **options)
    file.seek(0)
    return soundfile.read(file, dtype="float32")[0]


def add_noise(rng: np.random.Generator, samples: np.ndarray, snr_db: float) -> np.ndarray:
    level = np.sqrt(np.mean(samples**2)) * 10 ** (-snr_db / 20)
    return (samples + level * rng.standard_normal(len(samples))).astype(np.float32)


def table(result: dict[str, Any]) -> Table:
    title = f"Near-duplicates among {result['recordings']:,} recordings, {result['seconds']:.1f} s on one thread"
    shown = Table(title=title)
    for column in ("change", "planted", "found alone", "found among all"):
        shown.add_column(column, justify="right" if column != "change" else "left")
    columns = [result[name] for name in ("planted", "findable", "found")]
    for change in CHANGES:
        shown.add_row(change, *(str(column.get(change, 0)) for column in columns))
    shown.add_section()
    shown.add_row("all", *(str(sum(column.values())) for column in columns))
    shown.add_row("pairs that were not planted", "", "", str(result["others"]))
    if "all_pairs" in result:
        shown.add_row("when every pair is compared", "", str(result["all_pairs"]), str(result["all_pairs_found"]))
    return shown


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--root", help="folder of sound files at any depth (default: the demo)")
    parser.add_argument("--count", type=int, default=5000, help="other recordings")
    parser.add_argument("--planted", type=int, default=200, help="pairs")
    parser.add_argument("--all-pairs", action="store_true", help="also compare every pair, which takes minutes")


if __name__ == "__main__":
    run_part("near_duplicates")
