"""Plan of a prediction: the species and the model of each file."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from birdnet_nl.prediction.inputs import InputFile, Inputs
from birdnet_nl.prediction.job import Failure, Task
from birdnet_nl.prediction.models import ModelSet
from birdnet_nl.prediction.rows import Row, RowOptions, recording_row, segment_rows
from birdnet_nl.prediction.species_of import species_of_file
from birdnet_nl.prediction.stored import Store, StoredPrediction
from birdnet_nl.prediction.timestamps import RecordedAt, recorded_at
from birdnet_nl.species.table import Species, find_species
from birdnet_nl.util.errors import SelectionError

MAX_NAMES = 5


@dataclass(frozen=True)
class FileResult:
    """Prediction of one file.

    Attributes:
        species: None where it is not known, which only a pool can predict.
        stored: probabilities of all segments and of the recording.
        recorded_at: start of the recording, None where neither metadata nor name give it.
    """

    file: InputFile
    species: Species | None
    stored: StoredPrediction
    model: str
    recorded_at: RecordedAt | None
    options: RowOptions

    @property
    def rows(self) -> list[Row]:
        """Rows of the segments, filtered and merged."""
        return segment_rows(self.file.path, self.species, self.stored, self.model, self.options, self.recorded_at)

    @property
    def recording(self) -> Row:
        """Row of the whole recording."""
        return recording_row(self.file.path, self.species, self.stored, self.model, self.options)


def plan_tasks(
    inputs: Inputs,
    files: Sequence[InputFile],
    models: ModelSet,
    species: Species | None,
    overlap_s: float | None,
) -> tuple[list[Task], list[Failure]]:
    """Choose species and model of each file; without `species` from its folder or name.

    Returns the tasks, and the files without a species or without a model.

    Raises:
        SelectionError: if no file can be predicted.
    """
    tasks: list[Task] = []
    failures: list[Failure] = []
    for file in files:
        found = species or species_of_file(file.path, inputs.folder)
        slug = found.slug if found else models.only_species
        entry = models.choose(slug)
        if entry:
            tasks.append(Task(file, slug, entry, overlap_s))
        else:
            reason = f"no model for {slug}" if slug else "no species in the names of its folders; give --species"
            failures.append(Failure(str(file.path), slug, reason))
    if files and not tasks:
        raise SelectionError(_explain_none(failures, models))
    return tasks, failures


def _explain_none(failures: Sequence[Failure], models: ModelSet) -> str:
    slugs = sorted(models.of_species)
    names = f"{', '.join(slugs[:MAX_NAMES])}{', …' if len(slugs) > MAX_NAMES else ''}"
    without = list(dict.fromkeys(failure.species for failure in failures if failure.species))
    if without:
        others = ", …" if len(without) > MAX_NAMES else ""
        return f"no model for {', '.join(without[:MAX_NAMES])}{others}; there is one for {names}; give another --model"
    return (
        f"no species known for {failures[0].file}{' and others' if len(failures) > 1 else ''}; give --species, for "
        "example --species koolmees, or put the files in folders named after the species"
    )


def results_of(tasks: Iterable[Task], store: Store, options: RowOptions) -> Iterator[FileResult]:
    """Yield the stored predictions in the order of the tasks; a task without one, which failed, is left out."""
    for task in tasks:
        stored = store.read(task.key)
        if stored is not None:
            species = find_species(task.species) if task.species else None
            started = recorded_at(task.file.path)
            yield FileResult(task.file, species, stored, task.entry.label, started, options)
