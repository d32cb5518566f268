"""Growth of the preparation of one species with its number of recordings: seconds and peak memory, first and again.

Short sound files are written, and synthetic mels for their contents straight into the cache, so that neither synthesis
nor decoding is measured.
"""

import json
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from rich.table import Table

from benchmarks import processes
from benchmarks.processes import run_part

SPECIES = "koolmees"
TYPES = ("song", "call", "alarm")
COUNTS = (500, 1000, 2000, 4000, 8000)
DURATION_S = (15.0, 30.0)
SOUND_BYTES = 64_000  # of a sound file, which is hashed and never decoded
SYLLABLES = 30  # of the species, which all recordings share
SYLLABLES_PER_S = 4
RECORDINGS_PER_RECORDIST = 8
MULTILABEL_EVERY = 10  # one recording in so many names two types
AGAIN_SHARE = 0.04  # of the recordings are another one again: cut, quieter and with other noise


def measure(
    quick: bool = False,
    counts: Sequence[int] = COUNTS,
    before: str | None = None,
    max_before: int = 2000,
    folder: str | None = None,
) -> dict[str, Any]:
    """Prepare each number of recordings twice, each time in a new process.

    `before` is the folder of another version to compare with, for at most `max_before` recordings; `folder` keeps the
    recordings and mels, some 350 MB for 1,000, and has them removed otherwise.
    """
    if quick:
        counts = (60, 120)
    rows = []
    with TemporaryDirectory() as temporary:
        place = Path(folder or temporary)
        for count in counts:
            root, planted = place / f"recordings_{count}", place / f"planted_{count}.json"
            cache = place / f"cache_{count}"
            if not planted.is_file():
                processes.in_own_process(
                    "benchmarks.preparation:write_recordings",
                    root=str(root), cache=str(cache), count=count, planted=str(planted),
                )  # fmt: skip
            sides = {"after": processes.ROOT} | ({"before": Path(before)} if before and count <= max_before else {})
            row: dict[str, Any] = {"count": count}
            for side, version in sides.items():
                remove_results(cache)
                row[side] = [prepare_in(version, root, cache) for _ in ("first", "again")]
                row[side][0] |= recall(row[side][0].pop("pairs"), planted)
                row[side][1].pop("pairs")
            rows.append(row)
            if folder is None:
                for path in cache.rglob("*.npy"):
                    path.unlink()
    return {"rows": rows}


def remove_results(cache: Path) -> None:
    """Remove all that a preparation stores beside the mels."""
    for path in cache.rglob("*"):
        if path.is_file() and (path.suffix != ".npy" or ".activity-" in path.name):
            path.unlink()


def recall(pairs: Sequence[Sequence[str]], planted: Path) -> dict[str, int]:
    """Count the planted pairs that were found, and the others."""
    expected = {frozenset(pair) for pair in json.loads(planted.read_text(encoding="utf-8"))}
    found = {frozenset(pair) for pair in pairs}
    return {"planted": len(expected), "found": len(found & expected), "others": len(found - expected)}


