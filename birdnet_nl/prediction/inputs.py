"""Sound files that a prediction is asked for: files, folders with all folders below them, and glob patterns."""

import glob
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from birdnet_nl.recordings.listing import LINK_ABOVE, LINK_READ, is_sound_name, list_folder
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
    """Listed files.

    Attributes:
        files: sorted by path.
        folder: common folder of all inputs.
        unreadable: path and reason of folders and links that could not be read.
    """

    files: tuple[InputFile, ...]
    folder: Path
    unreadable: tuple[tuple[str, str], ...] = ()


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
    unreadable: list[tuple[str, str]] = []
    not_audio: Counter[str] = Counter()
    for argument in arguments:
        for path, is_named in _matches(str(argument)):
            if path.is_dir():
                listing = list_folder(path)
                roots.append(path)
                own = skip if skip and skip != path and skip.is_relative_to(path) else None
                found = (file for file in listing.sounds if file not in listing.same_file)
                paths.update(file for file in found if not (own and file.is_relative_to(own)))
                unreadable += [item for item in listing.left_out if item[1] not in (LINK_ABOVE, LINK_READ)]
                not_audio += listing.not_audio
            elif is_named or is_sound_name(path.name):
                roots.append(path.parent)
                paths.add(path)
    if not paths:
        raise DataError(_explain_empty(arguments, not_audio, unreadable))
    folder = Path(os.path.commonpath(roots))
    files = (_listed(path, folder) for path in sorted(paths))
    return Inputs(tuple(file for file in files if file), folder, tuple(unreadable))


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


def _explain_empty(
    arguments: Sequence[str | Path], not_audio: Counter[str], unreadable: Sequence[tuple[str, str]]
) -> str:
    names = ", ".join(str(argument) for argument in arguments)
    if unreadable:
        path, reason = unreadable[0]
        return f"no sound file in {names}: {path} {reason}"
    others = ", ".join(f"{count} {suffix}" for suffix, count in not_audio.most_common(4))
    found = f"it holds {others}" if others else "nothing was found there"
    return f"no sound file in {names}: {found}; possible are wav, mp3, flac, ogg, m4a and other sound files"
