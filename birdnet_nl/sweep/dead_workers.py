"""Which worker of joblib's pool died by itself: loky kills the innocent others right after it."""

from collections.abc import Iterator
from contextlib import contextmanager

HOOK = "get_exitcodes_terminated_worker"  # what loky calls between the death of a worker and the end of the others


@contextmanager
def heard_deaths() -> Iterator[set[int]]:
    """The numbers of worker processes that died by themselves while the block ran.

    The set stays empty for other launchers, and with a loky that has no such function; then nobody knows.
    """
    from joblib.externals.loky import process_executor

    dead: set[int] = set()
    original = getattr(process_executor, HOOK, None)

    def listen(processes):  # loky's own signature
        answer = original(processes)  # waits until the system knows of the death
        dead.update(pid for pid, process in list(processes.items()) if process.exitcode is not None)
        return answer

    if original is not None:
        setattr(process_executor, HOOK, listen)
    try:
        yield dead
    finally:
        if original is not None:
            setattr(process_executor, HOOK, original)
