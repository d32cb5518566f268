"""What submitit's launchers do with a job that ends without an answer: killed, out of memory, or out of time."""
# Hydra imports every plugin on every start, --help included: submitit is imported where it is needed.

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hydra.core.utils import JobReturn, JobStatus


@contextmanager
def all_answers(launcher: Any) -> Iterator[None]:
    """Let such a job be a failure of its own while the block runs; nothing changes for launchers of others.

    submitit raises for it, and its launcher then waits for none of the others, which go on.
    """
    if getattr(launcher, "_EXECUTOR", None) is None:  # not submitit's
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
