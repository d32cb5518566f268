"""From the arguments of a sweep to its jobs: every combination, and the folder of each."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from birdnet_nl.data.sources import SYNTHETIC

NOT_OF_THE_JOB = ("sweep", "launcher", "sweeper", "hydra", "paths", "resume")


@dataclass(frozen=True)
class Job:
    """One run of a sweep.

    Attributes:
        overrides: what makes it this job, as `species=koolmees`; nothing of Hydra's own.
        folder: its run directory below the sweep's.
        species: slug of the species, or of the pool.
    """

    overrides: tuple[str, ...]
    folder: str
    species: str
    parameter_set: str

    def to_dict(self) -> dict[str, Any]:
        return {
            "overrides": list(self.overrides),
            "folder": self.folder,
            "species": self.species,
            "parameter_set": self.parameter_set,
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Job":
        return cls(tuple(values["overrides"]), values["folder"], values["species"], values["parameter_set"])


def key_of(override: str) -> str:
    return override.partition("=")[0].lstrip("+~")


def value_of(override: str) -> str:
    return override.partition("=")[2].strip("'\"")


def kind_of(overrides: Sequence[str]) -> tuple[str, ...]:
    """Everything but the species: jobs of one kind have the same configuration."""
    return tuple(text for text in overrides if key_of(text) not in ("species", "hydra.sweep.subdir"))


def same_job(overrides: Sequence[str]) -> tuple[str, ...]:
    """What tells jobs apart, in any order, and wherever and however they run."""
    return tuple(sorted(text for text in overrides if key_of(text).partition(".")[0] not in NOT_OF_THE_JOB))


def number_jobs(named: Sequence[tuple[Sequence[str], str, str, str]]) -> list[Job]:
    """Jobs from (overrides, species, parameter set, mark): in `<set>/<species>/<number><mark>`.

    The number counts what the other parameters make of a species and a set, so that it does not depend on which other
    species are in the sweep.
    """
    variants: dict[tuple[str, ...], None] = {}
    for overrides, *_ in named:
        variants.setdefault(_variant(overrides))
    numbers = {variant: number for number, variant in enumerate(variants)}
    taken: dict[str, int] = defaultdict(int)
    jobs = []
    for overrides, species, parameter_set, mark in named:
        folder = f"{parameter_set}/{species}/{numbers[_variant(overrides)]}{mark}"
        taken[folder] += 1
        if taken[folder] > 1:  # the same job twice, as of seed=1,1
            folder += f"-{taken[folder]}"
        jobs.append(Job(tuple(overrides), folder, species, parameter_set))
    return jobs


def keep_folders(jobs: Sequence[Job], earlier: Sequence[Job]) -> list[Job]:
    """`jobs` in the folders that they had when the sweep was started `earlier`; others never in one of these.

    Numbers follow the order of what was typed, so that the same job may have another today. The mark is today's.
    """
    homes: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for job in earlier:
        homes[same_job(job.overrides)].append(job.folder.removesuffix(SYNTHETIC))
    used = {folder for folders in homes.values() for folder in folders}
    kept = [homes[same].pop(0) if homes[same := same_job(job.overrides)] else "" for job in jobs]
    taken, placed = set(kept), []
    for job, place in zip(jobs, kept, strict=True):
        numbered = job.folder.removesuffix(SYNTHETIC)
        if not place and numbered in taken:
            home = numbered.rpartition("/")[0]
            place = next(free for number in count() if (free := f"{home}/{number}") not in taken | used)
        place = place or numbered
        taken.add(place)
        placed.append(replace(job, folder=place + job.folder[len(numbered) :]))
    return placed


def _variant(overrides: Sequence[str]) -> tuple[str, ...]:
    return tuple(text for text in same_job(overrides) if key_of(text) not in ("species", "trainer", "data.pool"))
