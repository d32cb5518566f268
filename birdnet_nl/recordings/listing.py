"""Listing of every file below a folder: sound files, files that are not audio, hidden files, and what cannot be read.

Symbolic links are followed, each folder once. A walk costs one `scandir` per folder; only links are looked up.
"""

import errno
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from birdnet_nl.recordings.sound_file import SOUND_SUFFIXES

MANIFEST = "recordings.csv"
SYSTEM_FOLDERS = {"__macosx", "$recycle.bin", "system volume information", "lost+found"}
SYSTEM_FILES = {"thumbs.db", "desktop.ini", "ehthumbs.db"}
NO_SUFFIX = "no suffix"
SOUND_STARTS = (
    b"RIFF", b"RIFX", b"RF64", b"riff", b"fLaC", b"OggS", b"ID3", b"FORM", b".snd", b"caff", b"\x1aE\xdf\xa3",
)  # fmt: skip
LINK_ABOVE = "a link to a folder above it"
LINK_READ = "a link to a folder that is read already"


@dataclass
class FolderListing:
    """Every file below a folder, once for each path to it.

    Attributes:
        sounds: paths of sound files by suffix (without suffix, by content), sorted; also those of `same_file`.
        same_file: for a sound file with several paths, the one without links by each other one.
        not_audio: number of files by suffix.
        hidden: number of hidden files, of files of the operating system, and of files in the system folders of a NAS.
        manifests: paths of files called `recordings.csv`.
        left_out: path as text, with escapes for bytes that are not UTF-8, and reason, for what cannot be read.
    """

    folder: Path
    sounds: list[Path] = field(default_factory=list)
    same_file: dict[Path, Path] = field(default_factory=dict)
    not_audio: Counter[str] = field(default_factory=Counter)
    hidden: int = 0
    manifests: list[Path] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)

    @property
    def left_out_below(self) -> list[tuple[str, str]]:
        """As `left_out`, with paths relative to the folder."""
        start = f"{printable_path(self.folder)}/"
        return [(path.removeprefix(start), reason) for path, reason in self.left_out]


def is_hidden(name: str, is_folder: bool) -> bool:
    """Return whether a name is hidden, or of the operating system or a NAS (`@eaDir`, `#recycle`)."""
    if is_folder:
        return name.startswith((".", "@", "#")) or name.lower() in SYSTEM_FOLDERS
    return name.startswith(".") or name.lower() in SYSTEM_FILES


def is_sound_name(name: str) -> bool:
    return suffix_of(name) in SOUND_SUFFIXES


def suffix_of(name: str) -> str:
    """Return the suffix in lower case with its dot, also of a name that ends in blanks or dots (`x.wav `)."""
    name = name.rstrip(" .")
    return f".{name.rpartition('.')[2].lower()}" if "." in name else ""


def path_order(relative_path: str) -> list[str]:
    """Return the key that sorts paths as `Path` does, at a fraction of its time."""
    return relative_path.split("/" if os.sep == "/" else os.sep)


def printable_path(path: str | Path) -> str:
    """Return the path as text that every encoding of Unicode accepts: `J\\xfcrgen.mp3` for a name in Latin-1."""
    return os.fsencode(path).decode("utf-8", errors="backslashreplace")


def list_folder(folder: Path) -> FolderListing:
    """List every file below a folder; nothing raises."""
    return _Walk(folder).run()


