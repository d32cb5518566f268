"""Metadata of recordings by others: tags of sound files, Xeno-canto's JSON, BirdCLEF's CSV, or any CSV with paths."""

import ast
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import mutagen
from mutagen.id3 import ID3

from birdnet_nl.recordings.csv_table import read_csv
from birdnet_nl.recordings.download_filters import parse_candidate
from birdnet_nl.recordings.manifest import COLUMNS, Row
from birdnet_nl.recordings.recording import Recording, complete_url
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
_COMMENT = re.compile(r"^\s*XC(?P<xc_id>\d+)\s*©\s*(?P<recordist>.*?)\s*$", re.DOTALL)
_DATE = re.compile(r"^(?P<time>\S*?)\s*h?,\s*(?P<date>\d{4}-\d\d-\d\d)$")
_COORDINATES = re.compile(r"\((?P<latitude>-?[\d.]+),\s*(?P<longitude>-?[\d.]+)\)")
_TWICE_ENCODED = re.compile("[\u00c2-\u00f4][\u0080-\u00bf]+")


def read_tags(path: Path) -> Row:
    """Read manifest columns from the tags of a file, with the species' name as `title`; empty without such tags."""
    try:
        tags = ID3(path) if path.suffix.lower() == ".mp3" else getattr(mutagen.File(path), "tags", None)
    except (mutagen.MutagenError, OSError):
        return {}
    texts = [_repair_encoding(text) for value in (tags or {}).values() for text in _texts_of(value)]
    row = next(filter(None, map(parse_comment, texts)), {})
    title = next(iter(_texts_of((tags or {}).get("TIT2", []))), "")
    licence = next((complete_url(text) for text in texts if re.match(r"(https?:)?//creativecommons\.org/", text)), "")
    extra = {"title": _repair_encoding(title), "licence": licence}
    return {**row, **{name: value for name, value in extra.items() if value}}


def parse_comment(text: str) -> Row:
    """Parse `XC1 © Recordist // Place, Country // 10m // 10:00h, 2013-04-18 // song // remarks // also: Vink`.

    The type comes after the date. Empty for other texts.
    """
    parts = [part.strip() for part in text.split("//")]
    first = _COMMENT.match(parts[0])
    date_index = next((index for index, part in enumerate(parts) if _DATE.match(part)), 0)
    if not first or not date_index:
        return {}
    match = _DATE.match(parts[date_index])
    place = " // ".join(parts[1 : date_index - 1])
    coordinates = _COORDINATES.search(place)
    rest = parts[date_index + 1 :]
    background = [part.removeprefix("also:").strip() for part in rest[1:] if part.startswith("also:")]
    remarks = [part for part in rest[1:] if part and not part.startswith("also:")]
    return {
        **first.groupdict(),
        "country": place.rsplit(",", 1)[-1].strip(),
        **(coordinates.groupdict() if coordinates else {}),
        "date": match["date"],
        "time": match["time"] if re.match(r"\d", match["time"]) else "",
        "type": rest[0] if rest else "",
        "remarks": " // ".join(remarks),
        "background": "; ".join(name.strip() for text in background for name in text.split(",") if name.strip()),
    }


def add_tags(recording: Recording) -> Recording:
    """Fill in country, date and time from the file's tags if no manifest gave any of them."""
    if recording.country or recording.date or recording.time:
        return recording
    tags = read_tags(recording.path)
    return replace(recording, **{name: tags.get(name, "") for name in ("country", "date", "time")})


def species_in(text: str) -> Species | None:
    """Find the species in a title (`Great Tit (Parus major)`) or a file name (`XC1 - Koolmees - Parus major`)."""
    parts = re.split(r"\s+-\s+|[()]|XC\s*\d+[\s_-]*", text)
    names = [part.strip(" -_") for part in parts]
    names += [" ".join(name.split()[:2]) for name in names if len(name.split()) > 2]  # without the subspecies
    return next((species for name in names if name and (species := find_species(name))), None)


def _texts_of(value: object) -> list[str]:
    """Return the texts of an ID3 frame, a Vorbis comment or a plain value."""
    texts = getattr(value, "text", None) or getattr(value, "url", None) or value
    return [str(text) for text in texts] if isinstance(texts, list) else [str(texts)]


def _repair_encoding(text: str) -> str:
    """Undo UTF-8 read as Latin-1 and written again, as in older Xeno-canto files: `CÃ´te` becomes `Côte`."""

    def decode(match: re.Match[str]) -> str:
        try:
            return match[0].encode("latin-1").decode("utf-8")
        except UnicodeDecodeError:
            return match[0]

    return _TWICE_ENCODED.sub(decode, text)


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
