"""Manifest `recordings.csv` and `ATTRIBUTION.md` of a species folder; both are replaced atomically."""

import csv
import hashlib
import io
from collections.abc import Iterable
from pathlib import Path

from birdnet_nl.recordings.labels import ALARM, CALL, MULTILABEL, OTHER, SONG
from birdnet_nl.species.table import Species
from birdnet_nl.util.errors import DataError
from birdnet_nl.util.files import write_text_atomic

MANIFEST = "recordings.csv"
ATTRIBUTION = "ATTRIBUTION.md"
TYPE_FOLDERS = {SONG: "song", CALL: "call", ALARM: "alarm", MULTILABEL: "mixed", OTHER: "other"}
COLUMNS = (
    "file", "xc_id", "slug", "scientific", "english", "type", "quality", "recordist", "licence", "country", "date",
    "time", "latitude", "longitude", "duration_s", "sample_rate_hz", "remarks", "background", "sha256",
)  # fmt: skip
COLUMN_NAMES = {  # our name, and the names in Xeno-canto's API and other tools
    "file": ("file", "path", "filename", "file-name"),
    "id": ("xc_id", "id", "catnr"),
    "type": ("type", "type_text"),
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
    "sha256": ("sha256",),
}  # fmt: skip

Row = dict[str, str]
"""One line of a manifest; `file` is relative to the manifest, unknown values are empty, further columns are kept."""


def species_folder(root: Path, species: Species) -> Path:
    return root / f"xeno-canto-{species.slug}"


def read_csv(path: Path) -> list[Row]:
    """Read a CSV file with commas, semicolons or tabs, with or without a byte order mark.

    Headings become lower case and values are stripped. Raises `DataError` if the file is not CSV in UTF-8.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            headings = file.readline()
            separator = max(",;\t", key=headings.count)  # spreadsheets of some countries write semicolons
            file.seek(0)
            return [
                {name.strip().lower(): (value or "").strip() for name, value in row.items() if name}
                for row in csv.DictReader(file, delimiter=separator)
            ]
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); change its permissions or move it away") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is not a CSV file in UTF-8 ({error}); repair it or move it away") from error


def read_manifest_rows(manifest: Path) -> list[Row]:
    """Read a `recordings.csv` under our column names (`COLUMN_NAMES`, `DETAIL_COLUMN_NAMES`), without other columns."""
    rows = read_csv(manifest)
    known = {name for names in COLUMN_NAMES.values() for name in names}
    if rows and not known & set(rows[0]):
        raise DataError(f"{manifest} has none of the columns {', '.join(COLUMN_NAMES)}; give it a line of headings")
    column_names = COLUMN_NAMES | DETAIL_COLUMN_NAMES
    return [
        {column: next((row[name] for name in names if row.get(name)), "") for column, names in column_names.items()}
        for row in rows
    ]


def manifest_rows(folder: Path) -> dict[Path | str, Row]:
    """Return rows about files in `folder` by path and by recording id; a manifest inside overrides the one above."""
    rows: dict[Path | str, Row] = {}
    for manifest in (folder.parent / MANIFEST, folder / MANIFEST):
        for row in read_manifest_rows(manifest) if manifest.is_file() else ():
            path = manifest.parent / row["file"]
            if row["file"] and path.is_relative_to(folder):
                rows[path] = row
            if number := row["id"].upper().removeprefix("XC"):
                rows[f"XC{number}"] = row
    return rows


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
        row["xc_id"] = row.get("xc_id", "").upper().removeprefix("XC")
    return rows


def add_rows(folder: Path, rows: Iterable[Row]) -> None:
    """Append rows to the folder's manifest; a row of the same file or Xeno-canto number replaces the old one."""
    merged = read_rows(folder)
    for row in rows:
        new = {name: " ".join(value.split()) for name, value in row.items()}
        same = [old for old in merged if any(new.get(key) and old.get(key) == new[key] for key in ("xc_id", "file"))]
        if same:
            merged[merged.index(same[0])] = new
            merged = [old for old in merged if old not in same[1:]]
        else:
            merged.append(new)
    columns = list(dict.fromkeys([*COLUMNS, *(name for row in merged for name in row)]))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([row.get(name, "") for name in columns] for row in merged)
    write_text_atomic(folder / MANIFEST, text.getvalue())


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
