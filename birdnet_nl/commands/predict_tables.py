"""Screen output of `birdnet-nl predict`: tables, JSON lines, and the summary."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from birdnet_nl.prediction.outputs import printable
from birdnet_nl.prediction.rows import UNCERTAIN, Row, RowOptions
from birdnet_nl.prediction.typed_detections import DUPLICATE
from birdnet_nl.util.console import display_path, output_console, screen, warn

if TYPE_CHECKING:
    from birdnet_nl.prediction.plan import FileResult
    from birdnet_nl.prediction.prediction import Prediction

MAX_ROWS = 60  # segments of one file on the screen
MAX_FAILURES = 20


def print_tables(prediction: "Prediction") -> None:
    """Print the segments of a single file, or one line for each of several."""
    results = list(prediction.results())
    if len(results) == 1:
        _print_file(results[0])
    elif results:
        _print_files(results)


def _print_file(result: "FileResult") -> None:
    options, rows = result.options, result.rows
    species = options.common_name(result.species) if result.species else "species not known"
    table = Table(title=f"{escape(printable(result.file.path.name))}: {species}", title_justify="left")
    for heading in ("start (s)", "end (s)"):
        table.add_column(heading, justify="right")
    types = result.stored.model.types
    _add_type_columns(table, types)
    for row in rows[:MAX_ROWS]:
        table.add_row(f"{row.start_s:.1f}", f"{row.end_s:.1f}", *_type_cells(row, options, types))
    table.add_section()
    table.add_row("", "all", *_type_cells(result.recording, options, types), style="bold")
    out = output_console()
    out.print(table)
    if len(rows) > MAX_ROWS:
        out.print(f"and {len(rows) - MAX_ROWS:,} more segments; -o FOLDER writes all", soft_wrap=True)


def _print_files(results: "list[FileResult]") -> None:
    table = Table("file", "species")
    predicted = {name for result in results for name in result.stored.model.types}
    types = [name for name in results[0].options.types if name in predicted]
    _add_type_columns(table, types)
    table.add_column("minutes", justify="right")
    for result in results:
        options = result.options
        species = options.common_name(result.species) if result.species else ""
        minutes = f"{result.stored.prediction.duration_s / 60:.1f}"
        cells = _type_cells(result.recording, options, types)
        table.add_row(escape(printable(result.file.relative)), species, *cells, minutes)
    output_console().print(table)


def _add_type_columns(table: Table, types: Sequence[str]) -> None:
    table.add_column("type")
    for name in types:
        table.add_column(name, justify="right")


def _type_cells(row: Row, options: RowOptions, types: Sequence[str]) -> list[str]:
    word = options.word(row.vocalization_type)
    if row.uncertain and row.vocalization_type != UNCERTAIN:
        word += f" ({options.word(UNCERTAIN)})"
    return [word, *(f"{row.probabilities[name]:.2f}" if name in row.probabilities else "" for name in types)]


def print_json(prediction: "Prediction") -> None:
    """Print one object for each recording with its segments, or with detections for each row; then the failures."""
    from birdnet_nl.prediction.json_lines import values
    from birdnet_nl.prediction.predict import recording_values

    options = prediction.request.options
    if prediction.typed:
        for file in prediction.typed.file_rows():
            for row in file.rows:
                _print_line(values(row, options))
    else:
        for result in prediction.results():
            segments = [values(row, options) for row in result.rows]
            for segment in segments:
                del segment["file"], segment["scientific_name"], segment["common_name"], segment["model"]
            _print_line({**recording_values(result), "segments": segments})
    for failure in prediction.failures:
        _print_line({"file": printable(failure.file), "error": failure.reason})


def _print_line(values: dict) -> None:
    print(json.dumps(values, ensure_ascii=False))


def print_summary(prediction: "Prediction", quiet: bool) -> None:
    """Print warnings and failures, and the numbers of what was predicted."""
    counts: Counter[str] = Counter()
    synthetic, warnings = False, []
    failed = {(failure.file, failure.species) for failure in prediction.failures}
    if not quiet:
        for result in prediction.results():
            counts[prediction.request.options.word(result.recording.vocalization_type)] += 1
            synthetic |= result.stored.model.synthetic
            if result.stored.prediction.warning:
                warnings.append(f"{result.file.relative}: {result.stored.prediction.warning}")
        if synthetic:
            warn("SYNTHETIC: the model was trained on demo recordings, not on real birds")
        _print_lines(warnings, "yellow")
    _print_lines([f"{failure.file}: {failure.reason}" for failure in prediction.failures], "red")
    if quiet or (prediction.request.out is None and len(prediction.tasks) == 1 and not failed):
        return
    if prediction.typed:
        found = Counter(prediction.typed.counts)
        duplicates = found.pop(DUPLICATE, 0)  # typed in their own tables, and once in the joined ones
        values = ", ".join(f"{count:,} {value}" for value, count in found.most_common())
        values += f"; {duplicates:,} in several tables" if duplicates else ""
        count = found.total()
        screen.print(f"{count:,} detection{'' if count == 1 else 's'}: {values or 'none'}", soft_wrap=True)
        _print_lines([f"{path.name} {reason}" for path, reason in prediction.skipped_tables], "yellow")
    types = ", ".join(f"{value} {count:,}" for value, count in counts.most_common())
    count = sum(counts.values())
    text = f"{count:,} recording{'' if count == 1 else 's'} predicted{f' ({types})' if types else ''}"
    text += f", {len(prediction.failures):,} failed" if prediction.failures else ""
    where = f"; tables in {display_path(prediction.request.out)}" if prediction.request.out else ""
    screen.print(text + where, soft_wrap=True)


def _print_lines(lines: list[str], colour: str) -> None:
    for line in lines[:MAX_FAILURES]:
        screen.print(f"[{colour}]{escape(printable(line))}[/]", soft_wrap=True)
    if len(lines) > MAX_FAILURES:
        screen.print(
            f"[{colour}]and {len(lines) - MAX_FAILURES:,} more, see failures.csv and recording_predictions.csv[/]"
        )
