"""Worker processes of a DataLoader: watched, ended for certain, and silent on the screen."""

import logging
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader
from torch.utils.data._utils import signal_handling
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from birdnet_nl.data.dataset import Batch

log = logging.getLogger(__name__)

WORKER_TIMEOUT_S = 20  # without a batch, for workers that died or hang; then loading continues in this process
GRACE_S = 5  # more, for a wait that does not end by itself
SHARED_MEMORY = Path("/dev/shm")  # of Linux, through which workers hand over their batches
IN_DATASET = "Original Traceback"  # with which torch quotes an error of the dataset in a worker
BATCHES_PER_WORKER = 3  # two loaded ahead and the one that is handed over


class WorkerError(Exception):
    """A worker that died, hangs, or could not hand over its batch; or an error of the dataset in a worker."""

    def __init__(self, reason: str, in_dataset: bool) -> None:
        super().__init__(reason)
        self.in_dataset = in_dataset


class WorkerState:
    """State of the workers of all loaders of a run.

    Attributes:
        can_deliver: False once workers failed.
    """

    def __init__(self) -> None:
        self.can_deliver = True
        try:
            self.output = tempfile.TemporaryFile()  # noqa: SIM115  open as long as there are workers
        except OSError:  # no room
            self.output = Path(os.devnull).open("r+b")  # noqa: SIM115

    def redirect_stderr(self, worker: int) -> None:
        """In a worker: send what it writes to a file, because the tracebacks of a failure say nothing to a user."""
        with suppress(OSError):  # where processes are not forked, and have no such file
            os.dup2(self.output.fileno(), 2)
            sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)  # in a notebook it is another file

    def read_output(self) -> str:
        """Return what the workers wrote so far."""
        self.output.seek(0)
        return self.output.read().decode(errors="replace").strip()


def lack_of_shared_memory(batch: Batch, num_workers: int) -> str:
    """Return the reason why workers cannot hand over such batches; empty when they can, or where it is not known."""
    tensors = batch if isinstance(batch, tuple) else (batch,)
    needed = sum(tensor.nbytes for tensor in tensors) * BATCHES_PER_WORKER * num_workers
    try:
        free = (status := os.statvfs(SHARED_MEMORY)).f_bavail * status.f_frsize
    except OSError:
        return ""
    if free >= needed:
        return ""
    return (
        f"{SHARED_MEMORY} has {free / 1e6:.0f} MB free and they need {needed / 1e6:.0f} MB (docker run --shm-size=1g "
        "gives more)"
    )


class WorkerBatches:
    """Batches of one pass of a DataLoader with workers; raises `WorkerError` when no further one comes."""

    def __init__(self, loader: DataLoader, state: WorkerState) -> None:
        self.loader, self.state = loader, state
        self.iterator: Any = None

    def __iter__(self) -> Iterator[Batch]:
        try:
            self._watched(self._start)
            for _ in range(len(self.loader)):
                yield self._watched(self.iterator.__next__)
            with suppress(StopIteration):
                self._watched(self.iterator.__next__)  # lets the workers end, or wait for the next pass
        except Exception as error:  # of any kind: those of a dataset come with the traceback of the worker
            self._abandon()
            if output := self.state.read_output():
                log.warning("the workers wrote: %s", output)
            reason = (str(error).splitlines() or [type(error).__name__])[0].removeprefix("DataLoader ")
            raise WorkerError(reason, in_dataset=IN_DATASET in str(error)) from None

    def _start(self) -> None:
        _MultiProcessingDataLoaderIter._shutdown = True  # until it has started: else its end prints a traceback
        self.iterator = iter(self.loader)
        _reset_sigchld_handler()

    def _watched(self, function: Any) -> Any:
        """Call `function`, which waits for the workers; they are ended when it takes too long."""
        timer = threading.Timer(WORKER_TIMEOUT_S + GRACE_S, self._release)
        timer.daemon = True
        timer.start()
        try:
            return function()
        finally:
            timer.cancel()

    def _release(self) -> None:
        """End a wait for the rest of a batch: of a worker that died while it handed it over."""
        _kill(self.iterator)
        with suppress(AttributeError, OSError):
            self.iterator._worker_result_queue._writer.close()  # the last writer: the reader gets an end of file

    def _abandon(self) -> None:
        """End the workers at once; torch would first talk to them, which can wait for ever after a failure."""
        iterator = self.iterator
        if iterator is None:
            return
        _kill(iterator)
        with suppress(AttributeError):
            iterator._shutdown = True
            signal_handling._remove_worker_pids(id(iterator))
            iterator._worker_pids_set = False
            for queue in iterator._index_queues:
                queue.cancel_join_thread()
                queue.close()
            if hasattr(iterator, "_pin_memory_thread_done_event"):
                iterator._pin_memory_thread_done_event.set()


def _kill(iterator: Any) -> None:
    for worker in getattr(iterator, "_workers", ()):
        with suppress(OSError, ValueError, AttributeError):
            worker.kill()
            worker.join(timeout=1)


def _reset_sigchld_handler() -> None:
    """Let the death of a worker show where its batch is waited for.

    torch's handler of SIGCHLD raises an error wherever the program happens to be, also within a training step.
    """
    handler = signal.getsignal(signal.SIGCHLD)
    if getattr(handler, "__module__", "") == "torch.utils.data._utils.signal_handling":
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
