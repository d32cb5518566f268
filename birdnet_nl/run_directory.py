"""A run's own folder: claimed by one run, written file by file, readable by people and by `resume=`."""

import json
import logging
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from birdnet_nl.errors import RunError
from birdnet_nl.training.checkpoint import LAST

CONFIG, SPLITS_FILE, METRICS = "config.yaml", "splits.csv", "metrics.json"
TRAINED = "trained.json"  # there once training has ended: a killed run then goes on with the evaluation
SYNTHETIC = "SYNTHETIC.txt"


def write_whole(path: Path, text: str) -> None:
    """Write beside the target and rename, so that a reader never meets half a file."""
    beside = path.with_name(f"{path.name}.part")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


def write_json(path: Path, content: Any) -> None:
    write_whole(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise RunError(f"{path} is not complete JSON ({error}); delete it and continue the run with resume=") from error


def claim(run_dir: Path, config: DictConfig) -> None:
    """Make `run_dir` the folder of one new run; refuses one that holds a run already."""
    run_dir.mkdir(parents=True, exist_ok=True)
    try:
        with (run_dir / CONFIG).open("x", encoding="utf-8") as file:
            file.write(OmegaConf.to_yaml(config, resolve=True))
    except FileExistsError:
        raise RunError(
            f"{run_dir} already holds a run; continue it with resume={run_dir}, or give another hydra.run.dir"
        ) from None


def read_config(run_dir: Path) -> DictConfig:
    """The resolved configuration a run was started with."""
    if not run_dir.is_dir():
        raise RunError(f"resume={run_dir} is not a folder; give a run directory such as logs/fast/koolmees/<time>")
    if not (run_dir / CONFIG).is_file():
        raise RunError(f"resume={run_dir} holds no {CONFIG}, so no run was started there; give a run directory")
    config = OmegaConf.load(run_dir / CONFIG)
    if not isinstance(config, DictConfig) or "species" not in config:
        raise RunError(f"{run_dir / CONFIG} is not complete; the run was killed before it began, start a new one")
    return config


def resumable_checkpoint(run_dir: Path) -> Path | None:
    """The checkpoint to go on from, or None when the run was stopped before its first epoch ended."""
    checkpoint = run_dir / LAST
    return checkpoint if checkpoint.is_file() else None


def log_to_file(run_dir: Path) -> None:
    """Append to the run's log, as Hydra does for a run that it starts (conf/hydra/job_logging/file.yaml)."""
    handler = logging.FileHandler(run_dir / "train.log", encoding="utf-8")
    handler.setFormatter(logging.Formatter("[%(asctime)s][%(levelname)s] %(message)s"))
    logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(logging.INFO)
