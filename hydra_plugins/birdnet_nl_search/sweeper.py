"""Hydra's sweeper for Optuna, made to go on where a search was stopped and to say what it found."""
# Hydra imports every plugin on every start, --help included: Optuna is imported where it is needed.

import importlib.util
import warnings
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

STUDY = "search"
DATABASE = "search.db"


class SearchSweeper(Sweeper):
    """Args: see `conf/hydra/sweeper/optuna_search.yaml`. What `train` returns is maximised: the validation figure."""

    def __init__(self, trials: int, at_a_time: int, seed: int, folder: str, params: DictConfig | dict) -> None:
        from birdnet_nl.util.errors import SetupError

        if trials < 1 or at_a_time < 1:
            raise ValueError(
                f"hydra.sweeper.trials={trials} and hydra.sweeper.at_a_time={at_a_time} must be at least 1"
            )
        if importlib.util.find_spec("hydra_plugins.hydra_optuna_sweeper") is None:
            raise SetupError('sweeper=optuna needs Optuna, which is not installed: pip install -e ".[optuna]"')
        self.trials, self.at_a_time, self.seed, self.folder = trials, at_a_time, seed, Path(folder)
        self.params = {name: space for name, space in params.items() if space is not None}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.given = {"hydra_context": hydra_context, "task_function": task_function, "config": config}

    def sweep(self, arguments: list[str]) -> None:
        check_several(arguments)
        import optuna
        from hydra_plugins.hydra_optuna_sweeper._impl import OptunaSweeperImpl

        from birdnet_nl.util.console import display_path, screen
        from birdnet_nl.util.errors import RunError

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        self.folder.mkdir(parents=True, exist_ok=True)
        storage = f"sqlite:///{self.folder / DATABASE}"
        study = optuna.create_study(storage=storage, study_name=STUDY, direction="maximize", load_if_exists=True)
        for trial in study.trials:  # a search that was killed leaves them open
            if trial.state == optuna.trial.TrialState.RUNNING:
                study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        before = len(study.trials)
        finished = sum(trial.state == optuna.trial.TrialState.COMPLETE for trial in study.trials)
        space = OmegaConf.create({name: text for name, text in self.params.items() if name not in _keys(arguments)})
        named = ", ".join(space) or "what was given"
        screen.print(f"search of {self.trials} trials over {named} → {display_path(self.folder)}", soft_wrap=True)
        if finished:
            screen.print(f"{finished} trials are there already", soft_wrap=True)
        sampler = optuna.samplers.TPESampler(
            seed=self.seed + before, multivariate=True, warn_independent_sampling=False
        )
        impl = OptunaSweeperImpl(
            sampler=sampler,
            direction="maximize", storage=storage, study_name=STUDY, n_trials=max(0, self.trials - finished),
            n_jobs=self.at_a_time, max_failure_rate=0.5, search_space=None, custom_search_space=None, params=space,
        )  # fmt: skip
        impl.setup(**self.given)
        impl.job_idx = before  # a trial's number is the name of its folder
        try:
            impl.sweep(arguments)
        except ValueError as error:
            if "distribution" not in str(error):
                raise
            raise RunError(
                f"{self.folder} holds a search over another space ({error}); give another hydra.sweep.dir"
            ) from error
        self._tell_best(study)

    def _tell_best(self, study: Any) -> None:
        from birdnet_nl.util.console import display_path, screen
        from birdnet_nl.util.files import write_text_atomic
        from hydra_plugins.birdnet_nl_search.parameter_set import parameter_set_of

        best, config = study.best_trial, self.given["config"]
        choices = OmegaConf.to_container(config.hydra.runtime.choices)
        base = choices["trainer"]
        name = f"{base}_searched"
        path = self.folder / "conf" / "trainer" / f"{name}.yaml"
        write_text_atomic(path, parameter_set_of(best.params, base, set(choices), best.value, len(study.trials)))
        found = " ".join(f"{key}={_short(value)}" for key, value in best.params.items())
        for line in (
            f"best of {len(study.trials)} trials: number {best.number}, validation {best.value:.1%}, with {found}",
            f"as a parameter set: python train.py --config-dir {display_path(self.folder / 'conf')} trainer={name} species=…",
        ):
            screen.print(line, soft_wrap=True)


def check_several(arguments: list[str]) -> None:
    """A search compares parameter values on one species, one seed and one fold; raises `SelectionError` for several."""
    from birdnet_nl.util.errors import SelectionError

    for override in OverridesParser.create().parse_overrides(arguments):
        if override.is_sweep_override() and override.key_or_group in ("species", "trainer", "seed", "data.fold"):
            raise SelectionError(
                f"a search takes one value of {override.key_or_group}, not several; start one for each, or search for "
                "several species together with data.pool=[koolmees,merel]"
            )


def _keys(arguments: list[str]) -> set[str]:
    """What was given on the command line goes before the space."""
    return {argument.partition("=")[0].lstrip("+~") for argument in arguments}


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
