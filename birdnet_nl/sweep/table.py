"""Job table of a sweep: state and results of every job, read from the run directories each time."""

import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from birdnet_nl.comparison.finished_runs import read_overrides
from birdnet_nl.comparison.report_types import damage_of
from birdnet_nl.data.sources import SYNTHETIC
from birdnet_nl.species.table import find_species
from birdnet_nl.sweep.job_file import FORESEEN, JOB, LOG, State, current_record, read_heartbeat
from birdnet_nl.sweep.jobs import Job, override_key, override_value
from birdnet_nl.sweep.sweep_file import Sweep
from birdnet_nl.util.run_directory import CONFIG, METRICS, finish_advice
from birdnet_nl.util.value_types import read_json_table

PENDING = (State.WAITING, State.RUNNING)
UNSUCCESSFUL = (State.FAILED, State.CANCELLED)


@dataclass(frozen=True)
class Row:
    """One job of the table.

    Attributes:
        settings: overrides that distinguish the job besides species and parameter set, such as `data.fold=2`.
        started: seconds since 1970.
        balanced_accuracy, interval: per test recording, with its 95 % interval; None before the job is done.
        epoch: current epoch and maximum number of epochs of a running job.
    """

    folder: Path
    species: str
    dutch: str
    english: str
    priority: int
    parameter_set: str
    settings: str
    state: State
    attempts: int
    host: str
    started: float | None
    seconds: float | None
    balanced_accuracy: float | None
    interval: tuple[float, float] | None
    synthetic: bool
    seed: int | None
    fold: int | None
    epoch: tuple[int, int] | None
    memory_mb: int | None
    reason: str
    cause: str
    log: Path

    @property
    def accuracy_text(self) -> str:
        """Balanced accuracy and interval as `75.0% [60–85]`; empty before the job is done."""
        if self.balanced_accuracy is None:
            return ""
        low, high = self.interval or (None, None)
        return f"{self.balanced_accuracy:.1%}" + (f" [{100 * low:.0f}–{100 * high:.0f}]" if self.interval else "")

    def name(self, language: str) -> str:
        return {"dutch": self.dutch, "english": self.english}[language]


class JobTable:
    """Reader of job rows that caches finished jobs, so that refreshing a table is cheap."""

    def __init__(self) -> None:
        self._finished: dict[Path, Row] = {}

    def rows(self, folder: Path, jobs: Sequence[Job]) -> list[Row]:
        shared = shared_overrides(jobs)
        return [self._row(folder / job.folder, job, shared) for job in jobs]

    def _row(self, run_dir: Path, job: Job, shared: Set[str]) -> Row:
        if run_dir not in self._finished or not (run_dir / METRICS).is_file():
            row = read_row(run_dir, job, shared)
            if row.state != State.DONE:
                return row
            self._finished[run_dir] = row
        return self._finished[run_dir]


def shared_overrides(jobs: Sequence[Job]) -> Set[str]:
    return set.intersection(*(set(job.overrides) for job in jobs)) if jobs else set()


def read_row(run_dir: Path, job: Job, shared: Set[str] = frozenset()) -> Row:
    record = current_record(run_dir)
    report = _read_report(run_dir) if record.state == State.DONE else {}
    if record.state == State.DONE and not report:
        reason = f"its {METRICS} is damaged: delete it, then {finish_advice(run_dir)}"
        record = replace(record, state=State.FAILED, reason=reason, cause=FORESEEN)
    species = find_species(job.species)
    results = (report.get("results") or {}).get("recording") or {}
    interval = (results.get("intervals") or {}).get("balanced_accuracy")
    given = {override_key(override): override_value(override) for override in job.overrides}
    seconds = (report.get("seconds") or {}).get("total")
    if seconds is None and record.started:
        end = record.ended or (time.time() if record.state == State.RUNNING else None)
        seconds = round(end - record.started, 1) if end else None
    return Row(
        folder=run_dir,
        species=job.species,
        dutch=species.dutch if species else (report.get("species") or {}).get("dutch", job.species),
        english=species.english if species else (report.get("species") or {}).get("english", job.species),
        priority=species.priority if species else 0,
        parameter_set=job.parameter_set,
        settings=" ".join(
            override for override in job.overrides if override not in shared and _is_setting(override_key(override))
        ),
        state=record.state,
        attempts=record.attempts,
        host=record.process.host if record.process else "",
        started=record.started or None,
        seconds=seconds,
        balanced_accuracy=results.get("balanced_accuracy"),
        interval=tuple(interval) if interval else None,
        synthetic=bool(report.get("synthetic")) or run_dir.name.endswith(SYNTHETIC),
        seed=report.get("seed", _parse_int(given.get("seed"))),
        fold=report.get("fold", _parse_int(given.get("data.fold"))),
        epoch=read_heartbeat(run_dir) if record.state == State.RUNNING else None,
        memory_mb=record.memory_mb,
        reason=record.reason if record.state != State.DONE else "",
        cause=record.cause,
        log=run_dir / LOG,
    )


