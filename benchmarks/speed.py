"""Time, memory and arithmetic of training steps: the original's loop and birdnet_nl on the same segments, in turns."""

from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import joblib
from rich.table import Table

from benchmarks import processes
from benchmarks.processes import run_part
from benchmarks.segments import demo_overrides

REFERENCE = "reference, 128"


@dataclass(frozen=True)
class Side:
    """Overrides of a run of birdnet_nl; with `reference_batch_size`, the reference loop on the segments of that run."""

    overrides: tuple[str, ...]
    reference_batch_size: int | None = None


def all_sides() -> dict[str, Side]:
    """Return all sides by name: parameter set, engine and batch size."""
    fast = ("trainer=fast", "model=emsn_cnn")
    sides = {f"reference, {size}": Side(fast, reference_batch_size=size) for size in (128, 32)}
    for engine in ("plain", "auto"):
        for size in (128, 32):
            overrides = (*fast, f"engine={engine}", f"data.batch_size={size}")
            sides[f"fast {engine}, {size}"] = Side(overrides)
    return sides | {"turbo, 48": Side(("trainer=turbo", "data.batch_size=48"))}


def measure(
    quick: bool = False,
    segments: int = 2400,
    repeats: int = 3,
    warm_up: int = 256,
    timed: int = 1024,
    demo: bool = False,
    sides: Sequence[str] | None = None,
    overrides: Sequence[str] = (),
) -> dict[str, Any]:
    """Time every side `repeats` times in turns, each time in a process of its own.

    Args:
        segments: number of segments of noise to train on.
        warm_up, timed: number of segments before and during the measurement.
        demo: train on segments of the built-in demo instead of noise.
        sides: names of the sides to time; None for all.
        overrides: added to every run of birdnet_nl, such as a coarser mel.
    """
    if quick:
        segments, repeats, warm_up, timed = 600, 1, 128, 256
    threads = joblib.cpu_count()
    chosen = {
        name: replace(side, overrides=(*side.overrides, *overrides))
        for name, side in all_sides().items()
        if sides is None or name in sides
    }
    work = {
        name: processes.in_own_process(
            "benchmarks.roofline:training_flops_of", overrides=["species=koolmees", *side.overrides]
        )
        for name, side in chosen.items()
    }
    measured: dict[str, list[dict[str, Any]]] = {name: [] for name in chosen}
    roofs = []
    with TemporaryDirectory() as folder:
        for name, side in chosen.items():
            chosen[name] = replace(side, overrides=(*side.overrides, *_data_overrides(side, folder, segments, demo)))
        arrays = f"{folder}/arrays"
        like = next((side for side in chosen.values() if side.reference_batch_size), next(iter(chosen.values())))
        saved = processes.in_own_process("benchmarks.segments:save_arrays", folder=arrays, overrides=like.overrides)
        for _ in range(repeats):
            roofs.append(processes.in_own_process("benchmarks.roofline:peak_gflops", threads=threads))
            for name, side in chosen.items():
                times = _time_side(side, arrays, len(saved["types"]), threads, warm_up + timed)
                segment_s = seconds_per_segment(times.pop("batches"), warm_up)
                measured[name].append({**times, "seconds_per_segment": segment_s})
    roof = {precision: median(peaks[precision] for peaks in roofs) for precision in roofs[0]}
    return {
        "threads": threads,
        "segments": saved["segments"],
        "segments_are": "demo" if demo else "noise",
        "repeats": repeats,
        "timed_segments": timed,
        "roof_gflops": roof,
        "sides": _compare(measured, work, roof, saved["segments"]["train"]),
    }


def _data_overrides(side: Side, folder: str, segments: int, demo: bool) -> list[str]:
    if demo:
        return demo_overrides()
    return processes.in_own_process(
        "benchmarks.segments:write_noise", folder=folder, count=segments, overrides=side.overrides
    )


