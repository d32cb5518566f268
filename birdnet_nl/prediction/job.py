"""Prediction of many files: continued where it was stopped, in several processes, with failures collected."""

import errno
import logging
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import TypeVar

import numpy as np

from birdnet_nl.inference.model import OnProgress
from birdnet_nl.prediction.inputs import InputFile
from birdnet_nl.prediction.models import LoadModel, ModelEntry, facts_of, opened
from birdnet_nl.prediction.stored import Store, StoredPrediction, prediction_key
from birdnet_nl.util.errors import BirdnetNlError, DataError, RunError, SelectionError

log = logging.getLogger("birdnet_nl")
TASKS_PER_WORKER = 4  # handed out at a time, so that memory does not grow with the number of files
FULL = (errno.ENOSPC, errno.EDQUOT)
Item = TypeVar("Item")


@dataclass(frozen=True)
class Task:
    """Prediction of one file as one species (a slug, empty where it is not known)."""

    file: InputFile
    species: str
    entry: ModelEntry
    overlap_s: float | None = None

    @property
    def key(self) -> str:
        return prediction_key(self.file, self.species, self.entry.fingerprint, self.overlap_s)


@dataclass(frozen=True)
class Failure:
    """File without a prediction, and why in a few words."""

    file: str
    species: str
    reason: str


def predict_task(task: Task, load: LoadModel, on_progress: OnProgress | None = None) -> StoredPrediction:
    """Predict one file.

    Raises:
        DataError: if it cannot be predicted, with the reason.
        RunError: if its model cannot be used.
        SelectionError: if the overlap does not fit the model's segments.
    """
    model = opened(task.entry, load)
    hop_s = None if task.overlap_s is None else segment_hop(model.segment_s, task.overlap_s)
    prediction = model.predict_file(task.file.path, species=task.species, segment_hop_s=hop_s, on_progress=on_progress)
    if not (np.isfinite(prediction.probabilities).all() and np.isfinite(prediction.recording).all()):
        raise DataError("the model predicts numbers that are not finite")
    return StoredPrediction(task.species, facts_of(model), prediction)


def segment_hop(segment_s: float, overlap_s: float) -> float:
    if not 0 <= overlap_s < segment_s:
        raise SelectionError(
            f"--overlap {overlap_s:g} must be at least 0 and below the segment length of {segment_s:g} s"
        )
    return segment_s - overlap_s


def run_tasks(
    tasks: Sequence[Task],
    store: Store,
    load: LoadModel,
    workers: int = 1,
    on_done: Callable[[Task], None] = lambda task: None,
    on_progress: Callable[[Task, float], None] | None = None,
) -> Iterator[Failure]:
    """Predict the tasks that the store does not hold yet, and yield those that failed.

    `on_done` is called for each task, `on_progress` with the seconds of a file that are finished (one worker only).

    Raises:
        RunError: if results cannot be written, because nothing could be kept.
    """
    pending = (task for task in tasks if not _is_stored(task, store, on_done))
    if workers > 1:
        yield from _run_parallel(pending, store, load, workers, on_done)
        return
    for task in pending:
        progress = (lambda seconds, task=task: on_progress(task, seconds)) if on_progress else None
        reason = _predict_and_store(task, store, load, progress)
        on_done(task)
        if reason:
            yield Failure(str(task.file.path), task.species, reason)


def _is_stored(task: Task, store: Store, on_done: Callable[[Task], None]) -> bool:
    if store.read(task.key) is None:
        return False
    on_done(task)
    return True


