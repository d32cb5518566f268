"""What can be removed while sweeps run: caches long unused, and what a finished run no longer needs.

Everything here can be made again. What a process may be using is left: anything used in the last day, a run that is not
finished.
"""

import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from birdnet_nl.comparison.finished_runs import walk_runs
from birdnet_nl.deploy.disk_usage import LAST_CHECKPOINT, PICTURES, files_below

DAY_S = 24 * 3600.0
NEVER_YOUNGER_S = DAY_S  # a run marks the mels it uses when it starts; few runs take a day


@dataclass(frozen=True)
class Spare:
    """A file or folder that can go; `used` is when it was last written or read, as far as the disk tells."""

    path: Path
    bytes: int
    used: float
    kind: str


def spare_caches(cache: Path, older_than_s: float | None, keep_bytes: int | None, now: float) -> list[Spare]:
    """Of the caches what was not used for `older_than_s`, and beyond `keep_bytes` what was used longest ago.

    Nothing used within the last day, whatever is asked.
    """
    items = sorted(_cached(cache), key=lambda item: item.used)
    left, chosen = sum(item.bytes for item in items), []
    for item in items:
        too_old = older_than_s is not None and now - item.used > older_than_s
        too_much = keep_bytes is not None and left > keep_bytes
        if (too_old or too_much) and now - item.used > NEVER_YOUNGER_S:
            chosen.append(item)
            left -= item.bytes
    return chosen


def spare_run_files(logs: Path) -> list[Spare]:
    """Of finished runs the checkpoint to resume from and the large pictures."""
    return [
        Spare(path, path.stat().st_size, last_used(path), "files of finished runs")
        for folder, finished in (walk_runs(logs) if logs.is_dir() else ())
        if finished
        for path in (folder / name for name in (LAST_CHECKPOINT, *PICTURES))
        if path.is_file()
    ]


def remove(spares: Iterable[Spare], on_progress: Callable[[], None] = lambda: None) -> tuple[int, list[str]]:
    """Bytes freed, and what could not be removed and why; what was used since it was chosen stays."""
    freed, failed = 0, []
    for spare in spares:
        try:
            if last_used(spare.path) <= spare.used:
                _remove(spare.path)
                freed += spare.bytes
        except FileNotFoundError:
            pass  # somebody else removed it
        except OSError as error:
            failed.append(f"{spare.path}: {error.strerror}")
        on_progress()
    return freed, failed


def last_used(path: Path) -> float:
    """The later of written and read; of a folder the latest of its files."""
    status = path.stat()
    if not path.is_dir():
        return max(status.st_mtime, status.st_atime)
    return max((last_used(file) for file in files_below(path)), default=status.st_mtime)


def _cached(cache: Path) -> Iterator[Spare]:
    for path, kind in _cached_paths(cache):
        try:
            spare = Spare(path, _size_of(path), last_used(path), kind)
        except FileNotFoundError:  # a process at work has removed or replaced it
            continue
        yield spare


def _cached_paths(cache: Path) -> Iterator[tuple[Path, str]]:
    """Mels and features one by one; demo and remote recordings by species: a folder with holes would be made anew."""
    for kind, name in (("mels", "mel"), ("features", "features"), ("mels", "practice")):
        yield from ((path, kind) for path in files_below(cache / name))
    for name in ("demo", "demo_small"):
        yield from ((folder, "demo recordings") for folder in _folders(cache / name))
    for root in _folders(cache / "remote"):
        yield from ((folder, "remote recordings") for folder in _folders(root))


def _size_of(path: Path) -> int:
    return sum(file.stat().st_size for file in files_below(path)) if path.is_dir() else path.stat().st_size


def _folders(folder: Path) -> list[Path]:
    return sorted(child for child in folder.iterdir() if child.is_dir()) if folder.is_dir() else []


def _remove(path: Path) -> None:
    if not path.is_dir():
        path.unlink()
        return
    going = path.with_name(f".{path.name}.{time.time_ns()}.going")  # at once, so that nobody meets half of it
    path.rename(going)
    shutil.rmtree(going)
