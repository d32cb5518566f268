"""Jobs of a sweep: the overrides and the run directory of each."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count

from birdnet_nl.data.sources import SYNTHETIC
from birdnet_nl.sweep.path_arguments import unquoted

NOT_OF_THE_JOB = ("sweep", "launcher", "sweeper", "hydra", "paths", "resume")  # where and how a job runs


@dataclass(frozen=True)
class Job:
    """One run of a sweep.

    Attributes:
        overrides: the overrides that define the job, such as `species=koolmees`; none of Hydra's own.
        folder: run directory, relative to the sweep's folder.
        species: slug of the species, or of the pool.
    """

    overrides: tuple[str, ...]
    folder: str
    species: str
    parameter_set: str


def override_key(override: str) -> str:
    return override.partition("=")[0].lstrip("+~")


def override_value(override: str) -> str:
    return unquoted(override.partition("=")[2])


def species_of(overrides: Sequence[str]) -> str:
    """Return the value of the first `species=`; empty when there is none."""
    return next((override_value(override) for override in overrides if override_key(override) == "species"), "")


def configuration_key(overrides: Sequence[str]) -> tuple[str, ...]:
    """Return every override but the species: jobs with the same key have the same configuration."""
    return tuple(override for override in overrides if override_key(override) not in ("species", "hydra.sweep.subdir"))


def job_key(overrides: Sequence[str]) -> tuple[str, ...]:
    """Return the overrides that identify a job, independent of their order and of where and how the job runs."""
    return tuple(
        sorted(override for override in overrides if override_key(override).partition(".")[0] not in NOT_OF_THE_JOB)
    )


def job_keys(jobs: Sequence[Job]) -> list[tuple[str, ...]]:
    """Return the key of each job of a sweep; one folder of recordings for all of them is no part, so it may move."""
    roots = {override for job in jobs for override in job.overrides if override_key(override) == "data.root"}
    left_out = roots if len(roots) == 1 else set()
    return [job_key([override for override in job.overrides if override not in left_out]) for job in jobs]


def number_jobs(candidates: Sequence[tuple[Sequence[str], str, str, str]]) -> list[Job]:
    """Create jobs from (overrides, species, parameter set, mark), in `<parameter set>/<species>/<number><mark>`.

    The number counts the values of all other parameters, so that it does not depend on the other species of the sweep.
    """
    numbers: dict[tuple[str, ...], int] = {}
    uses: Counter[str] = Counter()
    jobs = []
    for overrides, species, parameter_set, mark in candidates:
        number = numbers.setdefault(_variant_key(overrides), len(numbers))
        folder = f"{parameter_set}/{species}/{number}{mark}"
        uses[folder] += 1
        if uses[folder] > 1:  # the same job twice, as in seed=1,1
            folder += f"-{uses[folder]}"
        jobs.append(Job(tuple(overrides), folder, species, parameter_set))
    return jobs


def keep_folders(jobs: Sequence[Job], earlier: Sequence[Job]) -> list[Job]:
    """Return `jobs` in the folders they had when the sweep was started with the `earlier` jobs.

    Numbers follow the order of the arguments, so the same job may have another number this time. Jobs that were not
    there before get a free number. The mark of synthetic recordings is the current one.
    """
    earlier_folders: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for key, job in zip(job_keys(earlier), earlier, strict=True):
        earlier_folders[key].append(job.folder.removesuffix(SYNTHETIC))
    used = {folder for folders in earlier_folders.values() for folder in folders}
    kept = [earlier_folders[key].pop(0) if earlier_folders[key] else "" for key in job_keys(jobs)]
    taken, placed = set(kept), []
    for job, folder in zip(jobs, kept, strict=True):
        numbered = job.folder.removesuffix(SYNTHETIC)
        if not folder and numbered in taken:
            parent = numbered.rpartition("/")[0]
            folder = next(free for number in count() if (free := f"{parent}/{number}") not in taken | used)
        folder = folder or numbered
        taken.add(folder)
        placed.append(replace(job, folder=folder + job.folder[len(numbered) :]))
    return placed


def _variant_key(overrides: Sequence[str]) -> tuple[str, ...]:
    return tuple(
        override for override in job_key(overrides) if override_key(override) not in ("species", "trainer", "data.pool")
    )
