"""Labels of a recognizer: the species of each of its outputs."""

import csv
from functools import lru_cache
from pathlib import Path

from birdnet_nl.util.errors import SetupError

SCIENTIFIC_COLUMNS = ("scientific_name", "scientific name", "sci_name", "scientific")


@lru_cache(maxsize=4)
def read_labels(path: Path) -> tuple[str, ...]:
    """Read scientific names in the order of the outputs.

    One label per line, `Parus major` or `Parus major_Great Tit`, or a table (`,`, `;` or TAB) with a column
    `scientific_name` or `sci_name`.

    Raises:
        SetupError: if the file cannot be read or is empty.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError(f"embeddings.labels={path} cannot be read ({error}); give a text file in UTF-8") from None
    if not lines:
        raise SetupError(f"embeddings.labels={path} is empty; give the file of labels that belongs to the network")
    separator = max(",;\t", key=lines[0].count)
    header = [name.strip().casefold() for name in lines[0].split(separator)]
    column = next((header.index(name) for name in SCIENTIFIC_COLUMNS if name in header), None)
    if column is None:
        return tuple(line.partition("_")[0].strip() for line in lines)
    rows = csv.reader(lines[1:], delimiter=separator)
    return tuple(row[column].strip() if column < len(row) else "" for row in rows)


def column_of_species(labels: tuple[str, ...]) -> dict[str, int]:
    """Return the column of each species by its scientific name."""
    return {label: column for column, label in enumerate(labels)}
