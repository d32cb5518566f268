"""Extra recordings of any species (`data.extra_roots`): for training only, never for validation or test."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from birdnet_nl.audio.cache import CachedMel
from birdnet_nl.audio.mel import MelParams
from birdnet_nl.data.deduplicate import remove_further_duplicates
from birdnet_nl.data.prepare import MakeMels, PreparedRecordings
from birdnet_nl.data.sources import DEMO_MARK
from birdnet_nl.data.splits import group_of
from birdnet_nl.recordings.folder import FolderContent, read_species_folders, species_folders, species_of_folder
from birdnet_nl.recordings.recording import Recording, xeno_canto_number
from birdnet_nl.recordings.type_set import TypeSet, type_order
from birdnet_nl.species.table import Species, normalise_name, species_of_slug
from birdnet_nl.util.errors import DataError
from birdnet_nl.util.files import did_you_mean, user_path

PREFIX = "xeno_canto_"  # of a folder of a species outside the table, normalised
HELD_OUT = "its recordist is in the validation or test split"
OF_TEST_SOURCE = "it is of the source that is tested on"


@dataclass(frozen=True)
class ExtraRecordings:
    """Recordings of the extra roots.

    Attributes:
        contents: every file in the folders of each species.
        found: all recordings, with ids that differ from those of the run.
        usable: recordings of `found` that may be trained on: by recordists that are not held out, each number once.
        recordings: recordings of exactly one type among `usable`, decoded and without duplicates.
        mels: mel by id of each of `recordings`.
        left_out: reason by file; without files that are not plainly of one type.
    """

    contents: list[FolderContent] = field(default_factory=list)
    found: list[Recording] = field(default_factory=list)
    usable: list[Recording] = field(default_factory=list)
    recordings: list[Recording] = field(default_factory=list)
    mels: dict[str, CachedMel] = field(default_factory=dict)
    left_out: dict[Path, str] = field(default_factory=dict)

    def describe(self) -> dict[str, Any]:
        """Counts for `metrics.json`: recordings by type, species, and recordings left out by reason."""
        counts = Counter(recording.vocalization_type for recording in self.recordings)
        return {
            "recordings": {name: counts[name] for name in sorted(counts, key=type_order)},
            "species": len({recording.species for recording in self.recordings}),
            "left_out": dict(Counter(map(_kind_of, self.left_out.values())).most_common()),
        }


def _kind_of(reason: str) -> str:
    """Return a reason without the name of a file at its end, to count equal ones."""
    for start in ("has the same content as", "holds the same sound as", "has the same number as"):
        if reason.startswith(start):
            return f"{start} another"
    return reason.partition(" (")[0]


def check_extra_roots(roots: Sequence[str] | str, synthetic: bool, split_by: str, spectrograms: bool) -> list[Path]:
    """Return the folders of `data.extra_roots`; raises `ValueError` or `DataError` where they cannot be used."""
    folders = [user_path(root) for root in ([roots] if isinstance(roots, str) else roots or ())]
    if folders and split_by == "segment":
        raise ValueError("data.extra_roots and data.split_by=segment exclude each other: extras are for training only")
    if folders and spectrograms:
        raise ValueError("data.extra_roots needs recordings, and data=spectrograms holds parts of them")
    for folder in folders:
        if not folder.is_dir():
            raise DataError(f"data.extra_roots: {folder} is not a folder{did_you_mean(folder)}")
        of_species = find_extra_folders(folder)
        if not of_species:
            raise DataError(
                f"data.extra_roots: {folder} holds no folders xeno-canto-<species>/<song|call|alarm>; give the folder "
                "above them"
            )
        demo = any((path / DEMO_MARK).is_file() for paths in of_species.values() for path in paths)
        if demo != synthetic:
            kinds = ("synthetic demo recordings", "real ones")
            extra, own = kinds if demo else kinds[::-1]
            raise DataError(f"data.extra_roots: {folder} holds {extra} and the run has {own}; give folders of one kind")
    return folders


def find_extra_folders(root: Path) -> dict[Species, list[Path]]:
    """Return the species folders in `root`, also of species outside the table (`xeno-canto-zonotrichia_leucophrys`)."""

    def species_of(folder: Path) -> Species | None:
        name = normalise_name(folder.name)
        outside = name.startswith(PREFIX) and len(name) > len(PREFIX)
        return species_of_folder(folder) or (species_of_slug(name.removeprefix(PREFIX)) if outside else None)

    return species_folders(root, species_of)


def read_extra(roots: Sequence[Path], type_set: TypeSet, taken: Sequence[Recording]) -> ExtraRecordings:
    """Read all recordings in `roots`; their ids differ from those of the recordings `taken`, which keep theirs."""
    contents, found, ids = [], [], {recording.id for recording in taken}
    for root in roots:
        for species, folders in find_extra_folders(root).items():
            content = read_species_folders(folders, species, type_set)
            contents.append(content)
            for recording in filter(_exists, content.recordings):  # rows without a file are listed in the content
                id = recording.id if recording.id not in ids else f"{recording.species}/{recording.id}"
                while id in ids:
                    id = f"extra_{id}"
                ids.add(id)
                found.append(replace(recording, id=id))
    return ExtraRecordings(contents, found)


def _exists(recording: Recording) -> bool:
    return recording.path.is_file()


def select_extra(
    extra: ExtraRecordings,
    prepared: PreparedRecordings,
    make_mels: MakeMels,
    mel: MelParams,
    numbers_are_unique: bool,
    test_source: str | None = None,
) -> ExtraRecordings:
    """Select the recordings that may be trained on beside those of a run.

    Left out are recordings of `test_source`, by recordists of the validation and test splits, with the number, the
    content or the sound of a recording of the run, and duplicates among themselves. Demo recordings of different
    species share their numbers: `numbers_are_unique=False` ignores the numbers.
    """
    held_out = {group_of(recording) for recording in prepared.recordings if prepared.splits[recording.id] != "train"}
    number_of = xeno_canto_number if numbers_are_unique else _no_number
    known = {number: recording for recording in prepared.recordings if (number := number_of(recording.id))}
    left_out: dict[Path, str] = {}
    usable = []
    for recording in extra.found:
        number = number_of(recording.id.removeprefix("extra_"))
        if group_of(recording) in held_out:
            left_out[recording.path] = HELD_OUT
        elif test_source is not None and recording.source == test_source:
            left_out[recording.path] = OF_TEST_SOURCE
        elif number in known:
            left_out[recording.path] = f"has the same number as {known[number].path}"
        else:
            usable.append(recording)
            known |= {number: recording} if number else {}
    plain = [recording for recording in usable if recording.vocalization_type in prepared.types]
    mels, unusable = make_mels(plain)
    decoded = [recording for recording in plain if recording.id in mels]
    kept, duplicates = remove_further_duplicates(decoded, prepared.recordings, prepared.mels | mels, mel)
    left_out |= {file.path: file.reason for file in (*unusable, *duplicates)}
    return replace(
        extra,
        usable=usable,
        recordings=kept,
        mels={recording.id: mels[recording.id] for recording in kept},
        left_out=left_out,
    )


def _no_number(id: str) -> str:
    return ""


def add_extra(prepared: PreparedRecordings, extra: ExtraRecordings) -> PreparedRecordings:
    """Add the selected recordings to the training split."""
    return replace(
        prepared,
        recordings=[*prepared.recordings, *extra.recordings],
        splits=prepared.splits | {recording.id: "train" for recording in extra.recordings},
        mels=prepared.mels | extra.mels,
        extra=frozenset(recording.id for recording in extra.found),
    )


def weigh_extra(prepared: PreparedRecordings, extra: ExtraRecordings, extra_weight: float) -> dict[str, float]:
    """Return the weight of each recording of `extra` for training, by id, above 0 and at most 1.

    Those of a type together weigh at most `extra_weight` times as much as the training recordings of the run: extra
    recordings of which most are calls, or from another source, would else decide what an alarm is. Those of several
    types weigh as those of one type do on average.
    """
    ids = {recording.id for recording in extra.recordings}
    counts = {
        among: Counter(
            recording.vocalization_type
            for recording in prepared.recordings
            if prepared.splits[recording.id] == "train" and (recording.id in ids) == among
        )
        for among in (True, False)
    }
    of_type = {
        name: min(1.0, extra_weight * own / count) if (own := counts[False][name]) else 1.0
        for name, count in counts[True].items()
    }
    weights = [of_type[recording.vocalization_type] for recording in extra.recordings]
    of_several = sum(weights) / len(weights) if weights else 1.0
    return {recording.id: of_type.get(recording.vocalization_type, of_several) for recording in extra.usable}


def describe_extra(
    extra: ExtraRecordings, weights: Mapping[str, float], several: int, in_words: Callable[[Mapping[str, int]], str]
) -> str:
    """Describe the extra recordings on one line; `several` of them have several types, `weights` are by id."""
    counts = extra.describe()
    reasons = ", ".join(f"{count} {reason}" for reason, count in counts["left_out"].items())
    of_several = f", and {several} of several types," if several else ""
    of_type = {recording.vocalization_type: weights.get(recording.id, 1.0) for recording in extra.recordings}
    weighed = ", ".join(f"{name} {of_type[name]:.2g}" for name in counts["recordings"] if of_type[name] < 1)
    return (
        f"{len(extra.recordings)} of the training recordings ({in_words(counts['recordings'])}){of_several} are extra, "
        f"of {counts['species']} species"
        + (f"; weight of each: {weighed}" if weighed else "")
        + (f"; left out: {reasons}" if reasons else "")
    )
