"""A prediction of many recordings: list, plan, predict what is missing, and write the tables."""

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from birdnet_nl.inference.model import load_model
from birdnet_nl.prediction.audio_index import AudioIndex
from birdnet_nl.prediction.csv_tables import names_of, recording_columns, type_cells, write_csv
from birdnet_nl.prediction.detections import find_tables
from birdnet_nl.prediction.formats import write_tables
from birdnet_nl.prediction.inputs import Inputs, list_inputs
from birdnet_nl.prediction.job import (
    FULL,
    Failure,
    Task,
    default_workers,
    run_tasks,
    segment_hop,
    shard_of,
)  # fmt: skip
from birdnet_nl.prediction.models import LoadModel, ModelSet, open_models, opened
from birdnet_nl.prediction.outputs import FileRows, OutputFolder, printable
from birdnet_nl.prediction.plan import FileResult, plan_tasks, results_of
from birdnet_nl.prediction.rows import RowOptions
from birdnet_nl.prediction.stored import STATE, Store
from birdnet_nl.prediction.typed_detections import TypedDetections, check_targets, readable_tables
from birdnet_nl.species.table import Species, get_species
from birdnet_nl.util.errors import BirdnetNlError, RunError, SelectionError
from birdnet_nl.util.files import user_path

JOB, PARTS, PREDICTIONS = "job.json", "parts", "predictions"
ABANDONED_S = 3600.0  # a half-written file unchanged for so long was left by a killed process


@dataclass(frozen=True)
class Request:
    """Everything that a prediction is asked for.

    Attributes:
        inputs: sound files, folders and glob patterns.
        model: run, version, pack or file; None for the active version in `models`.
        species: any name; empty to use the names of folders and files.
        overlap_s: of consecutive segments; None for that of the training.
        detections: table or folder of tables of another program, whose rows are predicted.
        out: folder of the results; None to keep nothing.
        formats: of the tables in `out`, see `formats.FORMATS`.
        workers: processes; None for one per core where there are many files.
        shard: part and number of parts, as (3, 16); None for everything.
        load: loads a model; replaced in tests.
    """

    inputs: Sequence[str | Path]
    model: str | Path | None = None
    species: str = ""
    overlap_s: float | None = None
    options: RowOptions = field(default_factory=RowOptions)
    detections: Path | None = None
    out: Path | None = None
    formats: Sequence[str] = ("csv",)
    workers: int | None = None
    shard: tuple[int, int] | None = None
    load: LoadModel = load_model

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise ValueError(f"--workers {self.workers} is not possible; give at least 1")
        if self.overlap_s is not None and not 0 <= self.overlap_s < float("inf"):
            raise ValueError(f"--overlap {self.overlap_s:g} is not possible; give 0 or more seconds")
        filters = self.options.min_confidence or self.options.merge or self.options.top
        if self.detections and (filters or self.options.uncertain == "drop"):
            raise SelectionError(
                "--detections keeps every row, so --min-confidence, --merge, --top and --uncertain drop do not apply"
            )


