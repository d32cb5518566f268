"""Sources of recordings: a folder of sound files or of spectrograms, a remote address, or the synthetic demo."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from birdnet_nl.recordings.file_summary import summarize_files
from birdnet_nl.recordings.folder import (
    FolderContent,
    find_species_folders,
    merge_same_id,
    read_species_folders,
    read_spectrogram_folder,
    species_of_folder,
    species_of_spectrogram_folder,
)
from birdnet_nl.recordings.recording import Recording
from birdnet_nl.recordings.remote import (
    RemoteFolders,
    copy_remote_folders,
    find_remote_folders,
    has_remote_file,
    is_url,
)
from birdnet_nl.recordings.type_set import TypeSet
from birdnet_nl.species.table import OUTSIDE, Species, get_species, pooled_species
from birdnet_nl.synthetic.demo import DEMO_MARK, make_demo_species
from birdnet_nl.util.errors import BirdnetNlError, DataError
from birdnet_nl.util.files import user_path

SOURCES = ("auto", "demo", "xeno_canto", "spectrograms")
DEFAULT_ROOT = Path("data")
MAX_DEMO_SPECIES = 20  # of a pool given as a group, since each species takes about 20 s to synthesise
SYNTHETIC = "-synthetic"  # suffix of the directory of a run on demo recordings


class RecordingsSource(Protocol):
    """A source from outside the package, named by its class in a file of `conf/data/` (`source: {_target_: …}`).

    Attributes:
        synthetic: whether the recordings are synthetic, so that runs are marked; False where the class has none.
    """

    def read(self, species: Species) -> Sequence[Recording]:
        """Return the recordings of a species; the ids of different recordings differ."""


@dataclass(frozen=True)
class DemoSettings:
    """Folder and parameters of the demo recordings; see `birdnet_nl.synthetic.demo.make_demo_species`."""

    folder: str
    recordings_per_type: int
    difficulty: str
    seed: int
    median_s: float = 13.0


@dataclass(frozen=True)
class SourceChoice:
    """Source of one species' recordings.

    Attributes:
        synthetic: whether the recordings are demo recordings.
        folders: empty if the recordings must be synthesised (demo) or copied (`remote`) first.
        spectrograms: whether the folders hold the original's `.npy` files instead of sound files.
        why: why the recordings are synthetic; empty otherwise.
        custom: a source from outside the package, which reads the recordings itself; before it is built, its mapping in
            the configuration.
    """

    synthetic: bool
    folders: tuple[Path, ...]
    spectrograms: bool = False
    why: str = ""
    remote: RemoteFolders | None = None
    custom: RecordingsSource | Mapping[str, Any] | None = None


def choose_source(
    source: str | RecordingsSource | Mapping[str, Any], root: str | Path | None, species: Species
) -> SourceChoice:
    """Choose between the user's recordings and the demo, from folder names only.

    `auto` uses the demo only without a `root`; a root given by the user must contain the species, else it raises
    `DataError`.
    """
    if not isinstance(source, str) and (hasattr(source, "read") or isinstance(source, Mapping)):
        synthetic = bool(getattr(source, "synthetic", False))
        why = f"{type(source).__name__} gives synthetic recordings" if synthetic else ""
        return SourceChoice(synthetic, folders=(), why=why, custom=source)
    if source not in SOURCES:
        raise ValueError(
            f"data.source={source} is unknown; choose one of {', '.join(SOURCES)}, or give a class with a method read"
        )
    if source == "demo":
        return SourceChoice(synthetic=True, folders=(), why="data=demo")
    if is_url(root):
        return _choose_remote(source, root, species)
    has_root = bool(root)  # empty: from an empty environment variable
    folder = user_path(root) if has_root else DEFAULT_ROOT
    if source == "auto" and not has_root:
        folders = find_species_folders(folder, species) if folder.is_dir() else []
        if not folders and species.priority == OUTSIDE:
            raise DataError(_nothing_found(folder, species) if folder.is_dir() else _no_folder(folder, species))
        if not folders:
            why = f"no recordings of {species.slug} in ./{DEFAULT_ROOT}; give data.root=<folder> for your own"
            return SourceChoice(synthetic=True, folders=(), why=why)
    elif source == "spectrograms":
        folders = find_species_folders(folder, species, species_of_spectrogram_folder)
        if not folders:
            raise DataError(f"data.root={folder} holds no spectrograms-{species.slug}/<song|call|alarm>/*_seg<NNN>.npy")
    else:
        folders = find_species_folders(folder, species)
        if not folders:
            raise DataError(_nothing_found(folder, species))
    synthetic = any((folder / DEMO_MARK).is_file() for folder in folders)
    return SourceChoice(
        synthetic=synthetic,
        folders=tuple(folders),
        spectrograms=source == "spectrograms",
        why=f"{folders[0]} was made by the generator" if synthetic else "",
    )


def _choose_remote(source: str, url: str, species: Species) -> SourceChoice:
    spectrograms = source == "spectrograms"
    species_of = species_of_spectrogram_folder if spectrograms else species_of_folder
    remote = find_remote_folders(url, species, species_of)
    if not remote.names:
        layout = f"spectrograms-{species.slug}" if spectrograms else f"xeno-canto-{species.slug}/<song|call|alarm>"
        raise DataError(f"data.root={url} holds no recordings of {species.slug}; put them in {layout}/ there")
    synthetic = has_remote_file(remote, DEMO_MARK)
    why = f"{url}/{remote.names[0]} was made by the generator" if synthetic else ""
    return SourceChoice(synthetic, (), spectrograms, why, remote)


def choose_sources(
    source: str | RecordingsSource | Mapping[str, Any], root: str | Path | None, members: Sequence[Species], group: bool
) -> dict[Species, SourceChoice]:
    """Choose the source of each species of a pool; all real or all demo, else it raises `DataError`.

    With `group` (`all`, `priority1`) species without recordings are left out.
    """
    choices: dict[Species, SourceChoice] = {}
    missing: list[DataError] = []
    for species in members:
        try:
            choices[species] = choose_source(source, root, species)
        except DataError as error:
            if not group:
                raise
            missing.append(error)
    if not choices:
        raise missing[0]
    synthetic = [species for species, choice in choices.items() if choice.synthetic]
    if group and len(synthetic) < len(choices):
        return {species: choice for species, choice in choices.items() if not choice.synthetic}
    if 0 < len(synthetic) < len(choices):
        slugs = ", ".join(species.slug for species in synthetic[:5])
        raise DataError(
            f"data.pool has recordings of some species and only the demo of others ({slugs}); leave these out"
        )
    exist = any(choice.folders or choice.remote or choice.custom for choice in choices.values())
    if group and not exist and len(members) > MAX_DEMO_SPECIES:
        raise DataError(
            f"a pool of {len(members)} species would have to be synthesised for the demo; name some of them, as in "
            "data.pool=[koolmees,merel,vink], or give data.root=<folder>"
        )
    return choices


def synthetic_mark(
    source: str | Mapping[str, Any], root: str | None, slug: str, pool: str | Sequence[str] | None
) -> str:
    """Return the suffix of a run directory: `SYNTHETIC` if the run will use demo recordings, else nothing."""
    try:
        members = pooled_species(pool) if pool else [get_species(slug)]
        choices = choose_sources(source, root, members, group=isinstance(pool, str))
        return SYNTHETIC if any(choice.synthetic for choice in choices.values()) else ""
    except (BirdnetNlError, ValueError):
        return ""  # the run itself raises the error


def _no_folder(root: Path, species: Species) -> str:
    return (
        f"there is no folder {root}, and the demo has species of the table only; put recordings in "
        f"{root}/xeno-canto-{species.slug}/<song|call|alarm>/, or give data.root=<folder>"
    )


def _nothing_found(root: Path, species: Species) -> str:
    if species_of_folder(root.resolve()) == species:
        return f"data.root={root} is the folder of {species.slug} itself; give the one above: {root.resolve().parent}"
    slugs = sorted({match.slug for child in root.iterdir() if child.is_dir() and (match := species_of_folder(child))})
    others = f"folders of {len(slugs)} other species ({', '.join(slugs[:5])}…)"
    content = others if slugs else "no species folder at all"
    return (
        f"data.root={root} holds {content} and none of {species.slug}; put its recordings in "
        f"{root}/xeno-canto-{species.slug}/<song|call|alarm>/, or try data=demo"
    )


def read_source(
    choice: SourceChoice, species: Species, demo: DemoSettings, remote_dir: Path, type_set: TypeSet
) -> list[Recording]:
    """Return the recordings of `species`; first synthesise the demo, or copy remote recordings to `remote_dir`."""
    return read_content(choice, species, demo, remote_dir, type_set).recordings


def read_content(
    choice: SourceChoice, species: Species, demo: DemoSettings, remote_dir: Path, type_set: TypeSet
) -> FolderContent:
    """As `read_source`, with every other file in the folders of the species."""
    if choice.custom is not None:
        recordings = list(choice.custom.read(species))
        if not recordings:
            raise DataError(f"{species.slug}: {type(choice.custom).__name__} of data.source has no recordings of it")
        return FolderContent(recordings)
    folders = choice.folders
    if choice.remote:
        folders = copy_remote_folders(choice.remote, remote_dir, species.slug)
    elif not folders:
        settings = asdict(demo)
        folders = (make_demo_species(Path(settings.pop("folder")), species.slug, **settings),)
    return read_folder_content(folders, species, type_set, choice.spectrograms)


def read_folders(
    folders: Sequence[Path], species: Species, type_set: TypeSet, spectrograms: bool = False
) -> list[Recording]:
    """Return the recordings in all folders of a species, each number once; raise `DataError` if there are none."""
    return read_folder_content(folders, species, type_set, spectrograms).recordings


def read_folder_content(
    folders: Sequence[Path], species: Species, type_set: TypeSet, spectrograms: bool = False
) -> FolderContent:
    """As `read_folders`, with every other file in the folders; files of spectrograms are not listed."""
    if spectrograms:
        by_id: dict[str, list[Recording]] = defaultdict(list)
        for folder in folders:
            for recording in read_spectrogram_folder(folder, species, type_set):
                by_id[recording.id].append(recording)
        content = FolderContent([merge_same_id(same_id) for same_id in by_id.values()])
    else:
        content = read_species_folders(folders, species, type_set)
    if not content.recordings:
        expected = "*_seg<NNN>.npy" if spectrograms else "*.mp3 (or wav, flac, ogg)"
        kind = "spectrograms" if spectrograms else "sound files"
        summary = summarize_files([content], {})
        others = f" ({summary.line()})" if summary.files else ""
        raise DataError(f"{species.slug}: no {kind} in {folders[0]}{others}; expected <song|call|alarm>/{expected}")
    return content


def with_own_ids(recordings: Sequence[Recording]) -> list[Recording]:
    """Return the recordings, with the species before the id where two species share one (`koolmees/XC1`)."""
    count = Counter(recording.id for recording in recordings)
    return [
        replace(recording, id=f"{recording.species}/{recording.id}") if count[recording.id] > 1 else recording
        for recording in recordings
    ]