def _predict_and_store(task: Task, store: Store, load: LoadModel, on_progress: OnProgress | None = None) -> str:
    """Return why a task failed, empty if it did not; raises `RunError` if results cannot be written."""
    if store.read(task.key) is not None:  # another process was faster
        return ""
    try:
        stored = predict_task(task, load, on_progress)
    except BirdnetNlError as error:
        return str(error)
    except MemoryError:
        return "needs more memory than there is"
    except OSError as error:
        if error.errno in FULL:
            raise _cannot_write(store, error) from error
        return f"cannot be read ({error.strerror or error})"
    except Exception as error:  # a fault of ours in one file must not lose the other 99,999
        log.exception("%s", task.file.path)
        return f"unexpected error ({type(error).__name__}: {error})"
    try:
        store.write(task.key, stored)
    except OSError as error:
        raise _cannot_write(store, error) from error
    return ""


def _cannot_write(store: Store, error: OSError) -> RunError:
    out = store.folder.parents[1]
    if error.errno in FULL:
        return RunError(f"the disk of {out} is full; finished files are kept: free some space and repeat the command")
    return RunError(
        f"{out} cannot be written ({error.strerror}); finished files are kept: repeat the command, or give another -o"
    )


def _run_parallel(
    tasks: Iterable[Task], store: Store, load: LoadModel, workers: int, on_done: Callable[[Task], None]
) -> Iterator[Failure]:
    """As `run_tasks`. A task during which a process is killed is tried once more, alone, and then counts as failed."""
    tasks, suspects = iter(tasks), deque[Task]()
    while True:
        running: dict[Future, Task] = {}
        with _pool(workers) as pool:
            try:
                for task in tasks:
                    suspects.append(task)  # until it is handed out
                    running[pool.submit(_predict_and_store, task, store, load)] = suspects.pop()
                    if len(running) >= workers * TASKS_PER_WORKER:
                        yield from _collect(running, on_done)
                while running:
                    yield from _collect(running, on_done)
            except BrokenProcessPool:
                suspects.extend(task for task in running.values())
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                for process in list((pool._processes or {}).values()):
                    process.terminate()
                raise
        if not suspects:
            return
        while suspects:
            task = suspects.popleft()
            yield from _run_alone(task, store, load)
            on_done(task)


def _run_alone(task: Task, store: Store, load: LoadModel) -> Iterator[Failure]:
    with _pool(1) as pool:
        try:
            reason = pool.submit(_predict_and_store, task, store, load).result()
        except BrokenProcessPool:
            reason = "the process that predicted it was killed (too little memory?)"
    if reason:
        yield Failure(str(task.file.path), task.species, reason)


def _pool(workers: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_start_worker)


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is answered by the main process
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process when the main process is killed, which would leave it waiting for ever."""
    parent_process().join()
    os._exit(1)


def _collect(running: dict[Future, Task], on_done: Callable[[Task], None]) -> Iterator[Failure]:
    """Wait for a task, and yield the failures among those that are finished."""
    done, _ = wait(running, return_when=FIRST_COMPLETED)
    broken = [future for future in done if isinstance(future.exception(), BrokenProcessPool)]
    for future in done - set(broken):
        task = running.pop(future)
        reason = future.result()
        on_done(task)
        if reason:
            yield Failure(str(task.file.path), task.species, reason)
    if broken:
        raise broken[0].exception()


def shard_of(items: Sequence[Item], shard: tuple[int, int] | None) -> Sequence[Item]:
    """Return part `shard[0]` (from 1) of `shard[1]` parts in their order: joined, they are all items."""
    if shard is None:
        return items
    number, count = shard
    return items[len(items) * (number - 1) // count : len(items) * number // count]


def parse_shard(text: str) -> tuple[int, int]:
    """Parse `3/16`; raises `ValueError` unless the first number is from 1 to the second."""
    number, slash, count = text.partition("/")
    if not (slash and number.strip().isdigit() and count.strip().isdigit() and 1 <= int(number) <= int(count)):
        raise ValueError(f"--shard {text} is not a part such as 3/16: give numbers from 1/16 to 16/16")
    return int(number), int(count)


def default_workers(tasks: int) -> int:
    """Return one process for few files, since each needs a second to start, else one for each core."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, tasks // 50))
