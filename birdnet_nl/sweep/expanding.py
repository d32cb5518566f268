"""From what was typed to a list of jobs, with Hydra's own grammar."""

from collections.abc import Callable, Sequence

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from birdnet_nl.data.sources import synthetic_mark
from birdnet_nl.species.table import find_species
from birdnet_nl.sweep.jobs import Job, key_of, kind_of, number_jobs, value_of


def combinations(arguments: Sequence[str], loader: ConfigLoader | None = None) -> list[list[str]]:
    """The overrides of each job; `loader` knows the options that `glob(…)` stands for."""
    overrides = OverridesParser.create(config_loader=loader).parse_overrides(list(arguments))
    return BasicSweeper.split_arguments(overrides, None)[0]


def noted_combinations(arguments: Sequence[str]) -> list[list[str]]:
    """As `combinations`, of arguments that were noted; none where their options are not known here, as of `glob(…)`."""
    try:
        return combinations(arguments)
    except HydraException:
        return []


def plan_jobs(combined: Sequence[Sequence[str]], compose: Callable[[list[str]], DictConfig]) -> "PlannedJobs":
    """Jobs with their folders; composes one of each kind, so that a parameter that does not exist is told at once."""
    kinds: dict[tuple[str, ...], DictConfig] = {}
    named = []
    for overrides in combined:
        kind = kind_of(overrides)
        if kind not in kinds:
            kinds[kind] = compose(list(overrides))
        cfg = kinds[kind]
        given = next((find_species(value_of(text)) for text in overrides if key_of(text) == "species"), None)
        slug = given.slug if given else cfg.species.slug
        mark = synthetic_mark(cfg.data.source, cfg.data.root, slug, pool_of(cfg))
        named.append((overrides, slug, _parameter_set(cfg), mark))
    return PlannedJobs(number_jobs(named), kinds)


class PlannedJobs:
    """Jobs, and the configuration of each but for its species."""

    def __init__(self, jobs: list[Job], kinds: dict[tuple[str, ...], DictConfig]) -> None:
        self.jobs = jobs
        self.kinds = kinds

    def configuration(self, job: Job) -> DictConfig:
        return self.kinds[kind_of(job.overrides)]


def _parameter_set(cfg: DictConfig) -> str:
    """The one chosen, or the name that a network gives its own settings; outside a job Hydra resolves no reference."""
    written = OmegaConf.to_container(cfg, resolve=False)["parameter_set"]
    return cfg.hydra.runtime.choices.trainer if written.startswith("${") else written


def pool_of(cfg: DictConfig) -> str | list[str] | None:
    pool = cfg.data.pool
    return OmegaConf.to_container(pool) if OmegaConf.is_list(pool) else pool
