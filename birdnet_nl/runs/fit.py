"""Lightning's Trainer for a run: callbacks and loggers, starting and resuming, Ctrl-C."""

import logging
import math
import signal
import traceback
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L
from hydra.utils import instantiate
from lightning.pytorch.trainer.states import TrainerStatus
from omegaconf import DictConfig, OmegaConf

from birdnet_nl.data.datamodule import SpeciesDataModule
from birdnet_nl.data.splits import read_splits, write_splits
from birdnet_nl.evaluation.calibration import check_target_accuracy
from birdnet_nl.training.callbacks import TRAINED, Heartbeat, HistoryWithoutValidation
from birdnet_nl.training.checkpoint import METADATA, AtomicCheckpointIO, check_resumable, read_checkpoint
from birdnet_nl.training.engine import EngineState
from birdnet_nl.training.module import SegmentClassifier
from birdnet_nl.util.console import info
from birdnet_nl.util.errors import RunError
from birdnet_nl.util.run_directory import (
    BEST,
    HEARTBEAT,
    SPLITS_FILE,
    read_json,
    resumable_checkpoint,
    write_json,
)
from birdnet_nl.util.signals import interruption

MAX_FLOAT32 = 3.4e38
RESTORING = "checkpoint_connector"  # Lightning's module that restores a training


def check_values(cfg: DictConfig) -> None:
    """Raise `ValueError` for values that libraries would answer with a traceback, or with results of no meaning."""
    _check_finite(OmegaConf.to_container(cfg, resolve=False, throw_on_missing=False))
    checks = (("seed", int, 0), ("trainer.max_epochs", int, 1), ("optimizer.lr", (int, float), 1e-12))
    for name, kind, minimum in checks:
        value = OmegaConf.select(cfg, name)
        if name == "optimizer.lr" and cfg.optimizer is None:
            continue
        if isinstance(value, bool) or not isinstance(value, kind) or value < minimum:
            what = f"a whole number, at least {minimum}" if kind is int else "a number above 0"
            raise ValueError(f"{name}={value} must be {what}")
        if value > MAX_FLOAT32:
            raise ValueError(f"{name}={value} is too large; the largest number of the weights is {MAX_FLOAT32:.1e}")
    check_target_accuracy(cfg.evaluation.target_accuracy)
    on_embeddings = dict.fromkeys(("EmbeddingClassifier", "SupportVectorProbe", "CombinedProbe"), True)
    takes = ({"SegmentClassifier": False} | on_embeddings).get(cfg.module._target_.rpartition(".")[2])
    if takes is not None and takes != (cfg.embeddings is not None):
        raise ValueError(
            "embeddings= and the rest of the parameter set do not fit together; choose a parameter set on embeddings, "
            "such as trainer=birdnet, frozen or distilled, or leave out embeddings="
        )


def _check_finite(values: Any, name: str = "") -> None:
    """Raise `ValueError` for a number in nested dicts and lists that is not finite."""
    if isinstance(values, Mapping):
        for key, value in values.items():
            _check_finite(value, f"{name}.{key}" if name else str(key))
    elif isinstance(values, list):
        for value in values:
            _check_finite(value, name)
    elif isinstance(values, float) and not math.isfinite(values):
        raise ValueError(f"{name}={values} must be a finite number")


def build_trainer(cfg: DictConfig, run_dir: Path, engine: EngineState) -> L.Trainer:
    """Build the Trainer with all callbacks and loggers; what they write goes into `run_dir`."""
    # without a target: a value of the parameter set for a callback that another option of the group does not have
    callbacks = [instantiate(node) for node in cfg.callbacks.values() if node is not None and "_target_" in node]
    if cfg.trainer.get("limit_val_batches") == 0:
        callbacks.insert(0, HistoryWithoutValidation())  # before those that read the history
    callbacks.append(Heartbeat(run_dir / HEARTBEAT))
    for callback in callbacks:
        if hasattr(callback, "dirpath"):
            callback.dirpath = str(run_dir / BEST.parent)
    loggers = [instantiate(logger, save_dir=str(run_dir)) for logger in (cfg.logger or {}).values()]
    return instantiate(
        cfg.trainer,
        callbacks=callbacks,
        logger=loggers or False,
        precision=engine.lightning_precision,
        plugins=[AtomicCheckpointIO()],
        default_root_dir=str(run_dir),
    )


