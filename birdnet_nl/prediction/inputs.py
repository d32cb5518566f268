"""Sound files that a prediction is asked for: files, folders with all folders below them, and glob patterns."""

import glob
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from birdnet_nl.recordings.folder import sound_files
from birdnet_nl.recordings.sound_file import SOUND_SUFFIXES
from birdnet_nl.util.errors import DataError, SelectionError
from birdnet_nl.util.files import user_path

GLOB_CHARACTERS = "*?["


@dataclass(frozen=True)
class InputFile:
    """Sound file as it was listed.

    Attributes:
        path: absolute.
        relative: below the common folder of all inputs, with `/`; different for different files.
    """

    path: Path
    relative: str
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class Inputs:
    """Listed files sorted by path, and their common folder."""

    files: tuple[InputFile, ...]
    folder: Path


def list_inputs(arguments: Sequence[str | Path], skip: Path | None = None) -> Inputs:
    """List the sound files of files, folders and glob patterns, each once and in the order of their paths.

    A file that is named itself is taken whatever its suffix. Nothing below `skip`, the output folder, is listed.

    Raises:
        SelectionError: if a file or folder does not exist.
        DataError: if there is no sound file.
    """
    skip = _absolute(skip) if skip else None
    paths: set[Path] = set()
    roots: list[Path] = []
    for argument in arguments:
        for path, is_named in _matches(str(argument)):
            if path.is_dir():
                roots.append(path)
                found = _files_below(path)
                paths.update(file for file in found if not (skip and skip != path and file.is_relative_to(skip)))
            elif is_named or path.suffix.lower() in SOUND_SUFFIXES:
                roots.append(path.parent)
                paths.add(path)
    if not paths:
        raise DataError(_explain_empty(arguments))
    folder = Path(os.path.commonpath(roots))
    files = (_listed(path, folder) for path in sorted(paths))
    return Inputs(tuple(file for file in files if file), folder)


def input_file(path: Path) -> InputFile | None:
    """Return a single file, None if it does not exist."""
    path = _absolute(path)
    return _listed(path, path.parent)


def _listed(path: Path, folder: Path) -> InputFile | None:
    try:
        stat = path.stat()
    except OSError:  # removed since it was listed, or a link to nothing
        return None
    return InputFile(path, path.relative_to(folder).as_posix(), stat.st_size, stat.st_mtime_ns)


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(user_path(path)))  # noqa: PTH100  links stay, since users name files by them


def _matches(argument: str) -> list[tuple[Path, bool]]:
    """Return the paths of an argument, with True for a path that was named itself."""
    path = user_path(argument)
    if path.exists():
        return [(_absolute(path), True)]
    if any(character in argument for character in GLOB_CHARACTERS):
        found = glob.glob(str(path), recursive=True)  # noqa: PTH207  Path.glob cannot start at an absolute pattern
        return [(_absolute(Path(match)), False) for match in found]
    raise SelectionError(
        f"{argument} does not exist; give sound files, folders, or a pattern such as 'recordings/*.wav'"
    )


def _files_below(folder: Path) -> list[Path]:
    try:
        return list(sound_files(folder))
    except PermissionError as error:
        raise DataError(f"{error.filename} cannot be read; change its permissions or give another folder") from None


def _explain_empty(arguments: Sequence[str | Path]) -> str:
    names = ", ".join(str(argument) for argument in arguments)
    suffixes: Counter[str] = Counter()
    for argument in arguments:
        path = user_path(argument)
        if path.is_dir():
            suffixes.update(file.suffix.lower() or "no suffix" for file in path.rglob("*") if file.is_file())
    others = ", ".join(f"{count} {suffix}" for suffix, count in suffixes.most_common(4))
    holds = f"it holds {others}" if others else "nothing was found there"
    return f"no sound file in {names}: {holds}; possible are {', '.join(sorted(SOUND_SUFFIXES))}"
