"""Command-line arguments of a sweep: resolve `sweep=` and `--plan`, expand them to jobs and compose configurations.

Hydra needs an eighth of a second, twice, to compose the configuration of a job. Jobs of a sweep mostly differ in their
species only, a block of facts on which nothing else in the defaults list depends. So Hydra composes one configuration
of each kind, and the other species get a copy.
"""

import copy
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from birdnet_nl.data.sources import synthetic_mark
from birdnet_nl.species.selection import species_node
from birdnet_nl.species.table import find_species
from birdnet_nl.sweep.jobs import Job, configuration_key, number_jobs, override_key, override_value, species_of
from birdnet_nl.sweep.path_arguments import quoted
from birdnet_nl.sweep.sweep_file import find_sweeps, read_sweep
from birdnet_nl.util.errors import RunError, SelectionError
from birdnet_nl.util.files import did_you_mean, user_path

MULTIRUN = {"-m", "--multirun"}
PLAN = "--plan"
RESUME = "resume"
DEFAULT_LOGS = "logs"
LOCATION = ("hydra.sweep.dir", "hydra.sweep.subdir")
NOT_COPIED = ("experiment", "data.pool", "species")  # may change more than the block of the species

_composed: dict[tuple[str, ...], DictConfig] = {}  # per process, so that a reused worker composes each kind once


def expand_sweep_arguments(arguments: Sequence[str]) -> list[str]:
    """Translate `sweep=` to `sweep.folder=` and `--plan` to `sweep.plan=true`.

    Where no jobs are given, the arguments of that sweep are added.
    """
    sweeps = [override_value(argument) for argument in arguments if override_key(argument) == "sweep"]
    expanded = [text for text in arguments if override_key(text) != "sweep" and text not in (PLAN, *MULTIRUN)]
    if sweeps:
        folder = sweeps[-1] if sweeps[-1] == RESUME else os.fspath(_sweep_folder(sweeps[-1]))
        if not any(override_key(argument) in ("species", "data.pool", "experiment") for argument in expanded):
            expanded = [*_stored_arguments(folder, expanded), *expanded]
        expanded.append(f"sweep.folder={quoted(folder)}")
    if PLAN in arguments:
        expanded.append("sweep.plan=true")
    if sweeps or PLAN in arguments or MULTIRUN & set(arguments):
        expanded.insert(0, "-m")
    return expanded


def _sweep_folder(text: str) -> Path:
    folder = user_path(text)
    if not folder.is_dir():
        raise SelectionError(
            f"sweep={text} is not a folder{did_you_mean(text)}; give sweep=resume, or the folder of a sweep as "
            "sweep=logs/sweep-<time>"
        )
    read_sweep(folder)
    return folder


def _stored_arguments(folder: str, given: Sequence[str]) -> list[str]:
    """Return the arguments of the sweep in `folder`, or of the newest sweep, without the keys that are `given`."""
    if folder == RESUME:
        logs_values = [override_value(argument) for argument in given if override_key(argument) == "paths.logs"]
        logs = Path(logs_values[-1] if logs_values else DEFAULT_LOGS)
        sweeps = find_sweeps(logs) if logs.is_dir() else []
        if not sweeps:
            raise RunError(f"sweep=resume: there is no sweep in {logs}; give species=… to start one")
        folder = os.fspath(sweeps[0])
    keys = {override_key(argument) for argument in given}
    return [argument for argument in read_sweep(Path(folder)).arguments if override_key(argument) not in keys]


def combine(arguments: Sequence[str], loader: ConfigLoader | None = None) -> list[list[str]]:
    """Return the overrides of each job; `loader` knows the options of `glob(…)`."""
    overrides = OverridesParser.create(config_loader=loader).parse_overrides(list(arguments))
    return BasicSweeper.split_arguments(overrides, None)[0]


