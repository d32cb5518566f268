"""`recordings.csv` and `ATTRIBUTION.md` of one species folder; both are written beside and renamed, never half."""

import contextlib
import csv
import hashlib
import io
import os
from collections.abc import Iterable
from pathlib import Path

from birdnet_nl.recordings.csv_table import read_csv
from birdnet_nl.recordings.folder import MANIFEST
from birdnet_nl.recordings.vocalization import ALARM, CALL, OTHER, SEVERAL, SONG
from birdnet_nl.species.table import Species

ATTRIBUTION = "ATTRIBUTION.md"
TYPE_FOLDERS = {SONG: "song", CALL: "call", ALARM: "alarm", SEVERAL: "mixed", OTHER: "other"}
COLUMNS = (
    "file", "xc_id", "slug", "scientific", "english", "type", "quality", "recordist", "licence", "country", "date",
    "time", "latitude", "longitude", "duration_s", "sample_rate_hz", "remarks", "background", "sha256",
)  # fmt: skip

Row = dict[str, str]
"""One line of a manifest; `file` is relative to the manifest, unknown values are empty, further columns are kept."""


def species_folder(root: Path, species: Species) -> Path:
    return root / f"xeno-canto-{species.slug}"


def read_rows(folder: Path) -> list[Row]:
    """All rows of the folder's manifest with all their columns; none when there is no manifest."""
    path = folder / MANIFEST
    return read_csv(path) if path.is_file() else []


def add_rows(folder: Path, rows: Iterable[Row]) -> None:
    """Append rows to the folder's manifest; a row of the same file, or of the same Xeno-canto number, is replaced."""
    one_line = [{name: " ".join(value.split()) for name, value in row.items()} for row in rows]
    merged = {row.get("xc_id") or row.get("file", ""): row for row in [*read_rows(folder), *one_line]}
    columns = list(dict.fromkeys([*COLUMNS, *(name for row in merged.values() for name in row)]))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([row.get(name, "") for name in columns] for row in merged.values())
    write_whole(folder / MANIFEST, text.getvalue())


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
    write_whole(folder / ATTRIBUTION, "\n".join(lines) + "\n")


def write_whole(path: Path, text: str) -> None:
    """Write beside `path`, then rename: a kill leaves the old file or the new one, not a half one."""
    beside = path.with_name(f".{path.name}.part")
    beside.parent.mkdir(parents=True, exist_ok=True)
    try:
        beside.write_text(text, encoding="utf-8")
        put_in_place(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def put_in_place(beside: Path, path: Path) -> None:
    """Rename a complete file to its final name, after its bytes have reached the disk."""
    with beside.open("r+b") as file:
        os.fsync(file.fileno())
    beside.replace(path)


def remove_parts(folder: Path) -> None:
    """Remove what a killed download left beside its targets."""
    for part in folder.glob("**/.*.part"):
        with contextlib.suppress(FileNotFoundError):
            part.unlink()


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
