"""Inspection of sound files: duration, peak, clipping, and the reason why a file cannot be used.

Every file is decoded once, in blocks. The facts are cached by path, size and modification time, so that a second
inspection decodes nothing.
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

from birdnet_nl.audio.decode import SILENCE_PEAK, average_channels, decode_blocks
from birdnet_nl.recordings.manifest import sha256_of
from birdnet_nl.recordings.sound_file import read_sound_facts
from birdnet_nl.util.errors import DataError
from birdnet_nl.util.files import write_text_atomic

CLIPPED_LEVEL = 0.999  # of full scale; louder samples were clipped by the recorder or the encoder
FORMAT_VERSION = 1  # increase when the facts change, so that old ones are not used


@dataclass(frozen=True)
class FileFacts:
    """Facts about one file; everything after `content` is 0 or empty when it cannot be decoded.

    Attributes:
        reason: the reason why training cannot use the file, worded as in `decode`; empty when it can.
        content: SHA-256 of the file's bytes.
        sound: hash of the decoded samples; the same for files that differ only in tags or container.
        peak: largest absolute sample; 1.0 is full scale, which mp3 can exceed.
        clipped_share: share of the samples, over all channels, above `CLIPPED_LEVEL`.
        cut: the file ends in the middle of the sound (detected in mp3 only).
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
    sound = hashlib.blake2b(digest_size=16)
    frames = clipped = sample_rate_hz = channels = 0
    peak = peak_of_mean = 0.0
    finite = True
    for block, sample_rate_hz in decode_blocks(path):  # noqa: B007 (used after the loop)
        loudness = np.abs(block)  # [samples, channels]
        frames, channels = frames + len(block), block.shape[1]
        peak = max(peak, float(loudness.max()))
        peak_of_mean = max(peak_of_mean, float(np.abs(average_channels(block)).max()))  # training averages channels
        clipped += int((loudness >= CLIPPED_LEVEL).sum())
        finite = finite and bool(np.isfinite(peak) and np.isfinite(loudness).all())
        sound.update(np.ascontiguousarray(block))
    if frames == 0:
        raise DataError("contains no samples")
    if not finite:
        raise DataError("contains samples that are not finite numbers")
    mp3 = read_sound_facts(path) if path.suffix.lower() == ".mp3" else None
    return FileFacts(
        reason="silent (largest sample below -80 dB)" if peak_of_mean < SILENCE_PEAK else "",
        sound=sound.hexdigest(),
        duration_s=round(frames / sample_rate_hz, 3),
        sample_rate_hz=sample_rate_hz,
        channels=channels,
        peak=round(peak, 5),
        clipped_share=clipped / (frames * channels),
        cut=mp3 is not None and mp3.cut,
    )


class FactsCache:
    """Cache of facts by path, size and modification time, in a file of JSON lines.

    Facts are appended; a line truncated by an interruption is skipped when the file is read. Not thread-safe.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: dict[str, tuple[list[int], FileFacts]] = {}
        self._lines = 0
        if path.is_file():
            with path.open(encoding="utf-8", errors="replace") as file:
                for line in file:
                    self._remember(line)

    def _remember(self, line: str) -> None:
        self._lines += 1
        try:
            entry = json.loads(line)
            if entry["format"] == FORMAT_VERSION:
                self._known[entry["path"]] = (entry["stamp"], FileFacts(**entry["facts"]))
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
            file.write(_line(key, stamp, facts))

    def compact(self) -> None:
        """Rewrite the file when most of its lines are outdated."""
        if self._lines <= 2 * len(self._known) + 100:
            return
        write_text_atomic(self.path, "".join(_line(key, *known) for key, known in self._known.items()))


def _line(key: str, stamp: list[int], facts: FileFacts) -> str:
    return json.dumps({"format": FORMAT_VERSION, "path": key, "stamp": stamp, "facts": asdict(facts)}) + "\n"


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
