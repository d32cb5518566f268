"""Label files of all formats: recognition, reading and writing, and the recording and species that a label names."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from birdnet_nl.recordings import (
    annotations_analyzer,
    annotations_audacity,
    annotations_nips4bplus,
    annotations_raven,
    annotations_xeno_canto,
)
from birdnet_nl.recordings.annotations import Annotation, LabelFileError
from birdnet_nl.recordings.csv_table import decode_text
from birdnet_nl.species.table import Species, find_species, normalise_name

SUFFIXES = (".txt", ".csv", ".tsv", ".json")
ENDS = re.compile(  # what label files add to the name of the sound file
    r"([ ._-]+(table[ ._]?\d*|selections?|birdnet|birdnet_nl|results|labels?|annotations?|audacity))+$",
    re.IGNORECASE,
)
NIPS4B = re.compile(r"annotation_(train|test)(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class LabelFormat:
    """A format of label files: `recognises` and `read` take the text of a file, `write` returns it."""

    name: str
    recognises: Callable[[str], bool]
    read: Callable[[str], list[Annotation]]
    write: Callable[[Sequence[Annotation]], str]


FORMATS = (
    LabelFormat("Xeno-canto annotation set", annotations_xeno_canto.is_xeno_canto,
                annotations_xeno_canto.read_xeno_canto, annotations_xeno_canto.write_xeno_canto),
    LabelFormat("Raven", annotations_raven.is_raven, annotations_raven.read_raven, annotations_raven.write_raven),
    LabelFormat("BirdNET-Analyzer", annotations_analyzer.is_analyzer, annotations_analyzer.read_analyzer,
                annotations_analyzer.write_analyzer),
    LabelFormat("Audacity", annotations_audacity.is_audacity, annotations_audacity.read_audacity,
                annotations_audacity.write_audacity),
    LabelFormat("NIPS4Bplus", annotations_nips4bplus.is_nips4bplus, annotations_nips4bplus.read_nips4bplus,
                annotations_nips4bplus.write_nips4bplus),
)  # fmt: skip


def format_of(text: str) -> LabelFormat | None:
    """Return the format of a label file from its content; None for another file, or for an empty one."""
    return next((one for one in FORMATS if one.recognises(text)), None)


def read_label_file(path: Path) -> tuple[LabelFormat, list[Annotation]]:
    """Read a label file of any format; annotations without a recording of their own get the name of the file.

    Raises:
        LabelFileError: if it is of no known format, or damaged, with its line.
        OSError: if it cannot be read.
    """
    text = decode_text(path.read_bytes())
    if not text.strip():
        raise LabelFileError("it is empty")
    label_format = format_of(text)
    if label_format is None:
        raise LabelFileError(f"it is of none of the formats {', '.join(one.name for one in FORMATS)}")
    name = recording_of_label_file(path.name)
    return label_format, [
        replace(annotation, recording=annotation.recording or name, source=path.name)
        for annotation in label_format.read(text)
    ]


def recording_of_label_file(name: str) -> str:
    """Return the name of the sound file, with or without suffix, that a label file is named after.

    `XC1.Table.1.selections.txt`, `XC1.BirdNET.results.csv` and `XC1_labels.txt` give `XC1`; `annotation_train001.csv`
    of NIPS4Bplus gives `nips4b_birds_trainfile001`.
    """
    stem = name.rpartition(".")[0] or name
    if match := NIPS4B.fullmatch(stem):
        return f"nips4b_birds_{match[1].lower()}file{match[2]}"
    return ENDS.sub("", stem) or stem


def names_species(text: str, species: Species) -> bool:
    """Return whether a text is the species' name, a six-letter code (`Parmaj`) or a four-letter one (`GRTI`)."""
    found = find_species(text)
    if found is not None:
        return found.slug == species.slug
    key = re.sub(r"[^a-z]", "", text.casefold())
    return bool(key) and key in _codes(species)


def _codes(species: Species) -> set[str]:
    words = normalise_name(species.scientific).split("_")
    english = normalise_name(species.english).split("_")
    codes = {"".join(word[:3] for word in words[:2])} if len(words) > 1 else set()
    codes |= {"".join(word[:2] for word in english)} if len(english) == 2 else set()
    codes |= {english[0][:2] + english[1][0] + english[2][0]} if len(english) == 3 else set()
    return codes | ({english[0][:4]} if len(english) == 1 else set())


def species_and_type(annotation: Annotation, species: Species) -> tuple[bool, str]:
    """Return whether an annotation of a recording of `species` is about it, and the text of its type.

    Without a species of its own it is, unless its label names another one: `Parmaj_song`, `Great Tit, song`. A label
    with names of the species only (BirdNET-Analyzer's `Parus major_Great Tit`) has no type.
    """
    if annotation.species.strip():
        names = [annotation.species, *annotation.species.split("_")]
        return any(names_species(name, species) for name in names), annotation.type_text.strip()
    label = annotation.type_text.strip()
    if names_species(label, species):
        return True, ""
    parts = [part.strip() for part in re.split(r"[_,;:|]| - ", label) if part.strip()]
    own = [part for part in parts if names_species(part, species)]
    others = [part for part in parts if part not in own and find_species(part) is not None]
    if own:
        return True, " ".join(part for part in parts if part not in own)
    return not others and find_species(label) is None, label
