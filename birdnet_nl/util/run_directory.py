"""Run directory: claimed by one run, written file by file, and read by `resume=` and by every later command."""

import json
import logging
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from yaml import YAMLError

from birdnet_nl.util.errors import RunError
from birdnet_nl.util.files import did_you_mean, write_text_atomic
from birdnet_nl.util.printed_commands import train_command
from birdnet_nl.util.value_types import parse_json

CONFIG, SPLITS_FILE, METRICS, PREDICTIONS = "config.yaml", "splits.csv", "metrics.json", "predictions.csv"
BEST, LAST = Path("checkpoints/best.ckpt"), Path("checkpoints/last.ckpt")
TRAINED = "trained.json"  # exists once training has ended: a killed run is then resumed with its evaluation
SYNTHETIC = "SYNTHETIC.txt"
HEARTBEAT = "heartbeat.json"  # current epoch; its modification time shows that the run is alive
CHANGEABLE = (  # values that may change when a run is resumed, because its results stay comparable
    "trainer.max_epochs",
    "callbacks.early_stopping.patience",
    "engine.threads",
    "data.num_workers",
    "data.decode_workers",
    "data.pin_memory",
    "data.persistent_workers",
    "data.resident",
    "data.root",
    "paths.cache",
)
FOLDERS = ("data.root", "paths.cache")  # among these, values that are any text
KEYS_OF_VERSION_0_1 = {"practice", "teacher", "teacher_knows_test", "trunk", "crops_per_epoch", "crops_per_batch"}


def write_json(path: Path, content: Any) -> None:
    """Write strict JSON; raises `RunError`, with the name of the value, for a number that is not finite."""
    try:
        text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    except ValueError:
        name = next(_nonfinite_names(content), "a value")
        raise RunError(f"{path.name} is not written: {name} is not a finite number; start a new run") from None
    write_text_atomic(path, text + "\n")


def _nonfinite_names(content: Any, name: str = "") -> Iterator[str]:
    """Iterate over the keys, joined by dots, of numbers in nested dicts and lists that are not finite."""
    if isinstance(content, float) and not math.isfinite(content):
        yield name
    elif isinstance(content, Mapping):
        for key, value in content.items():
            yield from _nonfinite_names(value, f"{name}.{key}" if name else str(key))
    elif isinstance(content, list | tuple):
        for index, value in enumerate(content):
            yield from _nonfinite_names(value, f"{name}.{index}")


def read_json(path: Path) -> Any:
    """Return the content of a file of a run; numbers that are not finite, of version 0.1, are None."""
    try:
        return parse_json(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):  # also of a text in another encoding
        raise RunError(f"{path} is not complete JSON; delete it, then {finish_advice(path.parent)}") from None
    except OSError as error:
        raise RunError(f"{path} cannot be read ({error.strerror}); change its permissions") from None


def claim(run_dir: Path, config: DictConfig) -> None:
    """Claim `run_dir` for a new run; raises `RunError` when it holds a run already, or its path is not in UTF-8."""
    path = os.fsencode(run_dir.absolute())
    if (name := path.decode(errors="backslashreplace")) != path.decode(errors="replace"):
        raise RunError(
            f"{name} has a name that is not in UTF-8, and TensorBoard cannot write there; choose another folder with "
            "paths.logs=…, or rename it (recordings may have such names)"
        )
    run_dir.mkdir(parents=True, exist_ok=True)
    text = OmegaConf.to_yaml(config, resolve=True)  # before the file is opened: a kill would leave it empty
    try:
        with (run_dir / CONFIG).open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise _already_claimed(run_dir) from None


def check_unclaimed(run_dir: Path) -> None:
    """Raise the error of `claim`, without claiming anything."""
    if (run_dir / CONFIG).exists():
        raise _already_claimed(run_dir)


def _already_claimed(run_dir: Path) -> RunError:
    return RunError(f"{run_dir} already holds a run; {finish_advice(run_dir)}, or choose another hydra.run.dir")


def finish_advice(run_dir: Path) -> str:
    """Return what to do with an unfinished run: the command that continues it, or why it cannot be continued."""
    try:
        read_config(run_dir)
    except RunError as error:
        return f"it cannot be continued ({error})"
    return f"continue it with {train_command(resume=run_dir)}"


