"""Segments on which both sides train: of the built-in demo, or of noise in any number where only speed matters."""

from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np

SPECIES = "koolmees"
MAX_PER_RECORDING = 10  # segments of noise
MIN_RECORDINGS = 10  # of a type, so that every split has some
SHARES = {"train": 0.8, "val": 0.1, "test": 0.1}
SPLITS = ("train", "val", "test")


def demo_overrides(species: str = SPECIES, difficulty: str = "normal") -> list[str]:
    return [f"species={species}", "data=demo", f"data.demo.difficulty={difficulty}"]


def write_noise(folder: str, count: int, overrides: Sequence[str], seed: int = 0) -> list[str]:
    """Write at least `count` training segments of noise as the original's spectrograms; returns overrides for them.

    They have the size of a segment with the mel of `overrides`; segments for validation and test are added.
    """
    from hydra.utils import instantiate

    from benchmarks.timed_run import compose_run

    cfg = compose_run([f"species={SPECIES}", *overrides])
    mel = instantiate(cfg.mel)
    shape = (mel.n_mels, mel.segment_frames(cfg.data.segment_s))
    root = Path(folder) / f"noise_{count}_{shape[0]}x{shape[1]}"
    types = list(cfg.data.types)
    if not root.exists():
        rng = np.random.default_rng(seed)
        per_type = count / len(types) / SHARES["train"]
        per_recording = max(1, min(MAX_PER_RECORDING, int(per_type / MIN_RECORDINGS)))
        recordings = max(MIN_RECORDINGS, ceil(per_type / per_recording))
        for vocalization_type in types:
            target = root / f"spectrograms-{SPECIES}" / vocalization_type
            target.mkdir(parents=True)
            for recording in range(recordings):
                for number in range(per_recording):
                    mel_db = rng.standard_normal(shape, dtype=np.float32) * 10 - 40
                    np.save(target / f"XC{vocalization_type}{recording}_seg{number:03}.npy", mel_db.astype(np.float16))
    shares = ",".join(f"{split}:{share}" for split, share in SHARES.items())
    return [
        f"species={SPECIES}",
        "data=spectrograms",
        f"data.root={root}",
        f"data.shares={{{shares}}}",
        "data.max_segments_per_type=null",
        f"paths.cache={root / 'cache'}",
    ]


def save_arrays(folder: str, overrides: Sequence[str]) -> dict[str, Any]:
    """Write the segments of a run with `overrides` for `reference_loop.load_split`.

    `<split>_mels.npy` is float32 [segments, 1, mels, frames] from 0 to 1; `<split>_types.npy` and
    `<split>_recordings.npy` are int64 [segments]. Returns the types, and the number of segments of each split.
    """
    from hydra.utils import instantiate

    from benchmarks.timed_run import compose_run
    from birdnet_nl.audio.mel import Normalise

    data = instantiate(compose_run(overrides).data, _convert_="all")
    data.setup()
    normalise, target = Normalise(data.mel), Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    for split in SPLITS:
        dataset = data.datasets[split]
        mels = np.empty((len(dataset), 1, *dataset.shape), dtype=np.float32)
        for start in range(0, len(dataset), 64):
            indices = list(range(start, min(start + 64, len(dataset))))
            mels[indices, 0] = normalise(dataset.__getitems__(indices)[0]).numpy()
        np.save(target / f"{split}_mels.npy", mels)
        np.save(target / f"{split}_types.npy", dataset.types.numpy())
        np.save(target / f"{split}_recordings.npy", dataset.recordings.numpy())
    return {"types": data.prepared.types, "segments": {split: len(data.datasets[split]) for split in SPLITS}}