def combine_stored(arguments: Sequence[str]) -> list[list[str]]:
    """Return the overrides of each job of a stored sweep; empty where they cannot be expanded, as with `glob(…)`."""
    try:
        return combine(arguments)
    except HydraException:
        return []


@dataclass
class PlannedJobs:
    """Jobs and their configurations; jobs that differ in their species only share one configuration."""

    jobs: list[Job]
    configurations: dict[tuple[str, ...], DictConfig]

    def configuration(self, job: Job) -> DictConfig:
        return self.configurations[configuration_key(job.overrides)]


def plan_jobs(combinations: Sequence[Sequence[str]], compose: Callable[[list[str]], DictConfig]) -> PlannedJobs:
    """Create the jobs with their folders; composes each distinct configuration once, which finds unknown parameters."""
    configurations: dict[tuple[str, ...], DictConfig] = {}
    candidates = []
    for overrides in combinations:
        key = configuration_key(overrides)
        if key not in configurations:
            configurations[key] = compose(list(overrides))
        cfg = configurations[key]
        species = find_species(species_of(overrides))
        slug = species.slug if species else cfg.species.slug
        mark = synthetic_mark(cfg.data.source, cfg.data.root, slug, pool_of(cfg))
        candidates.append((overrides, slug, _parameter_set(cfg), mark))
    return PlannedJobs(number_jobs(candidates), configurations)


def _parameter_set(cfg: DictConfig) -> str:
    """Return the chosen parameter set, or a literal `parameter_set`; outside a job Hydra resolves no reference."""
    written = OmegaConf.to_container(cfg, resolve=False)["parameter_set"]
    return cfg.hydra.runtime.choices.trainer if written.startswith("${") else written


def pool_of(cfg: DictConfig) -> str | list[str] | None:
    pool = cfg.data.pool
    return OmegaConf.to_container(pool) if OmegaConf.is_list(pool) else pool


class CachedLoader:
    """Config loader that composes each kind of job with Hydra once and copies it for other species."""

    def __init__(self, loader: ConfigLoader) -> None:
        self.loader = loader

    def load_sweep_config(self, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        """Return the same configuration as Hydra's loader, to the last value."""
        shared = tuple(override for override in sweep_overrides if override_key(override) not in ("species", *LOCATION))
        is_copied = find_species(species_of(sweep_overrides)) is not None
        if not is_copied or any(override_key(override) in NOT_COPIED for override in shared):
            return self.loader.load_sweep_config(master_config, sweep_overrides)
        key = (*master_config.hydra.overrides.hydra, "species", *shared)
        if key not in _composed:
            _composed[key] = self.loader.load_sweep_config(master_config, sweep_overrides)
        return _copy_for_species(_composed[key], master_config, list(sweep_overrides))

    def __getattr__(self, name: str) -> Any:
        if name == "loader":  # while it is being unpickled
            raise AttributeError(name)
        return getattr(self.loader, name)


def _copy_for_species(composed: DictConfig, master: DictConfig, overrides: list[str]) -> DictConfig:
    """Copy `composed`, with the species and the directories that `overrides` give."""
    cfg = copy.deepcopy(composed)
    slug = species_of(overrides)
    with read_write(cfg), open_dict(cfg):
        cfg.species = species_node(asdict(find_species(slug)))
    hydra, own = cfg.hydra, [override for override in overrides if override.startswith("hydra.")]
    hydra.overrides.task = [override for override in overrides if override not in own]
    hydra.overrides.hydra = [*master.hydra.overrides.hydra, *own]
    separators = hydra.job.config.override_dirname
    included = sorted(text for text in hydra.overrides.task if override_key(text) not in separators.exclude_keys)
    hydra.job.override_dirname = separators.item_sep.join(included).replace("=", separators.kv_sep)
    hydra.runtime.choices.species = slug
    for override in overrides:
        if override_key(override) in LOCATION:
            OmegaConf.update(cfg, override_key(override), override_value(override))
    OmegaConf.copy_cache(from_config=master, to_config=cfg)
    return cfg
