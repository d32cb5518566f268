"""A run's own folder: claimed by one run, written file by file, readable by people and by `resume=`."""

import json
import logging
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from birdnet_nl.util.errors import RunError
from birdnet_nl.util.files import write_text_atomic

CONFIG, SPLITS_FILE, METRICS, PREDICTIONS = "config.yaml", "splits.csv", "metrics.json", "predictions.csv"
BEST, LAST = Path("checkpoints/best.ckpt"), Path("checkpoints/last.ckpt")
TRAINED = "trained.json"  # there once training has ended: a killed run then goes on with the evaluation
SYNTHETIC = "SYNTHETIC.txt"
HEARTBEAT = "heartbeat.json"  # the epoch a run is in; its time says that the run is alive
CHANGEABLE = (  # values that leave what has been learned comparable
    "trainer.max_epochs",
    "callbacks.early_stopping.patience",
    "engine.threads",
    "data.num_workers",
    "data.decode_workers",
    "data.pin_memory",
    "data.persistent_workers",
    "data.resident",
    "data.root",
)


def write_json(path: Path, content: Any) -> None:
    write_text_atomic(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise RunError(f"{path} is not complete JSON ({error}); delete it and continue the run with resume=") from error


def claim(run_dir: Path, config: DictConfig) -> None:
    """Make `run_dir` the folder of one new run; refuses one that holds a run already."""
    run_dir.mkdir(parents=True, exist_ok=True)
    text = OmegaConf.to_yaml(config, resolve=True)  # takes a while, in which a kill would leave an empty file
    try:
        with (run_dir / CONFIG).open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise _holds_a_run(run_dir) from None


def check_unclaimed(run_dir: Path) -> None:
    """As `claim` does, without claiming anything."""
    if (run_dir / CONFIG).exists():
        raise _holds_a_run(run_dir)


def _holds_a_run(run_dir: Path) -> RunError:
    return RunError(f"{run_dir} already holds a run; continue it with resume={run_dir}, or give another hydra.run.dir")


def write_config(run_dir: Path, config: DictConfig) -> None:
    write_text_atomic(run_dir / CONFIG, OmegaConf.to_yaml(config, resolve=True))


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


def change_config(run_dir: Path, config: DictConfig, overrides: list[str]) -> DictConfig:
    """`config` with the few values changed that may change while a run is stopped; also on disk."""
    refused = [text for text in overrides if text.partition("=")[0] not in CHANGEABLE]
    if refused:
        raise RunError(f"{', '.join(refused)} cannot change when a run goes on; what can: {', '.join(CHANGEABLE)}")
    one_cycle = str(OmegaConf.select(config, "scheduler._target_")).endswith(".one_cycle")
    if one_cycle and any(text.startswith("trainer.max_epochs=") for text in overrides):
        raise RunError(
            f"{run_dir} follows one cycle of {config.trainer.max_epochs} epochs, whose learning rates are set by that "
            "length; go on without trainer.max_epochs, or start a new run"
        )
    if overrides and (run_dir / METRICS).is_file():
        raise RunError(f"{run_dir} is finished, so {', '.join(overrides)} changes nothing; start a new run")
    changed = OmegaConf.merge(config, OmegaConf.from_dotlist(overrides))
    if overrides:
        write_text_atomic(run_dir / CONFIG, OmegaConf.to_yaml(changed))
    return changed


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
