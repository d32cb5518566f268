"""What a sweep does with each job that it finds in its folder: skip it, go on with it, or begin it anew."""

import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from birdnet_nl.sweep.job_file import JOB, State, read_record, true_record
from birdnet_nl.sweep.jobs import Job
from birdnet_nl.util.run_directory import CONFIG

EARLIER = ".earlier"  # hidden, so that comparisons do not meet what was put aside


class Step(StrEnum):
    SKIP = "finished already"
    AT_WORK = "at work in another process"
    GO_ON = "goes on from its last epoch"
    AGAIN = "tried again"
    BEGIN = "begins"
    ANEW = "begins anew"


@dataclass(frozen=True)
class Settled:
    """`why` a job begins anew; empty otherwise."""

    job: Job
    step: Step
    why: str = ""


def settle(job: Job, run_dir: Path, configuration: str, recordings: str) -> Settled:
    """What to do with a job of these fingerprints; touches nothing."""
    record, on_disk = true_record(run_dir), read_record(run_dir)
    if record.state == State.RUNNING:
        return Settled(job, Step.AT_WORK)
    if on_disk is None:
        if record.state == State.DONE:  # finished by a version that kept no records, or the record was lost
            return Settled(job, Step.SKIP)
        left = (run_dir / CONFIG).exists()
        return Settled(job, Step.ANEW, "what lies there has no job.json") if left else Settled(job, Step.BEGIN)
    changed = [
        what
        for what, before, now in (
            ("its configuration", on_disk.configuration, configuration),
            ("its recordings", on_disk.recordings, recordings),
        )
        if before != now
    ]
    if changed:
        return Settled(job, Step.ANEW, f"{' and '.join(changed)} changed")
    if record.state == State.DONE:
        return Settled(job, Step.SKIP)
    return Settled(job, Step.GO_ON if record.state in (State.CANCELLED, State.WAITING) else Step.AGAIN)


def put_aside(run_dir: Path) -> Path | None:
    """Move a run out of the way, never delete it; gives where it lies now, None when nothing was there."""
    if not (run_dir / JOB).exists() and not (run_dir / CONFIG).exists():
        return None
    shelf = run_dir.parent / EARLIER
    shelf.mkdir(exist_ok=True)
    stamp = time.strftime("%Y-%m-%d_%H-%M-%S")
    numbered = (shelf / f"{run_dir.name}-{stamp}{more}" for more in ("", *(f"-{number}" for number in range(2, 1000))))
    target = next(path for path in numbered if not path.exists())
    run_dir.rename(target)
    return target