def prepare_in(version: Path, root: Path, cache: Path) -> dict[str, Any]:
    """Prepare in a new process with the code of `version`: seconds, peak memory, and the pairs that were found."""
    script = processes.ROOT / "benchmarks" / "prepare_recordings.py"
    command = [sys.executable, str(script), str(version), SPECIES, str(root), str(cache)]
    done = subprocess.run(command, cwd=version, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"preparation with {version} failed:\n{done.stderr[-4000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def write_recordings(root: str, cache: str, count: int, planted: str, seed: int = 0) -> None:
    """Write sound files of noise, their manifest, a mel for each, and the pairs of the same sound as JSON."""
    from hydra.utils import instantiate

    from benchmarks.timed_run import compose_run
    from birdnet_nl.audio import cache as cache_module

    params = instantiate(compose_run([f"species={SPECIES}", "trainer=turbo"]).mel)
    rng = np.random.default_rng([seed, count])
    folder, mel_dir = Path(root) / f"xeno-canto-{SPECIES}", cache_module.mel_dir(params, Path(cache) / "mel")
    mel_dir.mkdir(parents=True)
    mel_dir.with_name(cache_module.params_key(params)).symlink_to(mel_dir.name)  # the name in earlier versions
    syllables = [draw_syllable(rng, params.n_mels) for _ in range(SYLLABLES)]
    mels: list[Path] = []
    types, pairs = [], []
    for name in (*TYPES, "mixed"):
        (folder / name).mkdir(parents=True)
    lines = ["file,xc_id,type,recordist,quality,licence"]
    first_again = count - round(AGAIN_SHARE * count)
    for number in range(count):
        if number < first_again:
            frames = round(rng.uniform(*DURATION_S) * params.frames_per_s)
            mel = draw_mel(rng, syllables, params.n_mels, frames, params.frames_per_s)
            text = "song, call" if number % MULTILABEL_EVERY == 0 else TYPES[number % len(TYPES)]
        else:
            original = int(rng.choice([n for n in range(first_again) if n % MULTILABEL_EVERY]))
            mel, text = change_mel(rng, np.load(mels[original])), types[original]
            pairs.append([f"XC{original}", f"XC{number}"])
        path = folder / ("mixed" if "," in text else text) / f"XC{number}.wav"
        path.write_bytes(rng.bytes(SOUND_BYTES))
        mels.append(mel_dir / f"{cache_module.content_hash(path)}.npy")
        types.append(text)
        cache_module.write_mel(mel.astype(np.float16), mels[-1])
        recordist = f"Recordist {number // RECORDINGS_PER_RECORDIST}"
        lines.append(f'{path.relative_to(folder)},{number},"{text}",{recordist},A,CC BY-SA')
    (folder / "recordings.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    Path(planted).write_text(json.dumps(pairs), encoding="utf-8")


def draw_syllable(rng: np.random.Generator, n_mels: int) -> tuple[int, np.ndarray]:
    """Return the lowest band of a whistle that rises or falls, and its levels in dB [bands, frames]."""
    height, width = int(rng.integers(3, 20)), int(rng.integers(4, 16))
    middle = np.linspace(*rng.uniform(1, height - 1, 2), width)
    distance = np.arange(height)[:, None] - middle
    return int(rng.integers(n_mels // 4, n_mels - n_mels // 8 - height)), (30 * np.exp(-(distance**2) / 2))


def draw_mel(
    rng: np.random.Generator, syllables: Sequence[tuple[int, np.ndarray]], n_mels: int, frames: int, frames_per_s: float
) -> np.ndarray:
    """Draw noise with syllables, in every third recording one syllable repeated evenly: dB [mels, frames]."""
    mel = 5 * rng.standard_normal((n_mels, frames), dtype=np.float32)
    count = round(SYLLABLES_PER_S * frames / frames_per_s)
    starts, choices = rng.integers(0, frames - 16, count), rng.integers(0, len(syllables), count)
    if rng.random() < 1 / 3:
        starts = np.arange(rng.integers(0, 30), frames - 16, rng.integers(15, 40))
        choices = np.full(len(starts), choices[0])
    level, transposed = rng.uniform(0.5, 1), int(rng.integers(-4, 5))
    for start, choice in zip(starts.tolist(), choices.tolist(), strict=True):
        band, patch = syllables[choice]
        mel[band + transposed :][: len(patch), start : start + patch.shape[1]] += level * patch
    return mel


def change_mel(rng: np.random.Generator, mel: np.ndarray) -> np.ndarray:
    """Cut both ends of a mel, or most of it, and add noise."""
    frames = mel.shape[1]
    length = int(frames * (rng.uniform(0.6, 1) if rng.random() < 0.7 else rng.uniform(0.15, 0.4)))
    start = int(rng.integers(0, frames - length + 1))
    return mel[:, start : start + length] + 2 * rng.standard_normal((len(mel), length), dtype=np.float32)


def table(result: dict[str, Any]) -> Table:
    shown = Table(title="Preparation of one species with cached mels, first and again")
    for column in ("recordings", "version", "first s", "again s", "peak GB", "planted pairs found", "other pairs"):
        shown.add_column(column, justify="right" if column != "version" else "left")
    for row in result["rows"]:
        for side in ("before", "after"):
            if side in row:
                first, again = row[side]
                memory = max(first["peak_memory_mb"], again["peak_memory_mb"]) / 1024
                pairs = (f"{first['found']} of {first['planted']}", str(first["others"]))
                times = (f"{first['seconds']:.1f}", f"{again['seconds']:.1f}")
                shown.add_row(str(row["count"]), side, *times, f"{memory:.2f}", *pairs)
    return shown


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--counts", type=int, nargs="+", default=COUNTS, help="numbers of recordings")
    parser.add_argument("--before", metavar="FOLDER", help="another version of birdnet_nl to compare with")
    parser.add_argument("--max-before", type=int, default=2000, help="largest number for the other version")
    parser.add_argument("--folder", help="keep recordings and mels here, for further measurements")


if __name__ == "__main__":
    run_part("preparation")
