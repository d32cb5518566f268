"""Inspection of sound files: duration, peak, clipping, and the reason why a file cannot be used.

Every file is decoded once, in blocks. The facts are cached by path, size and modification time, so that a second
inspection decodes nothing. What was wrong with a file is not believed after PyAV, which reads more, was installed.
"""

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from birdnet_nl.audio.decode_av import has_av
from birdnet_nl.audio.decode_blocks import decode_blocks
from birdnet_nl.audio.decode_mono import check_levels
from birdnet_nl.audio.decode_samples import Levels
from birdnet_nl.recordings.manifest import sha256_of
from birdnet_nl.util.errors import DataError
from birdnet_nl.util.files import write_text_atomic

CLIPPED_LEVEL = 0.999  # of full scale; louder samples were clipped by the recorder or the encoder
FORMAT_VERSION = 2  # increase when the facts change, so that old ones are not used


@dataclass(frozen=True)
class FileFacts:
    """Facts about one file; everything after `content` is 0 or empty when it cannot be decoded.

    Attributes:
        reason: the reason why training cannot use the file, worded as in `decode`; empty when it can.
        content: SHA-256 of the file's bytes.
        sound: hash of the decoded samples; the same for files that differ only in tags or container.
        peak: largest absolute sample; 1.0 is full scale, which mp3 can exceed.
        clipped_share: share of the samples, over all channels, above `CLIPPED_LEVEL`.
        cut: the file ends before its sound does.
        warning: why only a part of the file is used, or what was changed to use it; empty for a good file.
    """

    reason: str = ""
    content: str = ""
    sound: str = ""
    duration_s: float = 0.0
    sample_rate_hz: int = 0
    channels: int = 0
    peak: float = 0.0
    clipped_share: float = 0.0
    cut: bool = False
    warning: str = ""


def inspect_file(path: Path) -> FileFacts:
    """Decode one file in constant memory and return its facts; an unusable file gives a reason, not an exception."""
    try:
        if path.stat().st_size == 0:
            return FileFacts(reason="empty file")
        content = sha256_of(path)
    except FileNotFoundError:
        return FileFacts(reason="does not exist")
    except OSError as error:  # no permission, a bad sector
        return FileFacts(reason=f"cannot be read ({error.strerror})")
    try:
        return dataclasses.replace(_sound_facts(path), content=content)
    except DataError as error:
        return FileFacts(reason=str(error), content=content)


def _sound_facts(path: Path) -> FileFacts:
    sound, levels = hashlib.blake2b(digest_size=16), Levels()
    clipped, peak = 0, 0.0
    blocks = decode_blocks(path)
    for block, _ in blocks:
        levels.add(block)
        sound.update(np.ascontiguousarray(block))
        loudness = np.abs(block, out=block)  # [samples, channels]
        peak = max(peak, float(loudness.max()))
        clipped += int((loudness >= CLIPPED_LEVEL).sum())
    reason = changed = ""
    try:
        treatment, changed = check_levels(levels, blocks)
    except DataError as error:
        if not levels.samples:
            raise
        reason = str(error)
    if changed:  # then these two are those of the sound that is used
        peak, clipped = levels.channel_peak, 0
        if not reason:
            again = [_loudness(treatment.repair(block)) for block, _ in decode_blocks(path)]
            peak, clipped = max(peak for peak, _ in again), sum(count for _, count in again)
    return FileFacts(
        reason=reason,
        sound=sound.hexdigest(),
        duration_s=round(levels.samples / blocks.sample_rate_hz, 3),
        sample_rate_hz=blocks.sample_rate_hz,
        channels=blocks.channels,
        peak=round(peak, 5) if np.isfinite(peak) else 0.0,
        clipped_share=clipped / (levels.samples * blocks.channels),
        cut=blocks.cut,
        warning="; ".join(filter(None, (blocks.warning, changed))),
    )


def _loudness(block: np.ndarray) -> tuple[float, int]:
    """Return the peak of a block and the number of its clipped samples."""
    loudness = np.abs(block)
    return float(loudness.max()), int((loudness >= CLIPPED_LEVEL).sum())


class FactsCache:
    """Cache of facts by path, size and modification time, in a file of JSON lines.

    Facts are appended; a line truncated by an interruption is skipped when the file is read. Not thread-safe.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: dict[str, tuple[list[int], FileFacts]] = {}
        self._lines, self._has_av = 0, has_av()
        if path.is_file():
            with path.open(encoding="utf-8", errors="replace") as file:
                for line in file:
                    self._remember(line)

    def _remember(self, line: str) -> None:
        self._lines += 1
        try:
            entry = json.loads(line)
            facts = FileFacts(**entry["facts"])
            is_faulty = bool(facts.reason or facts.warning)
            if entry["format"] == FORMAT_VERSION and not (is_faulty and self._has_av and not entry.get("av")):
                self._known[entry["path"]] = (entry["stamp"], facts)
        except (ValueError, KeyError, TypeError):
            return  # a truncated line, or one of another format version

    def get(self, path: Path) -> FileFacts | None:
        known = self._known.get(os.fspath(path.absolute()))
        return known[1] if known and known[0] == _stamp(path) else None

    def add(self, path: Path, facts: FileFacts) -> None:
        if (stamp := _stamp(path)) is None:
            return
        key = os.fspath(path.absolute())
        self._known[key] = (stamp, facts)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(self._line(key, stamp, facts))

    def compact(self) -> None:
        """Rewrite the file when most of its lines are outdated."""
        if self._lines <= 2 * len(self._known) + 100:
            return
        write_text_atomic(self.path, "".join(self._line(key, *known) for key, known in self._known.items()))

    def _line(self, key: str, stamp: list[int], facts: FileFacts) -> str:
        entry = {"format": FORMAT_VERSION, "path": key, "stamp": stamp, "av": self._has_av, "facts": asdict(facts)}
        return json.dumps(entry) + "\n"


def _stamp(path: Path) -> list[int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return [stat.st_size, stat.st_mtime_ns]


def inspect_files(
    paths: Iterable[Path],
    cache: FactsCache,
    workers: int,
    on_progress: Callable[[], None] = lambda: None,
) -> dict[Path, FileFacts]:
    """Return the facts of all files by path, from the cache where possible; an interruption keeps what is finished.

    Uses threads, because decoding and hashing release the GIL.
    """
    facts: dict[Path, FileFacts] = {}
    todo = []
    for path in dict.fromkeys(paths):
        if (known := cache.get(path)) is None:
            todo.append(path)
        else:
            facts[path] = known
            on_progress()
    pool = ThreadPoolExecutor(max_workers=max(1, workers), thread_name_prefix="inspect")
    try:
        futures = {pool.submit(inspect_file, path): path for path in todo}
        for future in as_completed(futures):
            path = futures[future]
            facts[path] = future.result()
            cache.add(path, facts[path])
            on_progress()
    finally:
        pool.shutdown(cancel_futures=True)
        cache.compact()
    return facts
