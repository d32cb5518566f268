"""Where the recordings of a species come from: a folder of sounds or of spectrograms, or the synthetic demo."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from birdnet_nl.recordings.folder import find_species_folders, one_of, read_species_folder, species_of_folder
from birdnet_nl.recordings.recording import Recording
from birdnet_nl.recordings.remote import (
    RemoteFolders,
    copy_remote_folders,
    find_remote_folders,
    is_url,
    remote_has,
)
from birdnet_nl.recordings.spectrogram_folder import read_spectrogram_folder, species_of_spectrogram_folder
from birdnet_nl.species.pool import pooled_species
from birdnet_nl.species.table import Species, get_species
from birdnet_nl.util.errors import BirdnetNlError, DataError

SOURCES = ("auto", "demo", "xeno_canto", "spectrograms")
DEFAULT_ROOT = Path("data")
MAX_DEMO_SPECIES = 20  # that are made for a pool without being named; each takes some 20 seconds
DEMO_MARK = "demo.json"  # written last into every folder of demo recordings
SYNTHETIC = "-synthetic"  # the end of the name of a run that uses demo recordings


@dataclass(frozen=True)
class DemoSettings:
    """Which demo recordings are made, and where; see `birdnet_nl.synthetic.demo`."""

    folder: str
    recordings_per_type: int
    difficulty: str
    seed: int
    median_s: float = 13.0


@dataclass(frozen=True)
class SourceChoice:
    """Where a species' recordings are; `folders` is empty when they have to be made (demo) or copied (`remote`) first.

    `spectrograms` says that the folders hold the original's `.npy` files instead of sound, `why` why it is the demo.
    """

    synthetic: bool
    folders: tuple[Path, ...]
    spectrograms: bool = False
    why: str = ""
    remote: RemoteFolders | None = None


def choose_source(source: str, root: str | Path | None, species: Species) -> SourceChoice:
    """Decide between the user's recordings and the demo; reads folder names only.

    `auto` falls back on the demo only below the default root: a root the user named must hold the species.
    """
    if source not in SOURCES:
        raise ValueError(f"data.source={source} is unknown; choose one of {', '.join(SOURCES)}")
    if source == "demo":
        return SourceChoice(synthetic=True, folders=(), why="data=demo")
    if is_url(root):
        return _choose_remote(source, root, species)
    named_root = bool(root)  # an empty environment variable names nothing
    folder = Path(root).expanduser() if named_root else DEFAULT_ROOT
    if source == "auto" and not named_root:
        folders = find_species_folders(folder, species) if folder.is_dir() else []
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
    synthetic = remote_has(remote, DEMO_MARK)
    why = f"{url}/{remote.names[0]} was made by the generator" if synthetic else ""
    return SourceChoice(synthetic, (), spectrograms, why, remote)


def choose_sources(
    source: str, root: str | Path | None, members: Sequence[Species], group: bool
) -> dict[Species, SourceChoice]:
    """`choose_source` for each of several species; never recordings and demo together.

    With `group` the species were not named one by one, so those without recordings are left out.
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
    if synthetic and len(synthetic) < len(choices):
        named = ", ".join(species.slug for species in synthetic[:5])
        raise DataError(
            f"there are recordings of some species of the pool and only the demo of others ({named}); leave these out"
        )
    if (
        group
        and synthetic
        and len(members) > MAX_DEMO_SPECIES
        and not any(choice.folders or choice.remote for choice in choices.values())
    ):
        raise DataError(
            f"a pool of {len(members)} species would have to be synthesised for the demo; name some of them, as in "
            "data.pool=[koolmees,merel,vink], or give data.root=<folder>"
        )
    return choices


def synthetic_mark(source: str, root: str | None, slug: str, pool: str | Sequence[str] | None) -> str:
    """The end of a run directory's name: `SYNTHETIC` when the run will use demo recordings."""
    try:
        members = pooled_species(pool) if pool else [get_species(slug)]
        choices = choose_sources(source, root, members, group=isinstance(pool, str))
        return SYNTHETIC if any(choice.synthetic for choice in choices.values()) else ""
    except (BirdnetNlError, ValueError):
        return ""  # the run itself says what is wrong


def _nothing_found(root: Path, species: Species) -> str:
    if species_of_folder(root.resolve()) == species:
        return f"data.root={root} is the folder of {species.slug} itself; give the one above: {root.resolve().parent}"
    found = sorted({match.slug for child in root.iterdir() if child.is_dir() and (match := species_of_folder(child))})
    what = f"folders of {len(found)} other species ({', '.join(found[:5])}…)" if found else "no species folder at all"
    return (
        f"data.root={root} holds {what} and none of {species.slug}; put its recordings in "
        f"{root}/xeno-canto-{species.slug}/<song|call|alarm>/, or try data=demo"
    )


def read_source(
    choice: SourceChoice, species: Species, demo: DemoSettings, remote_dir: Path, flight_call: str
) -> list[Recording]:
    """The recordings of `species`; first makes the demo recordings, or copies remote ones into `remote_dir`."""
    folders = choice.folders
    if choice.remote:
        folders = copy_remote_folders(choice.remote, remote_dir, species.slug)
    elif not folders:
        from birdnet_nl.synthetic.demo import make_demo_species  # scipy and the synthesis, not needed otherwise

        folders = (
            make_demo_species(
                Path(demo.folder),
                species.slug,
                recordings_per_type=demo.recordings_per_type,
                seed=demo.seed,
                difficulty=demo.difficulty,
                median_s=demo.median_s,
            ),
        )
    return read_folders(folders, species, flight_call, choice.spectrograms)


def read_folders(
    folders: Sequence[Path], species: Species, flight_call: str, spectrograms: bool = False
) -> list[Recording]:
    """The recordings in all folders of a species, each number once; raises `DataError` when there is none."""
    read_folder = read_spectrogram_folder if spectrograms else read_species_folder
    by_id: dict[str, list[Recording]] = defaultdict(list)
    for folder in folders:
        for recording in read_folder(folder, species, flight_call):
            by_id[recording.id].append(recording)
    if not by_id:
        files = "*_seg<NNN>.npy" if spectrograms else "*.mp3 (or wav, flac, ogg)"
        what = "spectrograms" if spectrograms else "sound files"
        raise DataError(f"{species.slug}: no {what} in {folders[0]}; expected <song|call|alarm>/{files}")
    return [one_of(same_id) for same_id in by_id.values()]


def with_own_ids(recordings: Sequence[Recording]) -> list[Recording]:
    """The same recordings; where two species share an id, with the species before it."""
    count = Counter(recording.id for recording in recordings)
    return [replace(r, id=f"{r.species}/{r.id}") if count[r.id] > 1 else r for r in recordings]
