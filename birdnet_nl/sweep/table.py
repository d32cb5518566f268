"""The ledger of a sweep: what its folders tell about every job, read anew each time, so that it cannot be wrong."""

import json
import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from birdnet_nl.data.sources import SYNTHETIC
from birdnet_nl.species.table import find_species
from birdnet_nl.sweep.job_file import JOB, LOG, State, read_heartbeat, true_record
from birdnet_nl.sweep.jobs import Job, key_of, value_of
from birdnet_nl.sweep.sweep_file import Sweep
from birdnet_nl.util.run_directory import CONFIG, METRICS

UNFINISHED = (State.WAITING, State.RUNNING)
UNWELL = (State.FAILED, State.CANCELLED)


@dataclass(frozen=True)
class Row:
    """One job.

    Attributes:
        figure, interval: balanced accuracy per test recording, and its 95 % interval; None before it is done.
        epoch: the one it is in and how many there are at most.
        settings: what else, beside species and parameter set, makes it this job, as `data.fold=2`.
        log: where its log lies.
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
    figure: float | None
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
    def figure_text(self) -> str:
        """`75.0% [60–85]`, as far as it is known."""
        if self.figure is None:
            return ""
        low, high = self.interval or (None, None)
        return f"{self.figure:.1%}" + (f" [{100 * low:.0f}–{100 * high:.0f}]" if self.interval else "")

    def name(self, language: str) -> str:
        return {"dutch": self.dutch, "english": self.english}[language]


class Ledger:
    """Rows of jobs; finished ones are read once, so that a table that refreshes costs little."""

    def __init__(self) -> None:
        self._finished: dict[Path, Row] = {}

    def rows(self, top: Path, jobs: Sequence[Job]) -> list[Row]:
        shared = shared_overrides(jobs)
        return [self._row(top / job.folder, job, shared) for job in jobs]

    def _row(self, run_dir: Path, job: Job, shared: Set[str]) -> Row:
        if run_dir not in self._finished or not (run_dir / METRICS).is_file():
            row = read_row(run_dir, job, shared)
            if row.state != State.DONE:
                return row
            self._finished[run_dir] = row
        return self._finished[run_dir]


def shared_overrides(jobs: Sequence[Job]) -> Set[str]:
    """What all jobs have in common, and which therefore tells a reader nothing about one of them."""
    return set.intersection(*(set(job.overrides) for job in jobs)) if jobs else set()


def read_row(run_dir: Path, job: Job, shared: Set[str] = frozenset()) -> Row:
    record = true_record(run_dir)
    report = _report(run_dir) if record.state == State.DONE else {}
    species = find_species(job.species)
    results = report.get("results", {}).get("recording", {})
    interval = (results.get("intervals") or {}).get("balanced_accuracy")
    given = {key_of(text): value_of(text) for text in job.overrides}
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
        settings=" ".join(text for text in job.overrides if text not in shared and _tells(key_of(text))),
        state=record.state,
        attempts=record.attempts,
        host=record.process.host if record.process else "",
        started=record.started or None,
        seconds=seconds,
        figure=results.get("balanced_accuracy"),
        interval=tuple(interval) if interval else None,
        synthetic=bool(report.get("synthetic")) or run_dir.name.endswith(SYNTHETIC),
        seed=report.get("seed", _whole(given.get("seed"))),
        fold=report.get("fold", _whole(given.get("data.fold"))),
        epoch=read_heartbeat(run_dir) if record.state == State.RUNNING else None,
        memory_mb=record.memory_mb,
        reason=record.reason if record.state != State.DONE else "",
        cause=record.cause,
        log=run_dir / LOG,
    )


def _tells(key: str) -> bool:
    """Whether a parameter tells jobs apart for a reader; where and how they run does not."""
    return key.partition(".")[0] not in ("species", "trainer", "launcher", "paths", "hydra", "sweep")


def _whole(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None


def _report(run_dir: Path) -> dict[str, Any]:
    try:
        report = json.loads((run_dir / METRICS).read_text(encoding="utf-8"))
        return report if isinstance(report, dict) else {}
    except (OSError, ValueError):
        return {}


def jobs_below(top: Path) -> list[Job]:
    """The runs that lie below a folder, for what is no sweep or has lost its `sweep.json`."""
    return [_job_of(top, run_dir) for run_dir in _walk(top)]


def _walk(folder: Path) -> Iterator[Path]:
    entries = sorted(folder.iterdir())
    if {CONFIG, METRICS, JOB} & {entry.name for entry in entries}:
        yield folder
        return
    for entry in entries:
        if entry.is_dir() and not entry.is_symlink() and not entry.name.startswith("."):
            yield from _walk(entry)


def _job_of(top: Path, run_dir: Path) -> Job:
    """As well as folder names (`<set>/<species>/<number or time>`) and the run's own files tell."""
    report = _report(run_dir)
    names = ("", "", *run_dir.parts)
    species = (report.get("species") or {}).get("slug") or names[-2]
    path = run_dir / ".hydra" / "overrides.yaml"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    overrides = tuple(line[2:].strip().strip("'\"") for line in lines if line.startswith("- "))
    return Job(overrides, run_dir.relative_to(top).as_posix(), species, report.get("parameter_set") or names[-3])


def group_reasons(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """Rows of one reason together, the most frequent first; the sentence is that of the first row."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[_common(row)].append(row)
    return sorted(((found[0].reason, found) for found in groups.values()), key=lambda group: -len(group[1]))


def _common(row: Row) -> str:
    """The reason without what differs from species to species."""
    text = row.reason.replace(str(row.folder), "…")
    for name in (row.species, row.dutch):
        text = text.replace(name, "…")
    return re.sub(r"XC…?\d+\S*|\d+", "N", text)


def count_states(rows: Sequence[Row]) -> Counter:
    return Counter(row.state for row in rows)


def exit_code(rows: Sequence[Row], at_work: bool) -> int:
    """0 when all is done as far as recordings suffice, 2 while work goes on, 1 when something is left to be done."""
    states = count_states(rows)
    left = any(states[state] for state in (*UNWELL, State.WAITING))
    if states[State.RUNNING] or (at_work and left):  # also what failed: its launcher may try it again
        return 2
    return 1 if left else 0


def seconds_left(rows: Sequence[Row], sweep: Sweep | None) -> float | None:
    """From the pace of what was finished since the launcher began; None before the first and after the last."""
    left = sum(row.state in UNFINISHED for row in rows)
    if sweep is None or not sweep.is_at_work or not left:
        return None
    began = max((sweep.started, *sweep.resumed))
    ends = [row.started + row.seconds for row in rows if row.state == State.DONE and row.started and row.seconds]
    finished = [end for end in ends if end > began]
    return left * (max(finished) - began) / len(finished) if finished else None