class _Walk:
    """State of one walk: folders still to scan, and identities (device, inode) of what was seen."""

    def __init__(self, folder: Path) -> None:
        self.listing = FolderListing(folder)
        self.top = os.fspath(folder)
        self.folders: list[str] = [self.top]
        self.links: list[str] = []  # to folders; followed when everything else is known
        self.seen_folders: set[tuple[int, int]] = set()
        self.sounds: list[tuple[str, tuple[int, int], bool]] = []  # path, identity, whether it is a link

    def run(self) -> FolderListing:
        while self.folders:
            self._scan(self.folders.pop())
        while self.links:
            link = self.links.pop(0)
            identity, parent = _identity(link), link.rpartition(os.sep)[0]
            if identity in _identities_above(self.top) | _identities_above(parent):
                self._leave_out(link, LINK_ABOVE)
            elif identity in self.seen_folders and parent != self.top:  # else a second name of a type folder
                self._leave_out(link, LINK_READ)
            else:
                self.folders.append(link)
            while self.folders:
                self._scan(self.folders.pop())
        self._sort_sounds()
        self.listing.left_out.sort()
        return self.listing

    def _scan(self, folder: str) -> None:
        try:
            with os.scandir(folder) as entries:
                entries = list(entries)
            status = Path(folder).stat()
        except OSError as error:
            self._leave_out(folder, f"a folder that cannot be read ({error.strerror})")
            return
        self.seen_folders.add((status.st_dev, status.st_ino))
        for entry in sorted(entries, key=lambda entry: entry.name):
            try:
                self._add(entry, status.st_dev)
            except OSError as error:
                self._leave_out(entry.path, _explain(error, entry))
        if not entries and is_sound_name(folder) and folder != self.top:
            self._leave_out(folder, "an empty folder, not a file")

    def _add(self, entry: os.DirEntry, device: int) -> None:
        is_link, is_folder = entry.is_symlink(), entry.is_dir()
        if is_hidden(entry.name, is_folder):
            is_walked = is_folder and not is_link
            self.listing.hidden += sum(len(files) for *_, files in os.walk(entry.path)) if is_walked else 1
        elif is_folder:
            (self.links if is_link else self.folders).append(entry.path)
        elif not entry.is_file():
            Path(entry.path).stat()  # raises for a broken link
            self._leave_out(entry.path, "not a regular file")  # a pipe or socket would block the reader
        elif is_sound_name(entry.name) or ("." not in entry.name and _starts_like_sound(entry.path)):
            status = entry.stat() if is_link else None
            identity = (status.st_dev, status.st_ino) if status else (device, entry.inode())
            self.sounds.append((entry.path, identity, is_link))
        else:
            suffix = printable_path(suffix_of(entry.name))
            if entry.name == MANIFEST:
                self.listing.manifests.append(Path(entry.path))
            self.listing.not_audio[suffix if len(suffix) > 1 else NO_SUFFIX] += 1

    def _sort_sounds(self) -> None:
        start = len(self.top) + 1
        first: dict[tuple[int, int], str] = {}
        for text, identity, is_link in self.sounds:
            if not is_link:  # folders that are links come last
                first.setdefault(identity, text)
        for text, identity, _ in sorted(self.sounds, key=lambda sound: path_order(sound[0][start:])):
            path = Path(text)
            self.listing.sounds.append(path)
            if (first_text := first.setdefault(identity, text)) != text:
                self.listing.same_file[path] = Path(first_text)

    def _leave_out(self, path: str, reason: str) -> None:
        self.listing.left_out.append((printable_path(path), reason))


def _identity(path: str) -> tuple[int, int]:
    try:
        status = Path(path).stat()
    except OSError:
        return -1, -1
    return status.st_dev, status.st_ino


def _identities_above(folder: str) -> set[tuple[int, int]]:
    """Return the identities of the folder and of all folders above it; a link to one of them is a loop."""
    path = Path(folder).resolve()
    return {_identity(os.fspath(parent)) for parent in (path, *path.parents)} - {(-1, -1)}


def _explain(error: OSError, entry: os.DirEntry) -> str:
    if not entry.is_symlink():
        return f"cannot be read ({error.strerror})"
    if error.errno == errno.ELOOP:
        return "a link in a circle of links"
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return f"a broken link to {printable_path(Path(entry.path).readlink())}"
    return f"a link that cannot be followed ({error.strerror})"


def _starts_like_sound(path: str) -> bool:
    """Return whether a file without suffix begins as the usual sound files do."""
    try:
        with Path(path).open("rb") as file:
            start = file.read(12)
    except OSError:
        return False
    is_mp3 = len(start) > 1 and start[0] == 0xFF and start[1] & 0xE6 == 0xE2
    return start.startswith(SOUND_STARTS) or is_mp3 or start[4:8] == b"ftyp"
