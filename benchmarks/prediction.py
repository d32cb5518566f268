"""Prediction time on one thread with a checkpoint: from samples to probabilities, mel included."""

import time
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from rich.table import Table

from benchmarks import processes
from benchmarks.processes import run_part

RECORDING_S = 60.0
NETWORKS = {
    "emsn_cnn": ["trainer=fast", "model=emsn_cnn"],
    "compact_cnn": ["trainer=turbo", "model=compact_cnn"],
}


def measure(quick: bool = False, repeats: int = 15, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Train each network for one epoch on a little noise, load its checkpoint and time it in a process of its own."""
    repeats = 3 if quick else repeats
    result = {}
    with TemporaryDirectory() as folder:
        for name, run_overrides in NETWORKS.items():
            run_overrides = [*run_overrides, *overrides]
            noise = processes.in_own_process(
                "benchmarks.segments:write_noise", folder=folder, count=60, overrides=run_overrides
            )
            run_dir = f"{folder}/{name}"
            short = ["trainer.max_epochs=1", "data.num_workers=0", "data.batch_size=16"]
            processes.in_own_process(
                "benchmarks.timed_run:finish_run", overrides=[*run_overrides, *noise, *short], run_dir=run_dir
            )
            result[name] = processes.in_own_process(
                "benchmarks.prediction:time_prediction",
                checkpoint=f"{run_dir}/checkpoints/best.ckpt",
                repeats=repeats,
            )
    return result


def time_prediction(checkpoint: str, repeats: int) -> dict[str, float]:
    """Time a clip of one segment, and a recording of a minute whose mel is computed once for all segments."""
    import numpy as np
    import torch

    from birdnet_nl.audio.mel import log_mel
    from birdnet_nl.data.segments import cut_segments
    from birdnet_nl.inference.classifier import Classifier

    threads_before = torch.get_num_threads()
    torch.set_num_threads(1)
    classifier = Classifier.load(checkpoint)
    mel, segment_s = classifier.mel, classifier.metadata["segment_s"]
    frames = mel.segment_frames(segment_s)
    rng = np.random.default_rng(0)
    samples = rng.standard_normal(round(RECORDING_S * mel.sample_rate_hz)).astype(np.float32) * 0.1
    clip = samples[: round(segment_s * mel.sample_rate_hz)]
    starts = cut_segments(RECORDING_S, segment_s, classifier.metadata["segment_hop_s"])

    def predict_clip() -> None:
        classifier.probabilities(torch.from_numpy(log_mel(clip, mel))[None])

    def predict_recording() -> None:
        mel_db = torch.from_numpy(log_mel(samples, mel))
        firsts = [round(start_s * mel.frames_per_s) for start_s in starts]
        for first in range(0, len(firsts), 8):
            batch = torch.stack([mel_db[:, at : at + frames] for at in firsts[first : first + 8]])
            classifier.probabilities(batch)

    result = {
        "mel_s": _median_s(lambda: log_mel(clip, mel), repeats),
        "clip_s": _median_s(predict_clip, repeats),
        "segment_of_recording_s": _median_s(predict_recording, max(3, repeats // 3)) / len(starts),
        "recording_s": RECORDING_S,
        "segments_of_recording": len(starts),
        "checkpoint_mb": Path(checkpoint).stat().st_size / 1e6,
        "peak_memory_mb": processes.peak_memory_mb(),
    }
    torch.set_num_threads(threads_before)
    return result


def _median_s(function: Callable[[], object], repeats: int) -> float:
    function()  # warm-up
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        function()
        times.append(time.perf_counter() - started)
    return median(times)


def table(result: dict[str, Any]) -> Table:
    shown = Table(title="Prediction on one thread, from samples to probabilities")
    for column in ("", "mel of a segment, ms", "one segment, ms", "per segment of a minute, ms", "checkpoint, MB"):
        shown.add_column(column, justify="right" if column else "left")
    for name, values in result.items():
        times = (values[key] * 1000 for key in ("mel_s", "clip_s", "segment_of_recording_s"))
        shown.add_row(name, *(f"{ms:.1f}" for ms in times), f"{values['checkpoint_mb']:.1f}")
    return shown


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--repeats", type=int, default=15)


if __name__ == "__main__":
    run_part("prediction")
