"""Import of label files: match them with the recordings of the species folders and store them beside the manifest."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from birdnet_nl.recordings.annotations import (
    ANNOTATIONS,
    Annotation,
    LabelFileError,
    read_annotations,
    write_annotations,
)
from birdnet_nl.recordings.folder import recording_id, species_folders
from birdnet_nl.recordings.label_files import SUFFIXES, names_species, read_label_file
from birdnet_nl.recordings.listing import MANIFEST, is_hidden, list_folder, printable_path
from birdnet_nl.recordings.row_matching import FileIndex, number_in_name, path_parts
from birdnet_nl.species.table import Species
from birdnet_nl.util.errors import DataError
from birdnet_nl.util.files import did_you_mean

NOT_LABELS = {MANIFEST, ANNOTATIONS, "train_metadata.csv", "attribution.md", "readme.txt", "demo.json"}


@dataclass
class LabelReport:
    """Result of an import of label files.

    Attributes:
        formats: number of label files by format.
        stored: number of annotations in `annotations.csv` by species, of this import.
        recordings: recordings (folder, file) that have annotations of this import.
        replaced: annotations of the same label files that an earlier import had stored.
        refused: (label file or recording, reason) for what was not stored.
    """

    formats: Counter[str] = field(default_factory=Counter)
    stored: Counter[str] = field(default_factory=Counter)
    recordings: set[tuple[Path, str]] = field(default_factory=set)
    replaced: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)


class RecordingIndex:
    """Sound files of all species folders below a root, found by Xeno-canto number or by any end of their path."""

    def __init__(self, root: Path) -> None:
        self.folders: list[tuple[Path, Species, FileIndex]] = []
        self.of_number: dict[str, list[tuple[Path, Species, str]]] = defaultdict(list)
        for species, folders in species_folders(root).items():
            for folder in folders:
                listing = list_folder(folder)
                sounds = [path for path in listing.sounds if path not in listing.same_file]
                files = [path.relative_to(folder).as_posix() for path in sounds]
                self.folders.append((folder, species, FileIndex(files)))
                for file in files:
                    if number := number_in_name(Path(file).stem):
                        self.of_number[number].append((folder, species, file))

    def find(self, text: str) -> list[tuple[Path, Species, str]]:
        """Return folder, species and file of all recordings that a path, a name or a number can stand for."""
        if number := number_in_name(path_parts(text)[-1] if path_parts(text) else text):
            by_folder = {folder: (folder, species, file) for folder, species, file in self.of_number[number][::-1]}
            return list(by_folder.values())  # a number twice in a folder is one recording
        parts = path_parts(text)
        return [
            (folder, species, file) for folder, species, index in self.folders for file in index.end(parts) if parts
        ]


def import_labels(labels: Path, root: Path) -> LabelReport:
    """Store the annotations of a label file, or of all label files below a folder, in the species folders of `root`.

    A label file is matched by the file or the number that its rows name, else by its own name. What an earlier import
    stored of the same label file for the same recording is replaced.

    Raises:
        DataError: if the labels cannot be read, or `root` has no species folder.
    """
    report = LabelReport()
    index = RecordingIndex(root)
    if not index.folders:
        raise DataError(f"{root} has no folder of a species; import the recordings first: birdnet-nl import <folder>")
    by_folder: dict[Path, list[Annotation]] = defaultdict(list)
    for path in _label_files(labels):
        name = printable_path(path.relative_to(labels if labels.is_dir() else labels.parent))
        try:
            label_format, annotations = read_label_file(path)
        except (LabelFileError, OSError) as error:
            report.refused.append((name, str(getattr(error, "strerror", "") or error)))
            continue
        report.formats[label_format.name] += 1
        if not annotations:
            report.refused.append((name, "it has no labels"))
        for place, annotation in _matched(annotations, index, name, report):
            by_folder[place[0]].append(replace(annotation, recording=place[2]))
            report.stored[place[1].slug] += 1
            report.recordings.add((place[0], place[2]))
    for folder, annotations in by_folder.items():
        report.replaced += _store(folder, annotations)
    return report


def _label_files(labels: Path) -> list[Path]:
    if labels.is_file():
        return [labels]
    if not labels.is_dir():
        raise DataError(
            f"--labels {labels} does not exist{did_you_mean(labels)}; give a label file or a folder of them"
        )
    files = [
        path
        for path in sorted(labels.rglob("*"))
        if path.suffix.lower() in SUFFIXES and path.name.lower() not in NOT_LABELS and path.is_file()
        if not is_hidden(path.name, is_folder=False)
    ]
    if not files:
        raise DataError(f"--labels {labels} holds no file that ends in {', '.join(SUFFIXES)}; give the label files")
    return files


def _matched(
    annotations: Sequence[Annotation], index: RecordingIndex, name: str, report: LabelReport
) -> Iterable[tuple[tuple[Path, Species, str], Annotation]]:
    """Yield annotations with the place of their recording; the others are refused, each recording once."""
    places: dict[str, list[tuple[Path, Species, str]]] = {}
    refused: Counter[tuple[str, str]] = Counter()
    for annotation in annotations:
        text = annotation.recording
        if text not in places:
            places[text] = index.find(text)
        found = places[text]
        if len(found) > 1 and annotation.species:
            found = [place for place in found if names_species(annotation.species, place[1])] or found
        if len(found) == 1:
            yield found[0], annotation
        elif found:
            refused[text, f"fits several recordings, such as {found[0][2]} of {found[0][1].slug}"] += 1
        else:
            refused[text, "there is no such recording"] += 1
    for (text, reason), count in refused.items():
        report.refused.append((f"{name}: {text}", f"{reason} ({count} label{'s' * (count > 1)})"))


def _store(folder: Path, annotations: Sequence[Annotation]) -> int:
    """Add annotations to the file of a species folder, and return how many of before they replaced."""

    def key(annotation: Annotation) -> tuple[str, str]:
        return recording_id(folder / annotation.recording, folder), annotation.source

    new = {key(annotation) for annotation in annotations}
    before = read_annotations(folder)
    kept = [annotation for annotation in before if key(annotation) not in new]
    try:
        write_annotations(folder, [*kept, *annotations])
    except OSError as error:
        raise DataError(f"{folder / ANNOTATIONS} cannot be written ({error.strerror})") from None
    return len(before) - len(kept)


def export_annotations(root: Path) -> tuple[list[Annotation], list[tuple[str, str]]]:
    """Return all stored annotations of recordings of Xeno-canto below `root`, and (file, reason) of the others.

    Columns of other formats are left out. A label without a species gets the scientific name of the species folder.
    """
    exported, refused = [], Counter()
    for species, folders in species_folders(root).items():
        for folder in folders:
            for annotation in read_annotations(folder):
                if number := number_in_name(Path(annotation.recording).stem):
                    name = annotation.species or species.scientific
                    of_a_set = any(key.startswith("set ") for key in annotation.other)  # else columns of other formats
                    other = annotation.other if of_a_set else {}
                    exported.append(replace(annotation, recording=number, species=name, other=other))
                else:
                    refused[f"{species.slug}/{annotation.recording}"] += 1
    reason = "its name has no number of Xeno-canto"
    return exported, [(file, f"{reason} ({count} labels)") for file, count in refused.items()]