def write_config(run_dir: Path, config: DictConfig) -> None:
    write_text_atomic(run_dir / CONFIG, OmegaConf.to_yaml(config, resolve=True))


def read_finished_config(run_dir: Path) -> DictConfig:
    """Return the resolved configuration of a run; its keys may be those of version 0.1."""
    if not run_dir.is_dir():
        raise RunError(
            f"resume={run_dir} is not a folder{did_you_mean(run_dir)}; give a run directory such as "
            "logs/fast/koolmees/<time>"
        )
    if not (run_dir / CONFIG).is_file():
        raise RunError(f"resume={run_dir} holds no {CONFIG}, so no run was started there; give a run directory")
    try:
        config = OmegaConf.load(run_dir / CONFIG)
    except (YAMLError, OSError, ValueError, RecursionError):  # a ValueError: no text in UTF-8
        raise RunError(f"{run_dir / CONFIG} cannot be read as the configuration of a run; start a new run") from None
    if not isinstance(config, DictConfig) or "species" not in config:
        raise RunError(f"{run_dir / CONFIG} is not complete; the run was killed before it began, start a new one")
    return config


def read_config(run_dir: Path) -> DictConfig:
    """Return the resolved configuration of a run that is to be trained; raises `RunError` for one of version 0.1."""
    config = read_finished_config(run_dir)
    if KEYS_OF_VERSION_0_1 & set(config):
        raise RunError(
            f"{run_dir} was started by version 0.1, whose configuration this version cannot train; "
            "start the run again with train.py, under another hydra.run.dir"
        )
    return config


def change_config(run_dir: Path, config: DictConfig, overrides: list[str]) -> DictConfig:
    """Return `config` with the overrides, and write it; raises `RunError` for values that may not change."""
    refused = [override for override in overrides if override.partition("=")[0] not in CHANGEABLE]
    if refused:
        raise RunError(f"{', '.join(refused)} cannot change when a run is resumed; possible: {', '.join(CHANGEABLE)}")
    is_one_cycle = str(OmegaConf.select(config, "scheduler._target_")).endswith(".OneCycleLR")
    if is_one_cycle and any(text.startswith("trainer.max_epochs=") for text in overrides):
        raise RunError(
            f"{run_dir} follows one cycle of {config.trainer.max_epochs} epochs, whose learning rates depend on that "
            "length; resume without trainer.max_epochs, or start a new run"
        )
    if overrides and (run_dir / METRICS).is_file():
        raise RunError(f"{run_dir} is finished, so {', '.join(overrides)} changes nothing; start a new run")
    values = [override for override in overrides if override.partition("=")[0] not in FOLDERS]
    changed = OmegaConf.merge(config, OmegaConf.from_dotlist(values))
    for key, _, folder in (override.partition("=") for override in overrides if override not in values):
        change_folder(changed, key, None if folder in ("", "null") else folder)  # any text, never YAML
    if overrides:
        write_text_atomic(run_dir / CONFIG, OmegaConf.to_yaml(changed))
    return changed


def change_folder(config: DictConfig, key: str, folder: str | None) -> None:
    """Set `data.root`, or `paths.cache` with the folders below it, which are resolved in a stored configuration."""
    if key == "paths.cache" and folder is not None:
        before = Path(OmegaConf.select(config, key) or "cache")
        for inner in ("data.cache_dir", "data.demo.folder"):
            stored = Path(OmegaConf.select(config, inner) or "")
            if stored.is_relative_to(before):
                OmegaConf.update(config, inner, str(Path(folder) / stored.relative_to(before)))
    OmegaConf.update(config, key, folder)


def resumable_checkpoint(run_dir: Path) -> Path | None:
    """Return the checkpoint to resume from; None when the run was stopped before the end of its first epoch."""
    return run_dir / LAST if (run_dir / LAST).is_file() else None


def log_to_file(run_dir: Path) -> None:
    """Append to the log of the run, in the format of `conf/hydra/job_logging/file.yaml`."""
    handler = logging.FileHandler(run_dir / "train.log", encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(logging.Formatter("[%(asctime)s][%(levelname)s] %(message)s"))
    logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(logging.INFO)
