"""Recordings at an address such as `s3://bucket/recordings`: copied into the cache, again when they change there.

Any file system that fsspec knows will do. A copy is current while its size and its time are those of the original;
where an object store gives no time, one is derived from the etag.
"""

import hashlib
import importlib.util
import os
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from birdnet_nl.recordings.folder import MANIFEST, SOUND_SUFFIXES
from birdnet_nl.species.table import Species
from birdnet_nl.util.console import progress_bar
from birdnet_nl.util.errors import BirdnetNlError, DataError, SetupError
from birdnet_nl.util.files import atomic_path, touch_cached

COPIED = {*SOUND_SUFFIXES, ".npy", ".csv", ".json", ".md"}
AT_A_TIME = 8
MAX_REASON = 300  # letters of what a store says
PATIENCE_S = 30  # for a store that does not answer
USED = ".used"  # in a copied folder; its time says when it was last asked for
TIMES = ("mtime", "last_modified", "LastModified", "modified", "updated", "created")
ETAGS = ("e_tag", "ETag", "etag")
OBJECT_STORES = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "azure")


@dataclass(frozen=True)
class RemoteFolders:
    """Folders of one species, by name, below `url`."""

    url: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class RemoteFile:
    """One file: its name below the url, size in bytes (-1 where unknown), and a number that changes when it changes."""

    name: str
    size: int
    stamp_ns: int


def is_url(root: str | Path | None) -> bool:
    return isinstance(root, str) and re.match(r"[a-zA-Z][\w+.-]*://", root) is not None


def find_remote_folders(url: str, species: Species, species_of: Callable[[Path], Species | None]) -> RemoteFolders:
    """The folders of `species` directly below `url`, perhaps none; raises `DataError` or `SetupError`."""
    with _explained(url):
        fs, top = _connect(url)
        names = [_below(entry["name"], top) for entry in fs.ls(top, detail=True) if entry["type"] == "directory"]
    return RemoteFolders(url, tuple(sorted(name for name in names if species_of(Path(name)) == species)))


def remote_has(folders: RemoteFolders, name: str) -> bool:
    """Whether any of the folders holds a file called `name`."""
    with _explained(folders.url):
        fs, top = _connect(folders.url)
        return any(fs.exists(f"{top}/{folder}/{name}") for folder in folders.names)


def list_remote_files(folders: RemoteFolders) -> list[RemoteFile]:
    """Every file that would be copied, and the manifest one folder higher, in order of their names."""
    with _explained(folders.url):
        fs, top = _connect(folders.url)
        found = {f"{top}/{MANIFEST}": fs.info(f"{top}/{MANIFEST}")} if fs.exists(f"{top}/{MANIFEST}") else {}
        for name in folders.names:
            found |= fs.find(f"{top}/{name}", detail=True)
    files = [
        RemoteFile(_below(path, top), -1 if info.get("size") is None else int(info["size"]), _stamp_ns(info))
        for path, info in found.items()
    ]
    return sorted((file for file in files if _is_wanted(file.name)), key=lambda file: file.name)


def copy_remote_folders(folders: RemoteFolders, cache_dir: Path, subject: str) -> tuple[Path, ...]:
    """Local copies of the folders, made current, with a progress bar; what is gone there goes here too.

    Killed at any moment, what was copied stays and the rest is copied next time.
    """
    local = local_root(folders.url, cache_dir)
    for name in folders.names:  # before anything else, so that nobody prunes what is about to be used
        (local / name).mkdir(parents=True, exist_ok=True)
        (local / name / USED).touch()
        touch_cached(local / name / USED)
    files = list_remote_files(folders)
    lacking = [file for file in files if not _is_current(local / file.name, file)]
    if lacking:
        _copy(folders.url, lacking, local, subject)
    there = {file.name for file in files}
    if MANIFEST not in there:
        (local / MANIFEST).unlink(missing_ok=True)
    for name in folders.names:
        for path in (local / name).rglob("*"):
            if path.suffix.lower() in COPIED and path.relative_to(local).as_posix() not in there:
                path.unlink(missing_ok=True)
    return tuple(local / name for name in folders.names)


def local_root(url: str, cache_dir: Path) -> Path:
    """Where copies of what lies below `url` are kept, by a name that a person recognises and no other url has."""
    readable = re.sub(r"[^\w.-]+", "-", url.partition("://")[2]).strip("-")[-40:]
    return cache_dir / f"{readable}-{hashlib.sha256(url.rstrip('/').encode()).hexdigest()[:8]}"


