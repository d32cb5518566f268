"""`sweep.json` in a sweep's folder: what was asked for, by whom, and the jobs that makes."""

import fcntl
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from birdnet_nl.sweep.jobs import Job, same_job
from birdnet_nl.sweep.processes import ProcessMark, this_process
from birdnet_nl.util.console import display_path
from birdnet_nl.util.errors import RunError
from birdnet_nl.util.files import write_text_atomic

SWEEP, LOCK = "sweep.json", "sweep.lock"
FOLDERS = "sweep-*"


@dataclass(frozen=True)
class Sweep:
    """A sweep as its folder tells it.

    Attributes:
        arguments: what was typed after `python train.py`, in Hydra's terms.
        jobs: all of them, whatever has become of each.
        started: seconds since 1970, of the first start; resumed: of each later one.
        process: of the launcher that is or was at work on it last.
        workers: how many jobs it runs at a time.
    """

    folder: Path
    arguments: tuple[str, ...]
    jobs: tuple[Job, ...]
    started: float
    resumed: tuple[float, ...] = ()
    process: ProcessMark | None = None
    workers: int = 1

    @property
    def is_at_work(self) -> bool:
        return self.process is not None and self.process.is_alive


def write_sweep(sweep: Sweep) -> None:
    content = {
        "arguments": list(sweep.arguments),
        "started": sweep.started,
        "resumed": list(sweep.resumed),
        "process": asdict(sweep.process) if sweep.process else None,
        "workers": sweep.workers,
        "jobs": [job.to_dict() for job in sweep.jobs],
    }
    write_text_atomic(sweep.folder / SWEEP, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def read_sweep(folder: Path) -> Sweep:
    """Raises `RunError` when the file is not there or not whole."""
    try:
        values = json.loads((folder / SWEEP).read_text(encoding="utf-8"))
        return Sweep(
            folder=folder,
            arguments=tuple(values["arguments"]),
            jobs=tuple(Job.from_dict(job) for job in values["jobs"]),
            started=float(values["started"]),
            resumed=tuple(values.get("resumed") or ()),
            process=ProcessMark(**values["process"]) if values.get("process") else None,
            workers=int(values.get("workers") or 1),
        )
    except FileNotFoundError:
        raise RunError(
            f"{folder} holds no {SWEEP}, so it is no sweep; make it again with birdnet-nl status --rebuild"
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(
            f"{folder / SWEEP} cannot be read ({error!r}); make it again with birdnet-nl status {folder} --rebuild"
        ) from None


def resume_command(folder: Path) -> str:
    """What to type to go on with the sweep in `folder`."""
    return f"python train.py -m sweep={display_path(folder)}"


def earlier_jobs(folder: Path) -> Sequence[Job]:
    """Those of the sweep in `folder`; none where none was started."""
    try:
        return read_sweep(folder).jobs
    except RunError:
        return ()


def find_sweeps(logs: Path) -> list[Path]:
    """Folders of sweeps in `logs`, or `logs` itself when it is one; newest first."""
    if (logs / SWEEP).is_file() or (logs / "multirun.yaml").is_file():
        return [logs]
    found = [path for path in logs.glob(FOLDERS) if path.is_dir()]
    return sorted(found, key=lambda path: (_started(path), path.name), reverse=True)


def _started(folder: Path) -> float:
    try:
        return read_sweep(folder).started
    except RunError:
        return folder.stat().st_mtime


def find_same(logs: Path, jobs: Sequence[Job]) -> Sweep:
    """The newest sweep in `logs` of just these jobs. Raises `RunError` that names those there are."""
    wanted = {same_job(job.overrides) for job in jobs}
    seen: list[Sweep] = []
    for folder in find_sweeps(logs):
        try:
            sweep = read_sweep(folder)
        except RunError:
            continue
        if {same_job(job.overrides) for job in sweep.jobs} == wanted:
            return sweep
        seen.append(sweep)
    if not seen:
        raise RunError(f"sweep=resume: there is no sweep in {logs}; leave it out to start one")
    newest = seen[0]
    raise RunError(
        f"sweep=resume: none of the {len(seen)} sweeps in {logs} is of these {len(wanted)} jobs; the newest, "
        f"{display_path(newest.folder)}, has {len(newest.jobs)}; go on with that by "
        f"{resume_command(newest.folder)}, or leave out sweep=resume"
    )


@contextmanager
def at_work_on(folder: Path) -> Iterator[None]:
    """Hold the sweep for this process; raises `RunError` while another has it. A process that dies lets go of it."""
    with (folder / LOCK).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError(
                f"another process is at work on {display_path(folder)}; watch it with birdnet-nl status {display_path(folder)}"
            ) from None
        yield


def new_sweep(folder: Path, arguments: Sequence[str], jobs: Sequence[Job], workers: int) -> Sweep:
    """The sweep that begins or goes on in `folder`, by this process."""
    now, asked = time.time(), tuple(arguments)
    try:
        before = read_sweep(folder)
    except RunError:
        return Sweep(folder, asked, tuple(jobs), now, (), this_process(), workers)
    known = {job.folder for job in jobs} | {same_job(job.overrides) for job in jobs}
    kept = [job for job in before.jobs if not {job.folder, same_job(job.overrides)} & known]
    asked = before.arguments if kept else asked  # those of a part would not bring back the others
    return Sweep(folder, asked, (*jobs, *kept), before.started, (*before.resumed, now), this_process(), workers)
