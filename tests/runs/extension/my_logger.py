"""A logger from outside the package."""

import json
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger


class JsonLines(Logger):
    """One line of JSON per epoch; `save_dir` is the run directory."""

    name, version = "json_lines", ""

    def __init__(self, save_dir: str) -> None:
        super().__init__()
        self.path = Path(save_dir, "epochs.jsonl")

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps({"epoch": step, **metrics}) + "\n")

    def log_hyperparams(self, params: Any) -> None:
        """Nothing is kept."""