class Prediction:
    """A planned prediction: `run` predicts what is not stored yet, `write` makes the tables from what is stored.

    Attributes:
        tasks: predictions of one file as one species, in the order of the files.
        failures: files without a prediction so far, in the order of the files after `run`.
        typed: the detections, None without `--detections`.
        skipped_tables: files beside the tables of detections that are none, with the reason.
    """

    def __init__(self, request: Request) -> None:
        """List the files and choose their models.

        Raises:
            SelectionError: if an option or a species does not exist, or no file can be predicted.
            DataError: if there is no sound file, or no table of detections.
            RunError: if there is no model, or the output folder cannot be used.
        """
        self.request = request
        self.models: ModelSet = open_models(request.model, request.load)  # its species are known from here on
        species = get_species(request.species) if request.species else None
        request = self.request = replace(request, options=replace(request.options, types=self.models.types))
        self.inputs: Inputs = list_inputs(request.inputs, request.out) if request.inputs else Inputs((), Path.cwd())
        self._temporary = None if request.out else tempfile.TemporaryDirectory(prefix="birdnet-nl-")
        state = request.out / STATE if request.out else Path(self._temporary.name)
        self.store = Store(state / PREDICTIONS)
        self.failures: list[Failure] = []
        self.typed: TypedDetections | None = None
        self.skipped_tables: list[tuple[Path, str]] = []
        if request.detections:
            self.tasks = self._plan_detections(species)
        else:
            files = shard_of(self.inputs.files, request.shard)
            self.tasks, self.failures = plan_tasks(self.inputs, files, self.models, species, request.overlap_s)
        if request.shard is None or request.shard[0] == 1:
            self.failures += [Failure(path, "", reason) for path, reason in self.inputs.unreadable]
        self._check_first_model()
        if request.out:
            self._prepare_folder(request.out, state)

    def _prepare_folder(self, out: Path, state: Path) -> None:
        try:
            (state / PARTS).mkdir(parents=True, exist_ok=True)
            (state / PREDICTIONS).mkdir(exist_ok=True)
            for part in (state / PARTS).iterdir():
                with suppress(FileNotFoundError):  # of another process, finished by now
                    if time.time() - part.stat().st_mtime > ABANDONED_S:
                        part.unlink()
            self._claim(state / JOB)
        except OSError as error:
            raise RunError(f"{out} cannot be written ({error.strerror}); give another folder with -o") from None

    def _claim(self, path: Path) -> None:
        """Write the inputs of this job; raises `RunError` if the folder holds the results of others."""
        paths = [*self.request.inputs, *([self.request.detections] if self.request.detections else [])]
        names = sorted({printable(os.path.abspath(user_path(name))) for name in paths})  # noqa: PTH100
        with suppress(OSError, ValueError, KeyError, TypeError):
            others = sorted(set(json.loads(path.read_text(encoding="utf-8"))["inputs"]) - set(names))
            if others:
                raise RunError(
                    f"{self.request.out} holds the predictions of {', '.join(others[:3])}"
                    f"{' and others' if len(others) > 3 else ''}; name these too, or give another folder with -o"
                )
        with OutputFolder(self.request.out).whole(path) as part:
            part.write_text(json.dumps({"inputs": names}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    def _plan_detections(self, species: Species | None) -> list[Task]:
        request = self.request
        tables, self.skipped_tables = find_tables(request.detections, skip=request.out)
        if request.out:
            check_targets(tables, request.out)
        tables, damaged = readable_tables(shard_of(tables, request.shard))
        self.failures = [Failure(printable(path), "", reason) for path, reason in damaged]
        index = AudioIndex(self.inputs.files)
        self.typed = TypedDetections(
            tables, index, self.models, request.overlap_s, self.store, request.options, species
        )
        return self.typed.tasks()

    def _check_first_model(self) -> None:
        """Load one model before anything is predicted, so that a wrong one or a wrong overlap is found at once."""
        if not self.tasks:
            return
        task = self.tasks[0]
        try:
            model = opened(task.entry, self.request.load)
        except BirdnetNlError:
            if len(self.models.entries) == 1:
                raise
            return  # one damaged model of several only fails its own files
        if task.overlap_s is not None:
            segment_hop(model.segment_s, task.overlap_s)

    def run(
        self,
        on_done: Callable[[Task], None] = lambda task: None,
        on_progress: Callable[[Task, float], None] | None = None,
    ) -> None:
        """Predict the files that are not stored yet; the others are collected in `failures`."""
        workers = self.request.workers or default_workers(len(self.tasks))
        planned = self.failures
        failed = run_tasks(self.tasks, self.store, self.request.load, workers, on_done, on_progress)
        self.failures = sorted([*planned, *failed], key=lambda failure: (failure.file, failure.species))

    def results(self) -> Iterator[FileResult]:
        """Yield the predictions in the order of the files."""
        return results_of(self.tasks, self.store, self.request.options)

    def write(self) -> None:
        """Write tables and failures to the output folder; raises `RunError` if it cannot be written."""
        request = self.request
        part = f".{request.shard[0]}-of-{request.shard[1]}" if request.shard else ""
        out = OutputFolder(request.out, part, request.options)
        try:
            if self.typed:
                self.typed.write_tables(out)
                write_tables(out, request.formats, self.typed.file_rows())
            else:
                write_tables(out, request.formats, (self._file_rows(result) for result in self.results()))
                write_csv(out, "recording_predictions.csv", recording_columns(request.options), self._recordings())
            failures = out.combined("failures.csv")
            if self.failures:
                lines = ((printable(failure.file), failure.species, failure.reason) for failure in self.failures)
                write_csv(out, "failures.csv", ("file", "species", "reason"), lines)
            else:
                failures.unlink(missing_ok=True)
        except OSError as error:
            problem = "is full" if error.errno in FULL else f"cannot be written ({error.strerror})"
            raise RunError(
                f"{request.out} {problem}; all predictions are kept: repeat the command when it can be written"
            ) from None

    def _file_rows(self, result: FileResult) -> FileRows:
        return FileRows(result.file.relative, result.stored.prediction.duration_s, result.rows)

    def _recordings(self) -> Iterator[list[str]]:
        options = self.request.options
        for result in self.results():
            row, prediction = result.recording, result.stored.prediction
            times = result.recorded_at.columns(0.0) if result.recorded_at else ("", "", "")
            yield [
                printable(row.file), f"{prediction.duration_s:.3f}", *names_of(row, options),
                *type_cells(row, options), str(len(prediction.starts_s)), *times, prediction.warning,
            ]  # fmt: skip

    def close(self) -> None:
        """Remove what is not kept."""
        if self._temporary:
            self._temporary.cleanup()