def _is_setting(key: str) -> bool:
    """Return False for species and parameter set, which have their own columns, and for where and how a job runs."""
    return key.partition(".")[0] not in ("species", "trainer", "launcher", "paths", "hydra", "sweep")


def _parse_int(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None


def _read_report(run_dir: Path) -> dict[str, Any]:
    try:
        report = read_json_table(run_dir / METRICS)
    except (OSError, ValueError):
        return {}
    return {} if damage_of(report) else report


def find_jobs(folder: Path) -> list[Job]:
    """Find the runs below a folder that is no sweep, or whose `sweep.json` is missing."""
    return [_job_of(folder, run_dir) for run_dir in _walk(folder)]


def _walk(folder: Path) -> Iterator[Path]:
    entries = sorted(folder.iterdir())
    if {CONFIG, METRICS, JOB} & {entry.name for entry in entries}:
        yield folder
        return
    for entry in entries:
        if entry.is_dir() and not entry.is_symlink() and not entry.name.startswith("."):
            yield from _walk(entry)


def _job_of(folder: Path, run_dir: Path) -> Job:
    """Reconstruct a job from the files of the run, or from its path `<set>/<species>/<number or time>`."""
    report = _read_report(run_dir)
    names = ("", "", *run_dir.parts)
    species = (report.get("species") or {}).get("slug") or names[-2]
    overrides = tuple(read_overrides(run_dir))
    return Job(overrides, run_dir.relative_to(folder).as_posix(), species, report.get("parameter_set") or names[-3])


def group_failures(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """Group rows with the same reason, the largest group first; the sentence is the one of the first row."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[_common_reason(row)].append(row)
    return [(group[0].reason, group) for group in sorted(groups.values(), key=len, reverse=True)]


def _common_reason(row: Row) -> str:
    """Return the reason without the parts that differ between species."""
    text = row.reason.replace(str(row.folder), "…")
    for name in (row.species, row.dutch):
        text = text.replace(name, "…")
    return re.sub(r"XC…?\d+\S*|\d+", "N", text)


def exit_code(rows: Sequence[Row], is_running: bool) -> int:
    """Return 0 when every job is done or has too few recordings, 2 while the sweep runs, 1 when jobs are left."""
    states = Counter(row.state for row in rows)
    left = any(states[state] for state in (*UNSUCCESSFUL, State.WAITING))
    if states[State.RUNNING] or (is_running and left):  # failed jobs too: the launcher may try them again
        return 2
    return 1 if left else 0


def seconds_left(rows: Sequence[Row], sweep: Sweep | None) -> float | None:
    """Estimate the time left from the jobs finished since the launch; None before the first and after the last one."""
    left = sum(row.state in PENDING for row in rows)
    if sweep is None or not sweep.is_running or not left:
        return None
    launched = max((sweep.started, *sweep.resumed))
    ends = [row.started + row.seconds for row in rows if row.state == State.DONE and row.started and row.seconds]
    finished = [end for end in ends if end > launched]
    return left * (max(finished) - launched) / len(finished) if finished else None


def format_duration(seconds: float) -> str:
    """Format a duration in its largest suitable unit, such as `12 min`."""
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
