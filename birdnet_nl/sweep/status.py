"""How a sweep stands at one moment, for those who show it."""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from birdnet_nl.data.sources import SYNTHETIC
from birdnet_nl.species.table import all_species
from birdnet_nl.sweep.job_file import State
from birdnet_nl.sweep.jobs import Job, number_jobs, same_job, value_of
from birdnet_nl.sweep.sweep_file import SWEEP, Sweep, find_sweeps, read_sweep, write_sweep
from birdnet_nl.sweep.table import Ledger, Row, count_states, jobs_below, seconds_left
from birdnet_nl.util.errors import RunError

MULTIRUN = "multirun.yaml"  # Hydra's: the whole configuration of the sweep, and what was typed
PRIORITIES = (1, 2, 3)


@dataclass(frozen=True)
class Standing:
    """`sweep` is None when the folder holds runs that belong to no sweep."""

    folder: Path
    sweep: Sweep | None
    rows: list[Row]

    @property
    def at_work(self) -> bool:
        """Whether its launcher lives, or any of its jobs."""
        return bool(self.sweep and self.sweep.is_at_work) or any(row.state == State.RUNNING for row in self.rows)

    @property
    def counts(self) -> Counter:
        return count_states(self.rows)

    @property
    def ended(self) -> int:
        return self.counts[State.DONE] + self.counts[State.TOO_FEW] + self.counts[State.FAILED]

    @property
    def seconds_left(self) -> float | None:
        return seconds_left(self.rows, self.sweep)

    def ranked(self) -> list[Row]:
        """Finished jobs, the best first."""
        done = [row for row in self.rows if row.figure is not None]
        return sorted(done, key=lambda row: -row.figure)

    def coverage(self) -> dict[int, tuple[int, int]]:
        """Priority -> species with a finished job, and species there are."""
        done = {row.species for row in self.rows if row.state == State.DONE}
        return {
            priority: (sum(one.slug in done for one in of_priority), len(of_priority))
            for priority in PRIORITIES
            if (of_priority := [one for one in all_species() if one.priority == priority])
        }


class Watch:
    """Looks at the newest sweep in a folder, at the sweep that it is, or at the runs below it."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise RunError(f"{folder} is not a folder; give the logs or a sweep, as birdnet-nl status logs")
        sweeps = find_sweeps(folder)
        self.folder = sweeps[0] if sweeps else folder
        self.ledger = Ledger()

    def look(self) -> Standing:
        """Without `sweep.json`, as of a search or a lost one, the runs that are there."""
        sweep = read_sweep(self.folder) if (self.folder / SWEEP).is_file() else None
        jobs = sweep.jobs if sweep else jobs_below(self.folder)
        return Standing(self.folder, sweep, self.ledger.rows(self.folder, jobs))


def rebuild_sweep(folder: Path) -> Sweep:
    """Write `sweep.json` anew from the runs that are there, and from Hydra's own note of what was typed."""
    if not folder.is_dir():
        raise RunError(f"{folder} is not a folder; give the logs or a sweep, as birdnet-nl status logs --rebuild")
    sweeps = find_sweeps(folder)
    folder = sweeps[0] if sweeps else folder
    found = jobs_below(folder)
    known = {job.folder.removesuffix(SYNTHETIC) for job in found} | {same_job(job.overrides) for job in found}
    arguments, asked = _asked_for(folder, synthetic=any(job.folder.endswith(SYNTHETIC) for job in found))
    lacking = (job for job in asked if not {job.folder.removesuffix(SYNTHETIC), same_job(job.overrides)} & known)
    jobs = (*found, *lacking)
    if not jobs:
        raise RunError(f"{folder} holds no runs and no {MULTIRUN}, so there is nothing to rebuild a sweep from")
    try:
        before = read_sweep(folder)
    except RunError:
        started = min((path.stat().st_mtime for path in folder.iterdir()), default=0.0)
        before = Sweep(folder, tuple(arguments), (), started)
    sweep = replace(before, jobs=tuple(jobs))
    write_sweep(sweep)
    return sweep


def _asked_for(folder: Path, synthetic: bool) -> tuple[list[str], list[Job]]:
    """What was typed, and the jobs that makes; nothing where Hydra's note is gone or broken."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    from birdnet_nl.sweep.expanding import noted_combinations

    if not (folder / MULTIRUN).is_file():
        return [], []
    try:
        noted = OmegaConf.load(folder / MULTIRUN)
        arguments = [str(text) for text in noted.hydra.overrides.task]
        chosen = str(noted.hydra.runtime.choices.trainer)
    except (OSError, ValueError, AttributeError, YAMLError, OmegaConfBaseException):
        return [], []
    named = []
    for overrides in noted_combinations(arguments):
        given = dict(text.partition("=")[::2] for text in overrides)
        species = value_of(f"species={given.get('species', '')}")
        parameter_set = given.get("trainer", chosen)
        named.append((overrides, species, parameter_set, SYNTHETIC if synthetic else ""))
    return arguments, number_jobs(named)
