"""Files of the demo recordings: mp3 files, rendered on all cores, and their manifest."""

import csv
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import soundfile

from birdnet_nl.recordings.manifest import MANIFEST
from birdnet_nl.recordings.recording import VOCALIZATION_TYPES
from birdnet_nl.species.table import get_species
from birdnet_nl.synthetic.plan import RecordingPlan
from birdnet_nl.synthetic.scene import render_recording
from birdnet_nl.util.console import progress_bar

LICENCE = "synthetic, CC0"


def write_recordings(folder: Path, plans: list[RecordingPlan], progress: bool) -> None:
    """Render and write all sound files with one process per core; `progress` shows a bar on stderr."""
    for name in dict.fromkeys([*VOCALIZATION_TYPES, *(plan.folder for plan in plans)]):
        (folder / name).mkdir()
    bar = progress_bar()
    bar.disable = not progress
    with bar:
        written = _write_each(folder, plans)
        for _ in bar.track(written, total=len(plans), description=f"demo recordings of {plans[0].slug}"):
            pass


def _write_each(folder: Path, plans: list[RecordingPlan]) -> Iterator[None]:
    write = partial(_write_recording, folder)
    processes = min(_core_count(), len(plans))
    if processes == 1 or multiprocessing.parent_process() is not None:  # a worker of a sweep: no free cores
        yield from map(write, plans)
        return
    # Forked workers start immediately and do not import the caller's script again; they use NumPy only.
    method = "fork" if sys.platform == "linux" else "spawn"
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context(method), initializer=_prepare_worker)
    try:
        longest_first = sorted(plans, key=lambda plan: -plan.duration_s)
        yield from pool.map(write, longest_first)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _core_count() -> int:
    """Return the number of cores for this process; a launcher sets OMP_NUM_THREADS to the share of each job."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    share = os.environ.get("OMP_NUM_THREADS", "")
    return min(cores, int(share)) if share.isdecimal() and int(share) else cores


def _prepare_worker() -> None:
    """Ignore Ctrl-C, which the parent handles, and exit when the parent is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
    os._exit(1)


def _write_recording(folder: Path, plan: RecordingPlan) -> None:
    """Write one mp3 with a comment in the format of Xeno-canto."""
    samples = render_recording(plan)
    with soundfile.SoundFile(
        folder / plan.file_name,
        "w",
        plan.recordist.sample_rate_hz,
        channels=1,
        format="MP3",
        bitrate_mode="VARIABLE",
        compression_level=0.7,
    ) as file:
        place = f"nowhere, {plan.recordist.country}"
        file.comment = (
            f"{plan.xc_id} © {plan.recordist.name} // {place} // 0m // 08:00h, {plan.date} // {plan.type_text}"
        )
        file.write(samples)


def write_manifest(folder: Path, plans: list[RecordingPlan]) -> None:
    rows = [_manifest_row(plan) for plan in plans]
    with (folder / MANIFEST).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _manifest_row(plan: RecordingPlan) -> dict[str, object]:
    species = get_species(plan.slug)
    return {
        "file": plan.file_name,
        "xc_id": plan.xc_id.removeprefix("XC"),
        "slug": plan.slug,
        "scientific": species.scientific,
        "english": species.english,
        "type": plan.type_text,
        "duration_s": f"{plan.duration_s:.2f}",
        "sample_rate_hz": plan.recordist.sample_rate_hz,
        "quality": plan.quality,
        "recordist": plan.recordist.name,
        "licence": LICENCE,
        "date": plan.date,
        "country": plan.recordist.country,
        "remarks": "synthetic demo recording",
    }