def fit(trainer: L.Trainer, module: SegmentClassifier, data: SpeciesDataModule, run_dir: Path, resume: bool) -> None:
    """Train to the end; with `resume` from the last finished epoch, or not at all where training had ended."""
    if resume and (run_dir / TRAINED).is_file():
        module.history = _read_history(run_dir / TRAINED)
        info("training had ended; continuing with the test")
        return
    checkpoint = resumable_checkpoint(run_dir) if resume else None
    if checkpoint is not None:
        content = read_checkpoint(checkpoint)
        check_resumable(checkpoint, content, module)
        _check_not_moved(content, run_dir)
        info(f"continuing after epoch {len(content[METADATA]['history'])}")
    with ctrl_c_raises(trainer), restoring(checkpoint):
        trainer.fit(module, datamodule=data, ckpt_path=checkpoint)
    write_json(run_dir / TRAINED, {"epochs": len(module.history), "history": module.history})


def _read_history(path: Path) -> list[dict[str, float]]:
    """Return the epochs of a finished training; raises `RunError` for another file."""
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("history"), list) or not content["history"]:
        raise RunError(f"{path} holds no epochs of a training; delete it and resume again")
    return content["history"]


@contextmanager
def restoring(checkpoint: Path | None) -> Iterator[None]:
    """Raise `RunError` when Lightning cannot restore the state of a training from `checkpoint`."""
    try:
        yield
    except (AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        frames = traceback.extract_tb(error.__traceback__)
        if checkpoint is None or not any(RESTORING in Path(frame.filename).stem for frame in frames):
            raise
        raise RunError(
            f"{checkpoint} holds another state of a training than this run needs; delete it and resume again, which "
            "trains from the beginning"
        ) from None


@contextmanager
def ctrl_c_raises(trainer: L.Trainer) -> Iterator[None]:
    """Keep a signal a KeyboardInterrupt; Lightning turns it into SystemExit and switches Ctrl-C off."""
    try:
        yield
    except SystemExit:
        if trainer.state.status != TrainerStatus.INTERRUPTED:
            raise
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        raise interruption() from None


def _check_not_moved(checkpoint: dict[str, Any], run_dir: Path) -> None:
    """Raise `RunError` when the run directory was moved: Lightning then forgets which epoch was the best."""
    states = checkpoint["callbacks"].values()
    folders = {state["dirpath"] for state in states if isinstance(state, Mapping) and "dirpath" in state}
    if folders != {str(run_dir / BEST.parent)}:
        before = Path(folders.pop()).parent if folders else "another folder"
        raise RunError(
            f"{run_dir} was {before} when its training stopped; move it back there to continue, or start a new run"
        )


def write_or_check_splits(data: SpeciesDataModule, run_dir: Path, resume: bool) -> None:
    """Write `splits.csv`; when resuming, raise `RunError` if recordings or splits are no longer the same."""
    path, splits = run_dir / SPLITS_FILE, data.all_splits
    if resume and path.is_file() and read_splits(path) != splits:
        raise RunError(
            f"the recordings or their splits are no longer those of {path}; start a new run, its results would be mixed"
        )
    write_splits(path, [*data.prepared.recordings, *data.multilabel.recordings], splits, data.prepared.extra)


def quiet_libraries() -> None:
    """Keep remarks of libraries off the screen; warnings go to the log of the run."""
    logging.captureWarnings(True)
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in (".*does not have many workers.*", ".*LeafSpec.*", ".*this fit will run with no optimizer.*"):
        warnings.filterwarnings("ignore", message=message)
