"""Results of submitit's launchers for jobs that end without one: killed, out of memory, or out of time."""
# Hydra imports every plugin on every start, also for --help, so submitit is imported in the function.

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hydra.core.utils import JobReturn, JobStatus


@contextmanager
def all_results(launcher: Any) -> Iterator[None]:
    """Return a job without a result as a failed job while the block runs; other launchers are unchanged.

    Otherwise submitit raises an error, and its launcher no longer waits for the other jobs, which continue to run.
    """
    if getattr(launcher, "_EXECUTOR", None) is None:  # not a launcher of submitit
        yield
        return
    from submitit.core.core import Job
    from submitit.core.utils import UncompletedJobError

    original = Job.results

    def results(job: Job) -> list[JobReturn]:
        try:
            return original(job)
        except UncompletedJobError as error:
            return [JobReturn(status=JobStatus.FAILED, _return_value=error)]

    Job.results = results
    try:
        yield
    finally:
        Job.results = original
