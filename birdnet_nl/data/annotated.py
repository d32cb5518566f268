"""Labels in time for training and evaluation: the type of a segment from the annotations of its recording."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from birdnet_nl.recordings.annotations import read_annotations
from birdnet_nl.recordings.folder import FolderContent, recording_id
from birdnet_nl.recordings.label_files import species_and_type
from birdnet_nl.recordings.labels import UNKNOWN, classify_type, types_in
from birdnet_nl.recordings.recording import Recording
from birdnet_nl.recordings.type_set import TypeSet
from birdnet_nl.species.table import get_species
from birdnet_nl.util.words import counted

BACKGROUND = -1
CHOICES = ("auto", True, False, "evaluate")
POINT_S = 0.001  # length of an annotation whose end is its start
Stretch = tuple[float, float, str]  # start and end in seconds, type


def check_annotations(value: str | bool) -> None:
    """Raise `ValueError` for a `data.annotations` that does not exist."""
    if not any(value is choice or (value == choice and isinstance(value, str)) for choice in CHOICES):
        raise ValueError(f"data.annotations={value} is not possible; choose auto, true, false or evaluate")


@dataclass(frozen=True)
class AnnotatedRecordings:
    """Annotated stretches of the species' own sounds, by recording id.

    Attributes:
        stretches: start, end and type; recordings without a usable annotation are not in it.
        unused: number of annotations without use, by reason.
    """

    stretches: dict[str, list[Stretch]] = field(default_factory=dict)
    unused: Counter[str] = field(default_factory=Counter)

    def line(self, is_trained_on: bool) -> str:
        """Describe the annotations and their use on one line; empty without any."""
        if not self.stretches and not self.unused:
            return ""
        labels = sum(map(len, self.stretches.values()))
        use = "trained on and evaluated" if is_trained_on else "evaluated only"
        unused = ", ".join(f"{count:,} {reason}" for reason, count in self.unused.most_common(5))
        return f"labels in time: {labels:,} of {counted(len(self.stretches), 'recording')}, {use}" + (
            f"; not used: {unused}" if unused else ""
        )

    @property
    def types_by_id(self) -> dict[str, frozenset[str]]:
        return {id: self.types_of(id) for id in self.stretches}

    def types_of(self, id: str) -> frozenset[str]:
        return frozenset(name for _, _, name in self.stretches.get(id, ()))

    def window_types(self, id: str, starts_s: np.ndarray, segment_s: float, types: Sequence[str]) -> np.ndarray | None:
        """Return the index in `types` of each segment that starts at `starts_s`, or `BACKGROUND`: int64 [starts].

        None for a recording without a stretch of one of these types.
        """
        own = [(start, end, types.index(name)) for start, end, name in self.stretches.get(id, ()) if name in types]
        return types_of_segments(starts_s, segment_s, own) if own else None


def read_annotated(
    contents: Sequence[FolderContent], recordings: Sequence[Recording], type_set: TypeSet
) -> tuple[list[Recording], AnnotatedRecordings]:
    """Read `annotations.csv` of the folders of `contents`, whose recordings in their order are `recordings`.

    An annotation without a type has the type of its recording; one whose text names a type, or classifies as one, has
    this type. A recording whose own type is unknown gets that of its annotations: if they are of several types, it is a
    recording of several types.
    """
    annotated, position = AnnotatedRecordings(), 0
    updated = list(recordings)
    for content in contents:
        of_id = defaultdict(list)
        for listing in content.listings:
            for annotation in read_annotations(listing.folder):
                of_id[recording_id(listing.folder / annotation.recording, listing.folder)].append(annotation)
        for index, original in enumerate(content.recordings, start=position):
            recording = recordings[index]
            for annotation in of_id.pop(original.id, ()):
                own, text = species_and_type(annotation, get_species(recording.species))
                name = annotation_type(text, type_set) if text else recording.vocalization_type
                if not own:
                    annotated.unused["of other species"] += 1
                elif name is None:
                    annotated.unused[f"type {text!r}" if text else "without a type"] += 1
                else:
                    stretch = (annotation.start_s, annotation.end_s, name)
                    annotated.stretches.setdefault(recording.id, []).append(stretch)
            updated[index] = _with_type(recording, sorted(annotated.types_of(recording.id)), type_set)
        annotated.unused["of recordings that are not there"] += sum(map(len, of_id.values()))
        position += len(content.recordings)
    return updated, AnnotatedRecordings(annotated.stretches, +annotated.unused)


def annotation_type(text: str, type_set: TypeSet) -> str | None:
    """Return the type that a label names by its own name (`rain_call`), or by its text as that of a recording."""
    name = "_".join(text.casefold().split())
    if name in type_set.types:
        return name
    result = classify_type(text, type_set)
    return result if result in type_set.types else None


def _with_type(recording: Recording, names: Sequence[str], type_set: TypeSet) -> Recording:
    if recording.vocalization_type is not None or not names:
        return recording
    if len(names) == 1 and classify_type(recording.type_text, type_set) == UNKNOWN:
        return replace(recording, vocalization_type=names[0], type_text=recording.type_text or names[0])
    is_named = types_in(recording.type_text, type_set)
    return recording if is_named else replace(recording, type_text=", ".join(names))


def types_of_segments(
    starts_s: np.ndarray, segment_s: float, stretches: Iterable[tuple[float, float, int]]
) -> np.ndarray:
    """Return the type of the segments that start at `starts_s`, or `BACKGROUND`: int64 [segments].

    A stretch counts for a segment if the two share at least half of the shorter one; the type whose stretches share the
    most time with the segment wins, of equal ones the first.
    """
    shared: Mapping[int, np.ndarray] = defaultdict(lambda: np.zeros(len(starts_s)))
    for start_s, end_s, index in sorted(set(stretches)):
        end_s = max(end_s, start_s + POINT_S)
        overlap_s = np.minimum(end_s, starts_s + segment_s) - np.maximum(start_s, starts_s)
        counts = overlap_s >= min(end_s - start_s, segment_s) / 2 - 1e-9
        shared[index] += np.where(counts, overlap_s, 0.0)
    indices = np.array(sorted(shared), dtype=np.int64)
    totals = np.stack([shared[index] for index in indices.tolist()])  # [types, segments]
    return np.where(totals.max(axis=0) > 0, indices[totals.argmax(axis=0)], BACKGROUND)
