"""Screen output for jobs on Ray: one line for each job that ends, and the failed jobs again at the end."""

import time
from collections.abc import Sequence
from pathlib import Path

from hydra.core.utils import JobReturn, JobStatus
from omegaconf import OmegaConf
from rich.markup import escape

from birdnet_nl.util.console import display_path, screen
from birdnet_nl.util.failure import explain, mark_printed


class Progress:
    """Counter of finished jobs; prints every failure at once, as one sentence."""

    def __init__(self, jobs: int) -> None:
        self.jobs, self.ended, self.failed = jobs, 0, []
        self.started = time.perf_counter()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self.failed:
            names = ", ".join(self.failed)
            screen.print(f"[bold red]{len(self.failed)} jobs of the sweep failed:[/] {names}", soft_wrap=True)

    def report(self, result: JobReturn, name: str) -> None:
        self.ended += 1
        left_s = (time.perf_counter() - self.started) / self.ended * (self.jobs - self.ended)
        eta = f", about {left_s / 60:.0f} min left" if left_s > 90 else ""
        count = f"[{self.ended}/{self.jobs}{eta}]"
        if result.status == JobStatus.COMPLETED:
            value = result._return_value
            text = f"validation {value:.0%}" if isinstance(value, float) else "done"
            screen.print(f"{escape(count)} {escape(name)}: {text}", soft_wrap=True)
            return
        error = result._return_value
        sentence = getattr(error, "sentence", None) or explain(error) or f"{type(error).__name__}: {error}"
        folder = OmegaConf.select(result.hydra_cfg, "hydra.runtime.output_dir") if result.hydra_cfg else None
        self.failed.append(display_path(Path(folder)) if folder else escape(name))
        mark_printed(error)  # train.py ends with the first failure, and need not print it again
        screen.print(f"{escape(count)} {escape(name)}: [bold red]✗[/] {escape(sentence)}", soft_wrap=True)


def job_names(jobs: Sequence[Sequence[str]]) -> list[str]:
    """Return a name for each job: its overrides without those that all jobs share."""
    shared = set.intersection(*(set(overrides) for overrides in jobs)) if len(jobs) > 1 else set()
    return [" ".join(override for override in overrides if override not in shared) for overrides in jobs]
