"""Status of a sweep at one moment, and the reconstruction of a lost `sweep.json`."""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from birdnet_nl.data.sources import SYNTHETIC
from birdnet_nl.species.table import species_table
from birdnet_nl.species.table_file import SpeciesTable, read_table
from birdnet_nl.sweep.job_file import State
from birdnet_nl.sweep.jobs import Job, job_key, number_jobs, override_key, override_value
from birdnet_nl.sweep.sweep_file import MULTIRUN_FILE, SWEEP, Sweep, find_sweep, find_sweeps, read_sweep, write_sweep
from birdnet_nl.sweep.table import JobTable, Row, find_jobs, seconds_left
from birdnet_nl.util.errors import RunError, SelectionError
from birdnet_nl.util.files import did_you_mean

PRIORITIES = (1, 2, 3)


@dataclass(frozen=True)
class SweepStatus:
    """Status of the jobs in a folder; `sweep` is None when the runs there belong to no sweep."""

    folder: Path
    sweep: Sweep | None
    rows: list[Row]

    @property
    def is_running(self) -> bool:
        """True while the launcher or any job is running."""
        return bool(self.sweep and self.sweep.is_running) or any(row.state == State.RUNNING for row in self.rows)

    @property
    def counts(self) -> Counter:
        return Counter(row.state for row in self.rows)

    @property
    def ended(self) -> int:
        return self.counts[State.DONE] + self.counts[State.TOO_FEW] + self.counts[State.FAILED]

    @property
    def seconds_left(self) -> float | None:
        return seconds_left(self.rows, self.sweep)

    def ranked(self) -> list[Row]:
        """Return the finished jobs, the best first."""
        done = [row for row in self.rows if row.balanced_accuracy is not None]
        return sorted(done, key=lambda row: -row.balanced_accuracy)

    def coverage(self) -> dict[int, tuple[int, int]]:
        """Return, by priority, the number of species with a finished job and the number of all species of the table.

        The table is that of the sweep, else the one in use. Empty where it says nothing: for pools, and for species
        outside the table.
        """
        species = _table_of(self.sweep).species
        if not {row.species for row in self.rows} & {member.slug for member in species}:
            return {}
        done = {row.species for row in self.rows if row.state == State.DONE}
        total = Counter(member.priority for member in species)
        finished = Counter(member.priority for member in species if member.slug in done)
        return {priority: (finished[priority], total[priority]) for priority in PRIORITIES if total[priority]}


def _table_of(sweep: Sweep | None) -> SpeciesTable:
    """Return the species table of a sweep, or the one in use where it has none or its file is missing."""
    arguments = sweep.arguments if sweep else ()
    values = [override_value(argument) for argument in arguments if override_key(argument) == "species_table"]
    if not values:
        return species_table()
    try:
        return read_table(values[-1].strip("'\""))
    except SelectionError:
        return species_table()


class StatusReader:
    """Reader of the newest sweep in a folder of logs, of a sweep, or of the runs in any other folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = _newest_sweep(folder, "birdnet-nl status logs")
        self.table = JobTable()

    def read(self) -> SweepStatus:
        """Read the current status; without `sweep.json` (a search, or a lost file) the jobs are the runs on disk."""
        sweep = read_sweep(self.folder) if (self.folder / SWEEP).is_file() else None
        jobs = sweep.jobs if sweep else find_jobs(self.folder)
        return SweepStatus(self.folder, sweep, self.table.rows(self.folder, jobs))


def _newest_sweep(folder: Path, example: str) -> Path:
    if not folder.is_dir():
        raise RunError(
            f"{folder} is not a folder{did_you_mean(folder)}; give the logs or the folder of a sweep, as in {example}"
        )
    return next(iter(find_sweeps(folder)), folder)


def rebuild_sweep(folder: Path) -> Sweep:
    """Write `sweep.json` again, from the runs on disk and from Hydra's record of the arguments."""
    folder = _newest_sweep(folder, "birdnet-nl status logs --rebuild")
    existing = find_jobs(folder)
    known = {job.folder.removesuffix(SYNTHETIC) for job in existing} | {job_key(job.overrides) for job in existing}
    arguments, requested = _requested_jobs(folder, synthetic=any(job.folder.endswith(SYNTHETIC) for job in existing))
    missing = (job for job in requested if not {job.folder.removesuffix(SYNTHETIC), job_key(job.overrides)} & known)
    jobs = (*existing, *missing)
    if not jobs:
        raise RunError(
            f"{folder} holds no runs and no {MULTIRUN_FILE}, so {SWEEP} cannot be created again; start a sweep"
        )
    started = min((path.stat().st_mtime for path in folder.iterdir()), default=0.0)
    sweep = replace(find_sweep(folder) or Sweep(folder, tuple(arguments), (), started), jobs=jobs)
    write_sweep(sweep)
    return sweep


def _requested_jobs(folder: Path, synthetic: bool) -> tuple[list[str], list[Job]]:
    """Return the arguments in Hydra's record and their jobs; both empty where the record is missing or broken."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    from birdnet_nl.sweep.arguments import combine_stored

    if not (folder / MULTIRUN_FILE).is_file():
        return [], []
    try:
        stored = OmegaConf.load(folder / MULTIRUN_FILE)
        arguments = [str(argument) for argument in stored.hydra.overrides.task]
        default_set = str(stored.hydra.runtime.choices.trainer)
    except (OSError, ValueError, AttributeError, RecursionError, YAMLError, OmegaConfBaseException):
        return [], []
    candidates = []
    for overrides in combine_stored(arguments):
        given = dict(override.partition("=")[::2] for override in overrides)
        species = override_value(f"species={given.get('species', '')}")
        parameter_set = given.get("trainer", default_set)
        candidates.append((overrides, species, parameter_set, SYNTHETIC if synthetic else ""))
    return arguments, number_jobs(candidates)