def _time_side(side: Side, arrays: str, types: int, threads: int, segments: int) -> dict[str, Any]:
    if side.reference_batch_size is None:
        return processes.in_own_process("benchmarks.timed_run:time_run", overrides=side.overrides, segments=segments)
    return processes.in_own_process(
        "benchmarks.reference_loop:time_steps",
        folder=arrays, types=types, threads=threads, batch_size=side.reference_batch_size, segments=segments,
    )  # fmt: skip


def seconds_per_segment(batches: Sequence[tuple[int, int, float]], warm_up: int) -> float:
    """Compute seconds per training segment, loading included, from the end of each batch (epoch, segments, seconds).

    The batches with the first `warm_up` segments do not count, nor does the first of an epoch, which includes the start
    of the loader and the validation of the epoch before. Raises `ValueError` when no batch is left.
    """
    seen = batches[0][1] if batches else 0
    seconds, segments = 0.0, 0
    for (epoch_before, _, before), (epoch, size, ended) in pairwise(batches):
        if epoch == epoch_before and seen >= warm_up:
            seconds += ended - before
            segments += size
        seen += size
    if not segments:
        raise ValueError(f"{len(batches)} batches leave none to time after a warm-up of {warm_up} segments; time more")
    return seconds / segments


def _compare(
    measured: dict[str, list[dict[str, Any]]],
    work: dict[str, dict[str, float]],
    roof: dict[str, float],
    train_segments: int,
) -> dict[str, dict[str, Any]]:
    """Compute medians over repeats, and ratios to the reference."""
    segment_s = {name: median(row["seconds_per_segment"] for row in rows) for name, rows in measured.items()}
    compared = {}
    for name, rows in measured.items():
        gflops = work[name]["flops"] / segment_s[name] / 1e9
        precision = rows[0]["precision"]
        compared[name] = {
            "seconds_per_segment": segment_s[name],
            "seconds_of_repeats": [row["seconds_per_segment"] for row in rows],
            "seconds_per_epoch": segment_s[name] * train_segments,
            "times_as_fast": segment_s[REFERENCE] / segment_s[name] if REFERENCE in segment_s else None,
            "peak_memory_mb": median(row["peak_memory_mb"] for row in rows),
            "worker_memory_mb": median(row.get("worker_memory_mb", 0) for row in rows),
            "weights": work[name]["weights"],
            "mflops_per_segment": work[name]["flops"] / 1e6,
            "gflops": gflops,
            "precision": precision,
            "share_of_roof": gflops / roof[precision],
        }
    return compared


def table(result: dict[str, Any]) -> Table:
    roof = ", ".join(f"{precision} {peak:.0f}" for precision, peak in result["roof_gflops"].items())
    count = result["segments"]["train"]
    shown = Table(
        title=f"Training steps: {count} segments ({result['segments_are']}), {result['threads']} threads, "
        f"median of {result['repeats']}",
        caption=f"the number is the batch size; roof: a matrix product on the same threads, GFLOP/s: {roof}",
    )
    for column in ("", "ms/segment", "s/epoch", "× ref.", "GB", "GFLOP/s", "of roof"):
        shown.add_column(column, justify="right" if column else "left", no_wrap=True)
    for name, values in result["sides"].items():
        ratio = values["times_as_fast"]
        shown.add_row(
            name,
            f"{values['seconds_per_segment'] * 1000:.2f}",
            f"{values['seconds_per_epoch']:.1f}",
            "–" if ratio is None else f"{ratio:.2f}",
            f"{values['peak_memory_mb'] / 1024:.2f}",
            f"{values['gflops']:.0f}",
            f"{values['share_of_roof']:.0%} {values['precision']}",
        )
    return shown


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--segments", type=int, default=2400, help="segments of noise (default 2400)")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--demo", action="store_true", help="train on segments of the built-in demo, not on noise")
    parser.add_argument("--sides", nargs="+", choices=list(all_sides()), help="time only these")


if __name__ == "__main__":
    run_part("speed")
