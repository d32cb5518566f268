"""A callback from outside the package."""

from pathlib import Path

import lightning as L


class CountSteps(L.Callback):
    """Write the number of optimizer steps into the run directory."""

    def on_train_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        Path(trainer.default_root_dir, "steps.txt").write_text(f"{trainer.global_step}\n")
