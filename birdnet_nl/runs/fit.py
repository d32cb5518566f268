"""The training of a run: from its start, or on from the last finished epoch."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.trainer.states import TrainerStatus

from birdnet_nl.data.datamodule import SpeciesDataModule
from birdnet_nl.training.checkpoint import CARD, read_checkpoint
from birdnet_nl.training.module import TypeClassifier
from birdnet_nl.util.console import info
from birdnet_nl.util.errors import RunError
from birdnet_nl.util.run_directory import BEST, TRAINED, read_json, resumable_checkpoint, write_json


def train(trainer: L.Trainer, module: TypeClassifier, data: SpeciesDataModule, run_dir: Path, resume: bool) -> None:
    """Train to the end; with `resume` on from the last finished epoch, or not at all where training had ended."""
    if resume and (run_dir / TRAINED).is_file():
        module.history = read_json(run_dir / TRAINED)["history"]
        info("training had ended; going on with the test")
        return
    checkpoint = resumable_checkpoint(run_dir) if resume else None
    if checkpoint is not None:
        content = read_checkpoint(checkpoint)
        _check_moved(content, run_dir)
        info(f"going on after epoch {len(content[CARD]['history'])}")
    with ctrl_c_raises(trainer):
        trainer.fit(module, datamodule=data, ckpt_path=checkpoint)
    write_json(run_dir / TRAINED, {"epochs": len(module.history), "history": module.history})


@contextmanager
def ctrl_c_raises(trainer: L.Trainer) -> Iterator[None]:
    """Lightning answers Ctrl-C with SystemExit and switches the signal off; here it stays a KeyboardInterrupt."""
    try:
        yield
    except SystemExit:
        if trainer.state.status != TrainerStatus.INTERRUPTED:
            raise
        signal.signal(signal.SIGINT, signal.default_int_handler)
        raise KeyboardInterrupt from None


def _check_moved(checkpoint: dict[str, Any], run_dir: Path) -> None:
    """Lightning forgets which epoch was the best when the folder of the checkpoints is another than before."""
    folders = {state["dirpath"] for state in checkpoint["callbacks"].values() if "dirpath" in state}
    if folders != {str(run_dir / BEST.parent)}:
        before = Path(folders.pop()).parent if folders else "another folder"
        raise RunError(f"{run_dir} was {before} when its training stopped; move it back there to go on, or start anew")
