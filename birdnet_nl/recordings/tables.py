"""Tables of recordings by others: Xeno-canto's JSON, BirdCLEF's train_metadata.csv, or any CSV with paths."""

import ast
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from birdnet_nl.recordings.download_filters import parse_candidate
from birdnet_nl.recordings.manifest import COLUMNS, Row, read_csv
from birdnet_nl.species.table import Species, find_species
from birdnet_nl.util.errors import DataError

COLUMN_NAMES = {  # our column, and the names in other tables
    "path": ("file", "path", "filename", "file_name", "filepath"),
    "xc_id": ("xc_id", "xcid", "catnr", "id"),
    "scientific": ("scientific", "scientific_name"),
    "english": ("english", "common_name", "species", "slug", "bird"),
    "type": ("type", "type_text", "vocalization_type"),
    "quality": ("quality", "q", "rating"),
    "recordist": ("recordist", "author", "rec"),
    "licence": ("licence", "license", "lic"),
    "country": ("country", "cnt"),
    "background": ("background", "secondary_labels"),
    "remarks": ("remarks", "rmk"),
}
RATINGS = {5: "A", 4: "B", 3: "C", 2: "D", 1: "E"}  # BirdCLEF's stars; halves are rounded down, 0 is unrated


def read_table(path: Path) -> list[tuple[Row, Species | None]]:
    """Read rows under our column names, with `path` as written in the table, and the species of each row.

    Raises `DataError` if the file is not a list of recordings.
    """
    try:
        if path.suffix.lower() == ".json":
            body = json.loads(path.read_text(encoding="utf-8-sig"))
            entries = body.get("recordings") if isinstance(body, dict) else body
        else:
            entries = read_csv(path)
    except ValueError:
        raise DataError(f"{path} is not a CSV or JSON file in UTF-8; repair it or give the folder instead") from None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise DataError(f'{path} holds no list of recordings; expected [{{…}}, …] or {{"recordings": [{{…}}, …]}}')
    return [_read_entry(entry) for entry in entries]


def _read_entry(entry: Mapping[str, Any]) -> tuple[Row, Species | None]:
    if "gen" in entry and "sp" in entry:  # from the API: `file` is an address, so the number identifies it
        species = find_species(f"{entry['gen']} {entry['sp']}") or find_species(str(entry.get("en", "")))
        row = parse_candidate(entry, species).row if species else {"xc_id": str(entry.get("id", ""))}
        return row, species
    texts = {str(name).strip().lower(): _cell_text(value) for name, value in entry.items() if name}
    row = {name: texts[name] for name in COLUMNS if texts.get(name)}
    row.pop("file", None)
    for column, names in COLUMN_NAMES.items():
        row[column] = next((texts[name] for name in names if texts.get(name)), "")
    row["quality"] = _convert_quality(row["quality"])
    row["xc_id"] = row["xc_id"].upper().removeprefix("XC")
    if not row["xc_id"].isdecimal():
        number = re.search(r"XC(\d+)", row["path"], re.IGNORECASE)
        row["xc_id"] = number[1] if number else ""
    names = (row["scientific"], texts.get("slug", ""), row["english"], texts.get("species", ""))
    return row, next((species for name in names if name and (species := find_species(name))), None)


def _cell_text(value: object) -> str:
    """Convert a cell to text; a list, also one that BirdCLEF writes as `"['call', 'male']"`, becomes `call, male`."""
    if isinstance(value, str) and value.startswith("[") and value.endswith("]"):
        try:
            value = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            return value.strip("[]")
    if isinstance(value, list):
        return ", ".join(str(item) for item in value if item)
    return "" if value is None else str(value).strip()


def _convert_quality(text: str) -> str:
    if re.fullmatch(r"[0-5](\.\d+)?", text):
        return RATINGS.get(int(float(text)), "")
    return text.upper() if text.upper() in RATINGS.values() else ""
