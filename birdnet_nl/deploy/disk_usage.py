"""How much runs, caches and models occupy, by kind, and which runs are the largest."""

import os
import shutil
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from birdnet_nl.comparison.finished_runs import walk_runs

LAST_CHECKPOINT = Path("checkpoints/last.ckpt")
PICTURES = ("examples.png", "errors.png")  # the large ones; `birdnet-nl prune --runs` takes them
CACHES = ("mel", "features", "practice", "demo", "demo_small", "remote")  # below paths.cache


@dataclass(frozen=True)
class Usage:
    """What one kind of file occupies, and how much of it `birdnet-nl prune` could remove at most."""

    place: str
    kind: str
    files: int
    bytes: int
    removable: int


@dataclass(frozen=True)
class DiskReport:
    """`largest` runs first; `free` bytes are those of the disk that holds the logs."""

    usages: tuple[Usage, ...]
    runs: int
    finished: int
    run_bytes: int
    largest: tuple[tuple[Path, int], ...]
    free: int

    @property
    def per_run(self) -> float:
        """Bytes of a run on average; 0 without runs."""
        return self.run_bytes / self.runs if self.runs else 0.0


class Tally:
    """Adds files up by place and kind; a file with several names (hard links) counts once."""

    def __init__(self) -> None:
        self.sums: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
        self.seen: set[tuple[int, int]] = set()

    def add(self, place: str, kind: str, path: Path, removable: bool) -> int:
        """The bytes counted; 0 for a file that is gone or was counted before."""
        try:
            status = path.lstat()
        except FileNotFoundError:  # removed by a process at work
            return 0
        if (status.st_dev, status.st_ino) in self.seen:
            return 0
        self.seen.add((status.st_dev, status.st_ino))
        sums = self.sums[place, kind]
        sums[0] += 1
        sums[1] += status.st_size
        sums[2] += status.st_size if removable else 0
        return status.st_size

    def usages(self) -> tuple[Usage, ...]:
        return tuple(Usage(*key, *sums) for key, sums in self.sums.items())


def measure_disk(logs: Path, cache: Path, models: Path, largest: int = 5) -> DiskReport:
    """Sizes of everything below the three folders; one that is missing counts as empty."""
    tally, sizes, finished_runs = Tally(), {}, 0
    for folder, finished in walk_runs(logs) if logs.is_dir() else ():
        finished_runs += finished
        place = "runs, finished" if finished else "runs, unfinished"
        sizes[folder] = sum(
            tally.add(place, kind_of(path.relative_to(folder)), path, finished and _is_spare(path.relative_to(folder)))
            for path in files_below(folder)
        )
    for path in files_below(cache):
        first = path.relative_to(cache).parts[0]
        tally.add("cache", first if first in CACHES else "other", path, first in CACHES)
    for path in files_below(models):
        tally.add("models", path.relative_to(models).parts[0], path, False)
    ranked = sorted(sizes.items(), key=lambda item: -item[1])[:largest]
    free = shutil.disk_usage(next(folder for folder in (logs.absolute(), *logs.absolute().parents) if folder.is_dir()))
    return DiskReport(tally.usages(), len(sizes), finished_runs, sum(sizes.values()), tuple(ranked), free.free)


def files_below(folder: Path) -> Iterator[Path]:
    """Every file, hidden ones too; links are not followed. Nothing where there is no such folder, or no longer."""
    for place, _, names in os.walk(folder):
        for path in (Path(place, name) for name in names):
            if path.is_file() and not path.is_symlink():
                yield path


def kind_of(path: Path) -> str:
    """What a file of a run, named relative to its folder, is good for."""
    top, name = path.parts[0], path.name
    if top == "checkpoints":
        return "checkpoints to resume" if name != "best.ckpt" else "networks"
    if top == "evaluations":
        return "evaluations"
    if name.startswith(("events.out", "projector_config")) or top.isdigit():
        return "TensorBoard"
    return "pictures" if path.suffix == ".png" else "reports"


def _is_spare(path: Path) -> bool:
    return path == LAST_CHECKPOINT or path.as_posix() in PICTURES
