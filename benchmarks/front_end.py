"""Time of the front end, from mp3 to mel, on one thread: ours, and librosa's with a mel per segment as in the original.

The recordings are synthesised; nothing is kept.
"""

import argparse
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import librosa
import numpy as np
import soundfile
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from rich.console import Console
from rich.table import Table

from birdnet_nl.audio.cache import to_float16, write_mel
from birdnet_nl.audio.decode import decode
from birdnet_nl.audio.mel import MelParams, log_mel, lower_median
from birdnet_nl.audio.resample import resample

MEL_DIR = Path(__file__).resolve().parents[1] / "conf" / "mel"
FILE_RATE_HZ = 44100
SEGMENT_S, SEGMENT_HOP_S = 3.0, 1.5
STAGES = ("decode", "resample", "mel", "median")  # their sum is `total`; `write` is not included
RANGE_DB = 80.0  # below the loudest point; further down, rounding of float32 samples is hundredths of dB


@dataclass(frozen=True)
class Sound:
    """Length and channels of a synthesised recording; stereo is mixed down to mono."""

    duration_s: float
    channels: int


SOUNDS = (Sound(20, 1), Sound(30, 2), Sound(45, 1), Sound(60, 1))


class Stopwatch:
    """Seconds per stage: each call of `lap` ends the stage that began with the call before."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._since = time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[stage] = now - self._since
        self._since = time.perf_counter()


def synthesise(sound: Sound, seed: int) -> np.ndarray:
    """Synthesise whistled phrases over noise, float32 [samples, channels].

    As mp3 it has the 65 kbit/s of a mono file of Xeno-canto.
    """
    rng = np.random.default_rng(seed)
    time_s = np.arange(round(sound.duration_s * FILE_RATE_HZ)) / FILE_RATE_HZ
    pitch_hz = 3500 + 1500 * np.sin(2 * np.pi * 3 * time_s) + 500 * np.sin(2 * np.pi * 0.3 * time_s)
    loudness = 0.4 * np.maximum(0, np.sin(2 * np.pi * 0.4 * time_s)) * (0.5 + 0.5 * np.cos(2 * np.pi * 6 * time_s))
    bird = loudness * np.sin(2 * np.pi * np.cumsum(pitch_hz) / FILE_RATE_HZ)
    noise = rng.normal(0, 0.01, (len(time_s), sound.channels))
    return (bird[:, None] + noise).astype(np.float32)


def time_ours(path: Path, params: MelParams, target: Path) -> dict[str, float]:
    """Time the stages of `cache_mel`."""
    watch = Stopwatch()
    samples = decode(path, FILE_RATE_HZ)
    watch.lap("decode")
    samples = resample(samples, FILE_RATE_HZ, params.sample_rate_hz)
    watch.lap("resample")
    mel = log_mel(samples, params)
    watch.lap("mel")
    if params.normalisation == "band_median":
        lower_median(mel)  # a second time, to separate it from the mel
        watch.lap("median")
        watch.seconds["mel"] -= watch.seconds["median"]
    write_mel(to_float16(mel), target / "mel.npy")
    watch.lap("write")
    return watch.seconds


def time_librosa(path: Path, params: MelParams, target: Path) -> dict[str, float]:
    """Time the original's front end: a mel per segment, so that each half of a segment is computed twice."""
    watch = Stopwatch()
    samples, rate_hz = librosa.load(path, sr=None)
    watch.lap("decode")
    samples = librosa.resample(samples, orig_sr=rate_hz, target_sr=params.sample_rate_hz)
    watch.lap("resample")
    length, step = (round(seconds * params.sample_rate_hz) for seconds in (SEGMENT_S, SEGMENT_HOP_S))
    mels = [
        librosa.power_to_db(_librosa_power(samples[start : start + length], params), ref=np.max)
        for start in range(0, len(samples) - length + 1, step)
    ]
    watch.lap("mel")
    for number, mel in enumerate(mels):
        np.save(target / f"seg{number:03d}.npy", mel)
    watch.lap("write")
    return watch.seconds


def _librosa_power(samples: np.ndarray, params: MelParams) -> np.ndarray:
    return librosa.feature.melspectrogram(
        y=samples,
        sr=params.sample_rate_hz,
        n_fft=params.n_fft,
        hop_length=params.hop_samples,
        n_mels=params.n_mels,
        fmin=params.f_min_hz,
        fmax=params.f_max_hz,
    )


