"""Composing the configurations of hundreds of jobs in seconds: Hydra needs an eighth of a second for each, twice.

Jobs of a sweep mostly differ in their species only, a block of facts on which nothing else in the defaults list
depends. So Hydra composes each kind of job once, and its other species get a copy.
"""

import copy
from typing import Any

from hydra.core.config_loader import ConfigLoader
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from birdnet_nl.species.table import find_species
from birdnet_nl.sweep.jobs import key_of, value_of

PLACE = ("hydra.sweep.dir", "hydra.sweep.subdir")
NOT_COPIED = ("experiment", "data.pool", "species")  # what may depend on more than the species' own block

_composed: dict[tuple[str, ...], DictConfig] = {}  # of this process, so that a warm worker composes a kind once too


class QuickLoader:
    """Hydra's own loader, but for the configurations of jobs whose kind it has composed before."""

    def __init__(self, loader: ConfigLoader) -> None:
        self.loader = loader

    def load_sweep_config(self, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        """As Hydra's, to the last value."""
        species = next((value_of(text) for text in sweep_overrides if key_of(text) == "species"), "")
        ours = tuple(text for text in sweep_overrides if key_of(text) not in ("species", *PLACE))
        if find_species(species) is None or any(key_of(text) in NOT_COPIED for text in ours):
            return self.loader.load_sweep_config(master_config, sweep_overrides)
        kind = (*master_config.hydra.overrides.hydra, "species", *ours)
        if kind not in _composed:
            _composed[kind] = self.loader.load_sweep_config(master_config, sweep_overrides)
        return _for_species(_composed[kind], master_config, list(sweep_overrides))

    def __getattr__(self, name: str) -> Any:
        if name == "loader":  # while it is being unpickled
            raise AttributeError(name)
        return getattr(self.loader, name)


def _for_species(composed: DictConfig, master: DictConfig, overrides: list[str]) -> DictConfig:
    """A copy of `composed` for the species and the place that `overrides` name."""
    cfg = copy.deepcopy(composed)
    slug = next(value_of(text) for text in overrides if key_of(text) == "species")
    with read_write(cfg), open_dict(cfg):
        cfg.species = OmegaConf.structured(find_species(slug))
    hydra = cfg.hydra
    hydra.overrides.task = [text for text in overrides if not text.startswith("hydra.")]
    hydra.overrides.hydra = [
        *master.hydra.overrides.hydra,
        *(text for text in overrides if text.startswith("hydra.")),
    ]
    separators = hydra.job.config.override_dirname
    named = sorted(text for text in hydra.overrides.task if key_of(text) not in separators.exclude_keys)
    hydra.job.override_dirname = separators.item_sep.join(named).replace("=", separators.kv_sep)
    hydra.runtime.choices.species = slug
    for text in overrides:
        if key_of(text) in PLACE:
            OmegaConf.update(cfg, key_of(text), value_of(text))
    OmegaConf.copy_cache(from_config=master, to_config=cfg)
    return cfg
