"""`recordings.csv` and `ATTRIBUTION.md` of one species folder; both are written beside and renamed, never half."""

import contextlib
import csv
import hashlib
import io
from collections.abc import Iterable
from pathlib import Path

from birdnet_nl.recordings.folder import COLUMN_NAMES, MANIFEST
from birdnet_nl.recordings.labels import ALARM, CALL, MULTILABEL, OTHER, SONG
from birdnet_nl.species.table import Species
from birdnet_nl.util.csv_table import read_csv
from birdnet_nl.util.files import write_text_atomic

ATTRIBUTION = "ATTRIBUTION.md"
TYPE_FOLDERS = {SONG: "song", CALL: "call", ALARM: "alarm", MULTILABEL: "mixed", OTHER: "other"}
COLUMNS = (
    "file", "xc_id", "slug", "scientific", "english", "type", "quality", "recordist", "licence", "country", "date",
    "time", "latitude", "longitude", "duration_s", "sample_rate_hz", "remarks", "background", "sha256",
)  # fmt: skip

Row = dict[str, str]
"""One line of a manifest; `file` is relative to the manifest, unknown values are empty, further columns are kept."""


def species_folder(root: Path, species: Species) -> Path:
    return root / f"xeno-canto-{species.slug}"


def read_rows(folder: Path) -> list[Row]:
    """All rows of the folder's manifest with all their columns under our names; none when there is no manifest."""
    path = folder / MANIFEST
    rows = read_csv(path) if path.is_file() else []
    for row in rows:
        for ours, names in COLUMN_NAMES.items():
            ours = "xc_id" if ours == "id" else ours
            other = next((name for name in names if name in row), None)
            if other and ours not in row:
                row[ours] = row.pop(other)
        row["xc_id"] = row.get("xc_id", "").upper().removeprefix("XC")
    return rows


def add_rows(folder: Path, rows: Iterable[Row]) -> None:
    """Append rows to the folder's manifest; a row of the same file, or of the same Xeno-canto number, is replaced."""
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
    """Who recorded what under which licence, for the folder's manifest; nothing when there is none."""
    rows = read_rows(folder)
    if not rows:
        return
    lines = [
        f"# Recordings of {species.dutch} ({species.english}, *{species.scientific}*)",
        "",
        "From [Xeno-canto](https://xeno-canto.org), made by the people below and shared under the licence named.",
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
    """Remove what a killed download left beside its targets."""
    for part in folder.glob("**/.*.part"):
        with contextlib.suppress(FileNotFoundError):
            part.unlink()


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
