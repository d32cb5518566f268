"""Detections with a vocalization type: the same rows in the same order and format, with columns at their end."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import groupby
from pathlib import Path

from birdnet_nl.prediction.audio_index import AudioIndex
from birdnet_nl.prediction.csv_tables import type_cells, type_columns
from birdnet_nl.prediction.detections import Detection, DetectionTable
from birdnet_nl.prediction.inputs import InputFile
from birdnet_nl.prediction.job import Task
from birdnet_nl.prediction.models import ModelSet
from birdnet_nl.prediction.outputs import FileRows, OutputFolder
from birdnet_nl.prediction.parquet import append_columns, parquet_records
from birdnet_nl.prediction.rows import NO_AUDIO, NO_MODEL, NO_SPECIES, NOT_PREDICTED, Row, RowOptions, window_row
from birdnet_nl.prediction.species_of import is_not_a_bird, species_of_label
from birdnet_nl.prediction.stored import Store
from birdnet_nl.prediction.table_text import join_cells
from birdnet_nl.prediction.timestamps import recorded_at
from birdnet_nl.species.table import Species
from birdnet_nl.util.errors import DataError, SelectionError

MAX_SOURCES = 10_000
MAX_IN_MEMORY = 32  # predictions of recordings
NOT_A_BIRD = ""  # in place of a type
DUPLICATE = "duplicate"


@dataclass(frozen=True)
class Source:
    """Recording, species and prediction of a detection; without a task, `value` says why there is no prediction."""

    file: InputFile | None
    species: Species | None
    value: str
    task: Task | None = None
    key: str = ""


@dataclass
class TypedDetections:
    """Detection tables, their recordings and their models.

    Attributes:
        counts: number of detections by the value they got (`typed` for all types), after `write_tables`.
    """

    tables: Sequence[DetectionTable]
    index: AudioIndex
    models: ModelSet
    overlap_s: float | None
    store: Store
    options: RowOptions
    species: Species | None = None
    counts: Counter = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._read = lru_cache(maxsize=MAX_IN_MEMORY)(self.store.read)
        self._sources: dict[tuple, Source] = {}
        self._started = lru_cache(maxsize=MAX_IN_MEMORY)(recorded_at)

    def tasks(self) -> list[Task]:
        """Return the predictions that the detections need, each once, in the order of the files."""
        tasks: dict[tuple[Path, str], Task] = {}
        for table in self.tables:
            for detection in detections_of(table):
                if task := self._source(detection, table).task:
                    tasks.setdefault((task.file.path, task.species), task)
        return [tasks[key] for key in sorted(tasks)]

    def _source(self, detection: Detection, table: DetectionTable) -> Source:
        """Return the prediction that a detection needs; looked up once for detections of one file and species."""
        place = detection.file or (detection.date, detection.time)
        key = (table, place, detection.start_s is None, detection.names)
        if key not in self._sources:
            if len(self._sources) >= MAX_SOURCES:
                self._sources.clear()
            self._sources[key] = self._find_source(detection, table)
        return self._sources[key]

    def _find_source(self, detection: Detection, table: DetectionTable) -> Source:
        file = self.index.find(detection, table)
        species = species_of_label(*detection.names)
        if self.species and not is_not_a_bird(*detection.names):
            species = self.species
        if species is None:
            return Source(file, None, NOT_A_BIRD if is_not_a_bird(*detection.names) else NO_SPECIES)
        entry = self.models.choose(species.slug)
        if entry is None or file is None:
            return Source(file, species, NO_AUDIO if entry else NO_MODEL)
        task = Task(file, species.slug, entry, self.overlap_s)
        return Source(file, species, NOT_PREDICTED, task, task.key)

    def row(self, detection: Detection, table: DetectionTable) -> tuple[Row, float]:
        """Return the row of one detection, and the duration of its recording in seconds (0: not known)."""
        source = self._source(detection, table)
        stored = self._read(source.key) if source.task else None
        row = Row(
            source.file.path if source.file else detection.file or table.stem,
            detection.start_s or 0.0,
            detection.end_s or 0.0,
            source.species,
            source.value,
            confidence=detection.confidence,
            label=_label(detection.names),
            recorded_at=self._started(source.file.path) if source.file else None,
            model=source.task.entry.label if stored else "",
        )
        if stored is None:
            return row, 0.0
        return window_row(row, detection.start_s, detection.end_s, stored, self.options), stored.prediction.duration_s

    def write_tables(self, out: OutputFolder) -> None:
        """Write each table again with the columns of the types; count the values."""
        self.counts.clear()
        for table in self.tables:
            target = out.path / table.relative
            with out.whole(target) as part:
                if table.is_parquet:
                    append_columns(table.path, part, self._counted_rows(table), self.options)
                else:
                    self._write_text(table, part)

    def _counted_rows(self, table: DetectionTable) -> Iterator[Row]:
        for detection in detections_of(table):
            row, _ = self.row(detection, table)
            self._count(row)
            yield row

    def _count(self, row: Row) -> None:
        self.counts["typed" if row.uncertain is not None else row.vocalization_type or "not a bird"] += 1

    def _write_text(self, table: DetectionTable, part: Path) -> None:
        encoding, delimiter, names = table.encoding, table.delimiter, type_columns(self.options)
        numbers = slice(names.index("type_confidence"), names.index("uncertain"))
        with part.open("w", encoding=encoding, newline="", errors="surrogateescape") as file:
            for index, (record, detection) in enumerate(table.records()):
                if detection is not None:
                    row, _ = self.row(detection, table)
                    self._count(row)
                    cells = type_cells(row, self.options)
                    if table.decimal_comma:
                        cells[numbers] = [cell.replace(".", ",") for cell in cells[numbers]]
                    file.write(record.extended(cells, delimiter, table.width))
                elif index == table.skipped - 1 and table.columns:
                    header = record.text + delimiter + join_cells(names, delimiter)
                    file.write(header + record.line_end)
                else:
                    file.write(record.text + record.line_end)

    def file_rows(self) -> Iterator[FileRows]:
        """Yield the rows of all tables by file; a detection that is in several tables is yielded once."""
        rows = (self.row(detection, table) for table in self.tables for detection in detections_of(table))
        if len(self.tables) > 1:
            seen: set[int] = set()
            rows = (row for row in rows if not self._is_known(row[0], seen))
        for _, group in groupby(rows, key=lambda row: str(row[0].file)):
            of_file = list(group)
            yield FileRows("", max(duration_s for _, duration_s in of_file), [row for row, _ in of_file])

    def _is_known(self, row: Row, seen: set[int]) -> bool:
        name = row.species.slug if row.species else row.label
        key = hash((str(row.file), round(row.start_s, 2), round(row.end_s, 2), name))
        known = key in seen
        seen.add(key)
        self.counts[DUPLICATE] += known
        return known


def detections_of(table: DetectionTable) -> Iterator[Detection]:
    """Yield the detections of a table in their order."""
    if table.is_parquet:
        yield from (table.detection(cells) for cells in parquet_records(table.path))
        return
    yield from (detection for _, detection in table.records() if detection is not None)


def check_targets(tables: Sequence[DetectionTable], out: Path) -> None:
    """Raise `SelectionError` if a table would be replaced by its result."""
    for table in tables:
        target = out / table.relative
        if target.exists() and target.samefile(table.path):
            raise SelectionError(f"-o {out} is the folder of the detections, which stay as they are; give another one")


def readable_tables(tables: Sequence[DetectionTable]) -> tuple[list[DetectionTable], list[tuple[Path, str]]]:
    """Return the tables that can be read to their end, and the others with the reason."""
    readable, damaged = [], []
    for table in tables:
        try:
            for _ in detections_of(table):
                pass
            readable.append(table)
        except (DataError, OSError) as error:
            damaged.append((table.path, str(error)))
    return readable, damaged


def _label(names: Sequence[str]) -> tuple[str, str]:
    """Return scientific and common name of a label that is not a species of ours."""
    if len(names) > 1:
        return names[0], names[1]
    first, _, second = (names[0] if names else "").partition("_")
    return first, second or first
