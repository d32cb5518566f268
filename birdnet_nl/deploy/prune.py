"""Disk usage of runs, caches and models, and removal of files that can be made again.

Safe beside running sweeps: nothing used within the last day is removed, and nothing of an unfinished run.
"""

import os
import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from birdnet_nl.comparison.finished_runs import walk_runs
from birdnet_nl.util.run_directory import LAST

LARGE_PLOTS = ("examples.png", "errors.png")
LARGEST = 5  # runs in a report
FILE_CACHES = {  # folder below paths.cache -> kind; features and practice are the names of birdnet_nl 0.1
    "mel": "mels", "embeddings": "embeddings", "synthetic": "mels", "features": "embeddings", "practice": "mels",
}  # fmt: skip
SPECIES_CACHES = ("demo", "demo_small")  # removed by species: a folder with missing files would be made again whole
CACHES = (*FILE_CACHES, *SPECIES_CACHES, "remote")
DAY_S = 24 * 3600.0  # a run marks the mels that it uses when it starts; few runs take a day


@dataclass(frozen=True)
class Usage:
    """Disk usage of one kind of file, and how much of it `birdnet-nl prune` could remove at most."""

    place: str
    kind: str
    files: int
    bytes: int
    removable: int


@dataclass(frozen=True)
class DiskReport:
    """Disk usage by kind; `largest` runs first, `free` bytes on the disk of the logs."""

    usages: tuple[Usage, ...]
    runs: int
    finished: int
    run_bytes: int
    largest: tuple[tuple[Path, int], ...]
    free: int

    @property
    def bytes_per_run(self) -> float:
        return self.run_bytes / self.runs if self.runs else 0.0


@dataclass(frozen=True)
class Removable:
    """File or folder that can be removed; `used` is the time of the last write or read known to the disk."""

    path: Path
    bytes: int
    used: float
    kind: str


def measure_disk(logs: Path, cache: Path, models: Path) -> DiskReport:
    """Measure everything below the three folders; a missing folder counts as empty.

    A file with several names (hard links) counts once.
    """
    sums: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0])  # files, bytes, removable bytes
    counted: set[tuple[int, int]] = set()

    def count(place: str, kind: str, path: Path, removable: bool) -> int:
        """Return the bytes counted; 0 for a file that is gone or was counted before."""
        try:
            status = path.lstat()
        except FileNotFoundError:  # removed by another process
            return 0
        if (status.st_dev, status.st_ino) in counted:
            return 0
        counted.add((status.st_dev, status.st_ino))
        usage = sums[place, kind]
        usage[0] += 1
        usage[1] += status.st_size
        usage[2] += status.st_size if removable else 0
        return status.st_size

    sizes, finished_runs = {}, 0
    for folder, finished in walk_runs(logs) if logs.is_dir() else ():
        finished_runs += finished
        place = "runs, finished" if finished else "runs, unfinished"
        sizes[folder] = 0
        for path in files_below(folder):
            name = path.relative_to(folder)
            removable = finished and (name == LAST or name.as_posix() in LARGE_PLOTS)
            sizes[folder] += count(place, _kind_of_run_file(name), path, removable)
    for path in files_below(cache):
        top = path.relative_to(cache).parts[0]
        count("cache", top if top in CACHES else "other", path, top in CACHES)
    for path in files_below(models):
        count("models", path.relative_to(models).parts[0], path, False)
    usages = tuple(Usage(*key, *usage) for key, usage in sums.items())
    largest = tuple(sorted(sizes.items(), key=lambda item: -item[1])[:LARGEST])
    disk = next(folder for folder in (logs.absolute(), *logs.absolute().parents) if folder.is_dir())
    free = shutil.disk_usage(disk).free
    return DiskReport(usages, len(sizes), finished_runs, sum(sizes.values()), largest, free)


def files_below(folder: Path) -> Iterator[Path]:
    """Iterate over every file, hidden ones too, without following links; empty where the folder is missing."""
    for place, _, names in os.walk(folder):
        for path in (Path(place, name) for name in names):
            if path.is_file() and not path.is_symlink():
                yield path


def _kind_of_run_file(path: Path) -> str:
    """Return the kind of a file named relative to its run directory."""
    top, name = path.parts[0], path.name
    if top == "checkpoints":
        return "checkpoints to resume" if name != "best.ckpt" else "networks"
    if top == "evaluations":
        return "evaluations"
    if name.startswith(("events.out", "projector_config")) or top.isdigit():
        return "TensorBoard"
    return "pictures" if path.suffix == ".png" else "reports"


def removable_caches(cache: Path, older_than_s: float | None, keep_bytes: int | None, now: float) -> list[Removable]:
    """Return cached items unused for `older_than_s`, and beyond `keep_bytes` in total the longest unused ones.

    Nothing used within the last day, whatever the arguments.
    """
    items = sorted(_cached_items(cache), key=lambda item: item.used)
    remaining_bytes, chosen = sum(item.bytes for item in items), []
    for item in items:
        age_s = now - item.used
        too_old = older_than_s is not None and age_s > older_than_s
        too_much = keep_bytes is not None and remaining_bytes > keep_bytes
        if (too_old or too_much) and age_s > DAY_S:
            chosen.append(item)
            remaining_bytes -= item.bytes
    return chosen


def removable_run_files(logs: Path) -> list[Removable]:
    """Return the checkpoint to resume from and the large plots of every finished run."""
    return [
        Removable(path, path.stat().st_size, last_used(path), "files of finished runs")
        for folder, finished in (walk_runs(logs) if logs.is_dir() else ())
        if finished
        for path in (folder / name for name in (LAST, *LARGE_PLOTS))
        if path.is_file()
    ]


def remove(items: Iterable[Removable], on_progress: Callable[[], None] = lambda: None) -> tuple[int, list[str]]:
    """Remove the items, except those used since they were chosen; return the bytes freed and the failures."""
    freed, failed = 0, []
    for item in items:
        try:
            if last_used(item.path) <= item.used:
                _remove(item.path)
                freed += item.bytes
        except FileNotFoundError:
            pass  # removed by another process
        except OSError as error:
            failed.append(f"{item.path}: {error.strerror}")
        on_progress()
    return freed, failed


def _remove(path: Path) -> None:
    if path.is_dir():  # renamed first, so that no reader finds half of it
        shutil.rmtree(path.rename(path.with_name(f".{path.name}.{time.time_ns()}.going")))
    else:
        path.unlink()


def last_used(path: Path) -> float:
    """Return the later of the times of writing and reading; for a folder the latest of its files."""
    status = path.stat()
    if not path.is_dir():
        return max(status.st_mtime, status.st_atime)
    return max((last_used(file) for file in files_below(path)), default=status.st_mtime)


def _cached_items(cache: Path) -> Iterator[Removable]:
    for path, kind in _cached_paths(cache):
        with suppress(FileNotFoundError):  # removed or replaced by another process
            size = sum(file.stat().st_size for file in files_below(path)) if path.is_dir() else path.stat().st_size
            yield Removable(path, size, last_used(path), kind)


def _cached_paths(cache: Path) -> Iterator[tuple[Path, str]]:
    for name, kind in FILE_CACHES.items():
        yield from ((path, kind) for path in files_below(cache / name))
    for name in SPECIES_CACHES:
        yield from ((folder, "demo recordings") for folder in _folders(cache / name))
    for root in _folders(cache / "remote"):
        yield from ((folder, "remote recordings") for folder in _folders(root))


def _folders(folder: Path) -> list[Path]:
    return sorted(child for child in folder.iterdir() if child.is_dir()) if folder.is_dir() else []