def _copy(url: str, files: Sequence[RemoteFile], local: Path, subject: str) -> None:
    pool = ThreadPoolExecutor(AT_A_TIME, thread_name_prefix="copy")
    try:
        with _explained(url), progress_bar() as bar:
            fs, top = _connect(url)
            task = bar.add_task(f"copying recordings of {subject}", total=len(files))
            for done in as_completed([pool.submit(_copy_one, fs, f"{top}/{file.name}", file, local) for file in files]):
                done.result()
                bar.advance(task)
    finally:
        pool.shutdown(cancel_futures=True)


def _copy_one(fs: Any, source: str, file: RemoteFile, local: Path) -> None:
    target = local / file.name
    with atomic_path(target) as beside:
        fs.get_file(source, os.fspath(beside))
        if file.size >= 0 and beside.stat().st_size != file.size:
            raise OSError(f"{file.name} arrived with {beside.stat().st_size} of {file.size} bytes")
        os.utime(beside, ns=(beside.stat().st_atime_ns, file.stamp_ns))


def _is_current(path: Path, file: RemoteFile) -> bool:
    try:
        status = path.stat()
    except FileNotFoundError:
        return False
    # Some disks keep times to two seconds only.
    return status.st_size == file.size and abs(status.st_mtime_ns - file.stamp_ns) < 2_000_000_000


def _stamp_ns(info: dict[str, Any]) -> int:
    """The time of the last change in nanoseconds, or what stands for it; 0 where a store tells neither."""
    for key in TIMES:
        if isinstance(value := info.get(key), datetime):
            return int(value.timestamp() * 1e9)
        if isinstance(value, int | float):
            return int(value * 1e9)
    etag = next((str(info[key]) for key in ETAGS if info.get(key)), "")
    return int(hashlib.sha256(etag.encode()).hexdigest()[:8], 16) * 10**9 // 4 if etag else 0


def _is_wanted(name: str) -> bool:
    path = Path(name)
    return path.suffix.lower() in COPIED and not any(part.startswith((".", "@", "#")) for part in path.parts)


def _below(path: str, top: str) -> str:
    return path.rstrip("/")[len(top) :].lstrip("/")


def _connect(url: str) -> tuple[Any, str]:
    """The file system of an address, and the path in it; raises `SetupError` where the library for it is missing."""
    import fsspec

    try:
        fs, path = fsspec.url_to_fs(url, **_object_store_options(url.partition("://")[0].lower()))
    except ImportError:
        raise SetupError(f'data.root={url} needs a library that is not installed: pip install -e ".[s3]"') from None
    except ValueError as error:
        raise DataError(
            f"data.root={url} is of an unknown kind ({error}); possible: s3://, gs://, az://, file://, or a folder"
        ) from None
    fs.invalidate_cache()
    return fs, path.rstrip("/")


def _object_store_options(protocol: str) -> dict[str, Any]:
    """Object stores are read by obstore where it is installed, else by what fsspec finds (s3fs, gcsfs, …)."""
    if protocol not in OBJECT_STORES or importlib.util.find_spec("obstore") is None:
        return {}
    from obstore.fsspec import register

    register(protocol)
    return {"retry_config": {"max_retries": 3, "retry_timeout": timedelta(seconds=PATIENCE_S)}}


@contextmanager
def _explained(url: str) -> Iterator[None]:
    """Every store has errors of its own; each kind becomes one sentence."""
    try:
        yield
    except BirdnetNlError:
        raise
    except Exception as error:
        reason = (str(error).splitlines() or [""])[0] or type(error).__name__
        kind, status = type(error).__name__, re.search(r"status code: (\d+)", reason)
        code = status[1] if status else ""
        if isinstance(error, FileNotFoundError | NotADirectoryError) or kind == "NotFoundError" or code == "404":
            raise DataError(f"data.root={url} is not there: no such bucket or folder; check the address") from error
        refused = kind in ("PermissionDeniedError", "UnauthenticatedError") or code in ("401", "403")
        if isinstance(error, PermissionError) or refused:
            raise DataError(
                f"data.root={url} may not be read; give credentials, for S3 in AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY, or AWS_SKIP_SIGNATURE=true for a public bucket"
            ) from error
        raise DataError(
            f"data.root={url} cannot be read ({reason[:MAX_REASON]}); try again, what was copied is kept"
        ) from error
