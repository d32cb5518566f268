"""Resumable parameter search on top of Hydra's sweeper for Optuna; writes the best values as a parameter set."""
# Hydra imports every plugin on every start, also for --help, so Optuna is imported in functions.

import importlib.util
import os
import warnings
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf
from rich.markup import escape

from birdnet_nl.util.console import display_path, screen
from birdnet_nl.util.errors import RunError, SelectionError, SetupError
from birdnet_nl.util.files import write_text_atomic
from birdnet_nl.util.printed_commands import path_value, train_command
from birdnet_nl.util.words import counted

STUDY = "search"
DATABASE = "search.db"


class SearchSweeper(Sweeper):
    """Sweeper that maximises the validation metric returned by `train`.

    See `conf/hydra/sweeper/optuna_search.yaml` for its arguments.
    """

    def __init__(self, trials: int, at_a_time: int, seed: int, folder: str, params: DictConfig | dict) -> None:
        if trials < 1 or at_a_time < 1:
            raise ValueError(
                f"hydra.sweeper.trials={trials} and hydra.sweeper.at_a_time={at_a_time} must be at least 1"
            )
        if importlib.util.find_spec("hydra_plugins.hydra_optuna_sweeper") is None:
            raise SetupError('sweeper=optuna needs Optuna, which is not installed: pip install -e ".[optuna]"')
        self.trials, self.at_a_time, self.seed, self.folder = trials, at_a_time, seed, Path(folder)
        self.params = {name: space for name, space in params.items() if space is not None}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.setup_arguments = {"hydra_context": hydra_context, "task_function": task_function, "config": config}

    def sweep(self, arguments: list[str]) -> None:
        check_single_values(arguments)
        import optuna
        from hydra_plugins.hydra_optuna_sweeper._impl import OptunaSweeperImpl

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        self.folder.mkdir(parents=True, exist_ok=True)
        storage = database_url(self.folder / DATABASE)
        study = optuna.create_study(storage=storage, study_name=STUDY, direction="maximize", load_if_exists=True)
        for trial in study.trials:  # left open by a search that was killed
            if trial.state == optuna.trial.TrialState.RUNNING:
                study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        before = len(study.trials)
        finished = sum(trial.state == optuna.trial.TrialState.COMPLETE for trial in study.trials)
        given = {argument.partition("=")[0].lstrip("+~") for argument in arguments}  # these take precedence
        space = OmegaConf.create({name: text for name, text in self.params.items() if name not in given})
        names = ", ".join(space) or "the given values"
        screen.print(
            f"search of {counted(self.trials, 'trial')} over {names} → {display_path(self.folder)}", soft_wrap=True
        )
        if finished:
            screen.print(f"{counted(finished, 'trial is', 'trials are')} already finished", soft_wrap=True)
        sampler = optuna.samplers.TPESampler(
            seed=self.seed + before, multivariate=True, warn_independent_sampling=False
        )
        impl = OptunaSweeperImpl(
            sampler=sampler,
            direction="maximize", storage=storage, study_name=STUDY, n_trials=max(0, self.trials - finished),
            n_jobs=self.at_a_time, max_failure_rate=0.5, search_space=None, custom_search_space=None, params=space,
        )  # fmt: skip
        impl.setup(**self.setup_arguments)
        impl.job_idx = before  # a trial's number is the name of its folder
        try:
            impl.sweep(arguments)
        except ValueError as error:
            if "distribution" not in str(error):
                raise
            raise RunError(
                f"{self.folder} holds a search over another space ({error}); choose another hydra.sweep.dir"
            ) from error
        self._print_best(study)

    def _print_best(self, study: Any) -> None:
        best, config = study.best_trial, self.setup_arguments["config"]
        choices = OmegaConf.to_container(config.hydra.runtime.choices)
        base = choices["trainer"]
        name = f"{base}_searched"
        path = self.folder / "conf" / "trainer" / f"{name}.yaml"
        write_text_atomic(path, format_parameter_set(best.params, base, set(choices), best.value, len(study.trials)))
        values = " ".join(
            f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}" for key, value in best.params.items()
        )
        command = train_command("--config-dir", path_value(self.folder / "conf"), f"trainer={name}")
        screen.print(
            f"best of {counted(len(study.trials), 'trial')}: number {best.number}, "
            f"validation {best.value:.1%}, with {values}\n"
            f"as a parameter set: {escape(command)} species=…",
            soft_wrap=True,
        )


def database_url(path: Path) -> str:
    """Return the address of an SQLite file for Optuna, in which characters such as `?` and `%` are escaped."""
    return f"sqlite:///file:{quote(os.fsencode(path.absolute()))}?uri=true"


def check_single_values(arguments: list[str]) -> None:
    """Raise `SelectionError` for several species, parameter sets, seeds or folds, of which a search takes one each."""
    for override in OverridesParser.create().parse_overrides(arguments):
        if override.is_sweep_override() and override.key_or_group in ("species", "trainer", "seed", "data.fold"):
            raise SelectionError(
                f"a search takes one value of {override.key_or_group}, not several; start one for each, or search for "
                "several species together with data.pool=[koolmees,merel]"
            )


def format_parameter_set(
    values: Mapping[str, Any], base: str, groups: Collection[str], score: float, trials: int
) -> str:
    """Return the YAML of a parameter set that extends `base` with `values`; keys in `groups` select options.

    Floats keep all digits, so that the set trains exactly as in the search.
    """
    defaults: list[Any] = [base, "_self_"]
    defaults += [{f"override /{key}": value} for key, value in values.items() if key in groups]
    tree: dict[str, Any] = {}
    for key, value in values.items():
        if key in groups:
            continue
        *parents, last = key.split(".")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = value
    head = f"# @package _global_\n# Found by a search of {trials} trials: validation {score:.1%} per recording.\n"
    body = yaml.safe_dump({"defaults": defaults}, sort_keys=False)
    return head + body + ("\n" + yaml.safe_dump(tree, sort_keys=False) if tree else "")
