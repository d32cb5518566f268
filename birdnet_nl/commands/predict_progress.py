"""Progress of a prediction: files, share of their bytes, and ETA."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from birdnet_nl.util.console import screen

if TYPE_CHECKING:
    from birdnet_nl.prediction.job import Task
    from birdnet_nl.prediction.prediction import Prediction

LONG_BYTES = 20_000_000  # of a file whose own progress is shown


def run_with_progress(prediction: "Prediction", quiet: bool) -> None:
    """Run a prediction below a progress bar, which a long file moves too."""
    lengths_s: dict[Path, float] = {}
    part_of: dict[Path, float] = {}  # bytes of a file that are counted already
    tasks = prediction.tasks
    done = 0
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=28),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
        console=screen,
        transient=True,
        disable=quiet or not screen.is_terminal,
    ) as bar:
        id = bar.add_task("predicting", total=sum(max(1, task.file.size) for task in tasks))

        def finished(task: "Task") -> None:
            nonlocal done
            done += 1
            rest = max(1, task.file.size) - part_of.pop(task.file.path, 0.0)
            bar.update(id, advance=rest, description=f"predicting {done:,}/{len(tasks):,}")

        def progressed(task: "Task", seconds: float) -> None:
            path = task.file.path
            if task.file.size < LONG_BYTES:
                return
            if path not in lengths_s:
                lengths_s[path] = _length_s(path)
            if lengths_s[path]:
                reached = min(1.0, seconds / lengths_s[path]) * task.file.size
                bar.update(id, advance=max(0.0, reached - part_of.get(path, 0.0)))
                part_of[path] = max(reached, part_of.get(path, 0.0))

        prediction.run(finished, progressed)


def _length_s(path: Path) -> float:
    """Return the length that the headers give, for the progress bar only; 0 where there is none."""
    import mutagen

    with suppress(Exception):  # a damaged header is reported by the decoder
        return float(mutagen.File(path).info.length)
    return 0.0
