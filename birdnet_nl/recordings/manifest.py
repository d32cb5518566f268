"""Manifest `recordings.csv` and `ATTRIBUTION.md` of a species folder; both are replaced atomically."""

import csv
import hashlib
import io
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from birdnet_nl.recordings.csv_table import read_csv, read_csv_table
from birdnet_nl.recordings.labels import ALARM, CALL, MULTILABEL, OTHER, SONG
from birdnet_nl.recordings.listing import MANIFEST
from birdnet_nl.recordings.row_matching import NUMBER_CELL, Row, path_key, path_parts, readable_name
from birdnet_nl.species.table import Species
from birdnet_nl.util.errors import DataError
from birdnet_nl.util.files import write_text_atomic

ATTRIBUTION = "ATTRIBUTION.md"
TYPE_FOLDERS = {SONG: "song", CALL: "call", ALARM: "alarm", MULTILABEL: "mixed", OTHER: "other"}
COLUMNS = (
    "file", "xc_id", "slug", "scientific", "english", "type", "quality", "recordist", "licence", "country", "date",
    "time", "latitude", "longitude", "duration_s", "sample_rate_hz", "remarks", "background", "sha256",
)  # fmt: skip
COLUMN_NAMES = {  # our name, and the names in Xeno-canto's API and other tools
    "file": ("file", "path", "filename", "file_name", "filepath"),
    "id": ("xc_id", "id", "catnr", "catalogue_number", "recording_id"),
    "type": ("type", "type_text", "songtype", "vocalization_type"),
    "recordist": ("recordist", "rec", "author"),
    "quality": ("quality", "q", "rating"),
    "licence": ("licence", "license", "lic"),
    "country": ("country", "cnt"),
    "date": ("date",),
    "time": ("time",),
}
DETAIL_COLUMN_NAMES = {  # not needed for training
    "slug": ("slug",), "scientific": ("scientific",), "english": ("english",), "latitude": ("latitude", "lat"),
    "longitude": ("longitude", "lon", "lng"), "duration_s": ("duration_s", "length"),
    "sample_rate_hz": ("sample_rate_hz", "smp"), "remarks": ("remarks", "rmk"), "background": ("background", "also"),
    "sha256": ("sha256",), "source": ("source",),
}  # fmt: skip


def species_folder(root: Path, species: Species) -> Path:
    return root / f"xeno-canto-{species.slug}"


def read_manifest_rows(manifest: Path) -> list[Row]:
    """Read a `recordings.csv` under our column names (`COLUMN_NAMES`, `DETAIL_COLUMN_NAMES`), without other columns."""
    headings, rows = read_csv_table(manifest)
    known = {name for names in COLUMN_NAMES.values() for name in names}
    if headings and not known & set(headings):
        raise DataError(f"{manifest} has none of the columns {', '.join(COLUMN_NAMES)}; give it a line of headings")
    names_of = {
        column: [name for name in names if name in headings]
        for column, names in (COLUMN_NAMES | DETAIL_COLUMN_NAMES).items()
    }
    empty = dict.fromkeys(names_of, "")
    columns = [(column, name) for column, names in names_of.items() for name in reversed(names)]  # the first name wins
    return [empty | {column: value for column, name in columns if (value := row[name])} for row in rows]


def read_rows(folder: Path) -> list[Row]:
    """Read all rows of the folder's manifest with all columns, ours renamed; empty without a manifest."""
    path = folder / MANIFEST
    rows = read_csv(path) if path.is_file() else []
    for row in rows:
        for column, names in COLUMN_NAMES.items():
            column = "xc_id" if column == "id" else column
            name = next((name for name in names if name in row), None)
            if name and column not in row:
                row[column] = row.pop(name)
        number = row.get("xc_id", "").upper()
        row["xc_id"] = match[1] if (match := NUMBER_CELL.fullmatch(number)) else number.removeprefix("XC")
    return rows


def add_rows(folder: Path, rows: Iterable[Row]) -> None:
    """Append rows to the folder's manifest; a row of the same file or Xeno-canto number replaces the old one."""
    merged: list[Row] = []  # an emptied row was the same as another one
    identities: list[set[tuple[str, object]]] = []
    positions: dict[tuple[str, object], list[int]] = defaultdict(list)

    def put(row: Row, position: int) -> None:
        merged[position : position + 1] = [row]
        identities[position : position + 1] = [_identities(row)]
        for key in identities[position]:
            positions[key].append(position)

    for row in read_rows(folder):
        put(row, len(merged))
    for row in rows:
        new = {name: readable_name(value) if name == "file" else " ".join(value.split()) for name, value in row.items()}
        same = sorted({at for key in _identities(new) for at in positions[key] if key in identities[at]})
        for position in same[1:]:
            put({}, position)
        put(new, same[0] if same else len(merged))
    write_rows(folder, list(filter(None, merged)))


def write_rows(folder: Path, rows: Sequence[Row]) -> None:
    """Replace the folder's manifest by these rows: our columns first, then the others in the order of the rows."""
    columns = list(dict.fromkeys([*COLUMNS, *(name for row in rows for name in row)]))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([row.get(name, "") for name in columns] for row in rows)
    write_text_atomic(folder / MANIFEST, text.getvalue())


def _identities(row: Row) -> set[tuple[str, object]]:
    """Return what a row shares with other rows about the same recording: its number, and its path however written."""
    number, file = row.get("xc_id", ""), path_key(path_parts(row.get("file", "")))
    return {(name, value) for name, value in (("xc_id", number), ("file", file)) if value}


def write_attribution(folder: Path, species: Species) -> None:
    """List recordist and licence of each recording in the folder's manifest; do nothing without rows."""
    rows = read_rows(folder)
    if not rows:
        return
    lines = [
        f"# Recordings of {species.dutch} ({species.english}, *{species.scientific}*)",
        "",
        "From [Xeno-canto](https://xeno-canto.org), made by these recordists and shared under these licences.",
        "Keep this list with the recordings and with every model trained on them.",
        "",
        "| recording | recordist | licence |",
        "|---|---|---|",
    ]
    for row in sorted(rows, key=lambda row: (row.get("recordist", "").casefold(), row.get("xc_id", "").zfill(9))):
        number, recordist = row.get("xc_id", ""), row.get("recordist", "").replace("|", "/") or "unknown"
        name = f"[XC{number}](https://xeno-canto.org/{number})" if number else row.get("file", "")
        lines.append(f"| {name} | {recordist} | {row.get('licence') or 'unknown'} |")
    write_text_atomic(folder / ATTRIBUTION, "\n".join(lines) + "\n")


def remove_parts(folder: Path) -> None:
    """Remove the partial files of a killed download."""
    for part in folder.glob("**/.*.part"):
        part.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