def largest_difference_db(path: Path, params: MelParams) -> float:
    """Compute the largest difference between our mel and librosa's of the whole recording.

    Frames that reach over the edges are left out, and points more than `RANGE_DB` below librosa's loudest point.
    """
    ours = log_mel(decode(path, params.sample_rate_hz), params)
    power = _librosa_power(librosa.load(path, sr=params.sample_rate_hz)[0], params)
    theirs = librosa.power_to_db(power, ref=1.0, top_db=None)
    audible = theirs > theirs.max() - RANGE_DB
    if params.normalisation == "band_median":
        theirs = theirs - lower_median(theirs)
    edge = 1 + params.n_fft // params.hop_samples
    inside = np.s_[:, edge:-edge]
    return float(np.abs(ours[inside] - theirs[inside])[audible[inside]].max())


def measure(sounds: Sequence[Sound] = SOUNDS, rounds: int = 5) -> dict[str, dict]:
    """Measure every option of `mel`, with ours and librosa's front end in turns.

    Returns, for each option, seconds per minute of audio by stage for both (medians over `rounds`), the ratio
    `times_as_fast`, and the largest difference in dB.
    """
    with tempfile.TemporaryDirectory() as folder, _one_thread():
        paths = []
        for seed, sound in enumerate(sounds):
            paths.append(Path(folder) / f"{seed}.mp3")
            soundfile.write(paths[-1], synthesise(sound, seed), FILE_RATE_HZ)
        minutes = sum(sound.duration_s for sound in sounds) / 60
        return {name: _measure_front(paths, params, minutes, rounds) for name, params in _mel_options().items()}


def _measure_front(paths: list[Path], params: MelParams, minutes: float, rounds: int) -> dict:
    sides = {"ours": time_ours, "librosa": time_librosa}
    seconds = {side: defaultdict(list) for side in sides}  # side -> stage -> seconds of each round, all recordings
    for number in range(1 + rounds):
        for side, time_stages in sides.items():
            laps = [time_stages(path, params, path.parent) for path in paths]
            if number > 0:  # the first round is a warm-up: librosa compiles, filters are computed
                for stage in laps[0]:
                    seconds[side][stage].append(sum(lap[stage] for lap in laps))
                seconds[side]["total"].append(sum(lap.get(stage, 0.0) for lap in laps for stage in STAGES))
    result = {
        side: {stage: float(np.median(times)) / minutes for stage, times in stages.items()}
        for side, stages in seconds.items()
    }
    ratios = np.divide(seconds["librosa"]["total"], seconds["ours"]["total"])
    return {
        **result,
        "times_as_fast": float(np.median(ratios)),
        "largest_difference_db": max(largest_difference_db(path, params) for path in paths),
    }


def _mel_options() -> dict[str, MelParams]:
    """Return the parameters of `mel=<name>` by name."""
    with initialize_config_dir(str(MEL_DIR), version_base="1.3"):
        return {path.stem: instantiate(compose(path.stem)) for path in sorted(MEL_DIR.glob("*.yaml"))}


@contextmanager
def _one_thread() -> Iterator[None]:
    """Run torch on one thread, and the BLAS of NumPy and SciPy where threadpoolctl is installed."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ExitStack() as stack:
            try:
                from threadpoolctl import threadpool_limits
            except ImportError:
                pass
            else:
                stack.enter_context(threadpool_limits(1))
            yield
    finally:
        torch.set_num_threads(before)


def show(result: dict[str, dict]) -> None:
    for name, front in result.items():
        table = Table(title=f"mel={name}: milliseconds per minute of audio, one thread")
        for heading in ("", "ours", "librosa", "times as fast"):
            table.add_column(heading, justify="right" if heading else "left")
        for stage in (*STAGES, "total", "write"):
            ours, theirs = front["ours"].get(stage), front["librosa"].get(stage)
            ratio = f"{theirs / ours:.1f}" if ours and theirs else ""
            cells = ["" if seconds is None else f"{1000 * seconds:.1f}" for seconds in (ours, theirs)]
            table.add_row(stage, *cells, ratio, style="bold" if stage == "total" else None)
        Console().print(table)
        print(f"{front['times_as_fast']:.2f} times as fast; largest difference {front['largest_difference_db']:.4f} dB")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.front_end", description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the metrics to this file")
    parser.add_argument("--rounds", type=int, default=7, help="of both front ends in turns (default 7)")
    options = parser.parse_args()
    result = measure(rounds=options.rounds)
    show(result)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
