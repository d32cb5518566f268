"""`sweep.json` in the folder of a sweep: its arguments, its jobs and the process that runs it."""

import fcntl
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from birdnet_nl.sweep.jobs import Job, job_keys
from birdnet_nl.sweep.processes import ProcessId, this_process
from birdnet_nl.util.errors import RunError
from birdnet_nl.util.files import write_text_atomic
from birdnet_nl.util.printed_commands import printed_command, short_path, train_command
from birdnet_nl.util.value_types import NUMBER, read_json_table, wrong_value

SWEEP, LOCK = "sweep.json", "sweep.lock"
MULTIRUN_FILE = "multirun.yaml"  # Hydra's record of a sweep: its whole configuration, and the arguments
FOLDERS = "sweep-*"
CONTENT = {  # types of the values of the file
    "arguments": [str],
    "jobs": [{"overrides": [str], "folder": str, "species": str, "parameter_set": str}],
    "started": NUMBER,
    "resumed": [NUMBER],
    "process": {"host": str, "pid": int, "started": str},
    "workers": int,
}


@dataclass(frozen=True)
class Sweep:
    """A sweep, as described by the files in its folder.

    Attributes:
        arguments: the arguments after `python train.py`, as Hydra overrides.
        jobs: all jobs, in whatever state.
        started: seconds since 1970, of the first start; `resumed`: of each later one.
        process: the launcher that runs the sweep, or ran it last.
        workers: number of jobs that run in parallel.
    """

    folder: Path
    arguments: tuple[str, ...]
    jobs: tuple[Job, ...]
    started: float
    resumed: tuple[float, ...] = ()
    process: ProcessId | None = None
    workers: int = 1

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.is_alive


def write_sweep(sweep: Sweep) -> None:
    values = asdict(sweep)
    content = {name: values[name] for name in ("arguments", "started", "resumed", "process", "workers", "jobs")}
    write_text_atomic(sweep.folder / SWEEP, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_sweep(folder: Path) -> Sweep:
    """Raises `RunError` when the file is missing or invalid."""
    try:
        values = read_json_table(folder / SWEEP)
        if wrong := wrong_value(values, CONTENT):
            raise TypeError(f"the value of {wrong} is of another kind")
        return Sweep(
            folder=folder,
            arguments=tuple(values["arguments"]),
            jobs=tuple(Job(**{**job, "overrides": tuple(job["overrides"])}) for job in values["jobs"]),
            started=float(values["started"]),
            resumed=tuple(values.get("resumed") or ()),
            process=ProcessId(**values["process"]) if values.get("process") else None,
            workers=int(values.get("workers") or 1),
        )
    except FileNotFoundError:
        raise RunError(
            f"{folder} holds no {SWEEP}, so it is no sweep; create it again with {rebuild_command(folder)}"
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(
            f"{folder / SWEEP} cannot be read ({error}); create it again with {rebuild_command(folder)}"
        ) from None


def resume_command(folder: Path) -> str:
    """Return the command line that resumes the sweep in `folder`."""
    return train_command("-m", sweep=folder)


def status_command(folder: Path) -> str:
    """Return the command line that shows the progress of the sweep in `folder`."""
    return printed_command("birdnet-nl", "status", folder)


def rebuild_command(folder: Path) -> str:
    """Return the command line that writes a lost `sweep.json` again."""
    return printed_command("birdnet-nl", "status", folder, "--rebuild")


def find_sweep(folder: Path) -> Sweep | None:
    """Return the sweep in `folder`; None where its file is missing or invalid."""
    try:
        return read_sweep(folder)
    except RunError:
        return None


def find_sweeps(logs: Path) -> list[Path]:
    """Return the folders of the sweeps in `logs`, the newest first; `logs` itself when it is a sweep."""
    if (logs / SWEEP).is_file() or (logs / MULTIRUN_FILE).is_file():
        return [logs]
    folders = [path for path in logs.glob(FOLDERS) if path.is_dir()]
    return sorted(folders, key=lambda path: (_start_time(path), path.name), reverse=True)


def _start_time(folder: Path) -> float:
    sweep = find_sweep(folder)
    return sweep.started if sweep else folder.stat().st_mtime


def find_same_sweep(logs: Path, jobs: Sequence[Job]) -> Sweep:
    """Return the newest sweep in `logs` of exactly these jobs; raises `RunError`, which names the newest sweep."""
    keys = set(job_keys(jobs))
    sweeps = [sweep for folder in find_sweeps(logs) if (sweep := find_sweep(folder))]
    for sweep in sweeps:
        if set(job_keys(sweep.jobs)) == keys:
            return sweep
    if not sweeps:
        raise RunError(f"sweep=resume: there is no sweep in {logs}; leave it out to start one")
    newest = sweeps[0]
    raise RunError(
        f"sweep=resume: none of the {len(sweeps)} sweeps in {logs} has exactly these {len(keys)} jobs; the newest, "
        f"{short_path(newest.folder)}, has {len(newest.jobs)}; resume that one with "
        f"{resume_command(newest.folder)}, or leave out sweep=resume"
    )


@contextmanager
def lock_sweep(folder: Path) -> Iterator[None]:
    """Lock the sweep for this process, at most until it ends; raises `RunError` while another process has the lock."""
    with (folder / LOCK).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError(
                f"another process is running {short_path(folder)}; follow its progress with {status_command(folder)}"
            ) from None
        yield


def new_sweep(folder: Path, arguments: Sequence[str], jobs: Sequence[Job], workers: int) -> Sweep:
    """Return the sweep that this process starts or resumes in `folder`; keeps earlier jobs that are not in `jobs`."""
    now, arguments = time.time(), tuple(arguments)
    before = find_sweep(folder)
    if before is None:
        return Sweep(folder, arguments, tuple(jobs), now, (), this_process(), workers)
    current = {job.folder for job in jobs} | set(job_keys(jobs))
    keyed = zip(job_keys(before.jobs), before.jobs, strict=True)
    kept = [job for key, job in keyed if not {job.folder, key} & current]
    arguments = before.arguments if kept else arguments  # the arguments of a part would not restore the other jobs
    return Sweep(folder, arguments, (*jobs, *kept), before.started, (*before.resumed, now), this_process(), workers)
