"""Message about one result, built from our database when it is delivered."""

import json
import math
import sqlite3
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from birdnet_nl.species.table import find_species

SELECT = """
SELECT outbox.id AS row, outbox.attempts AS attempts, outbox.created_at,
    detections.id, station, recorded_at, scientific_name, common_name, species, confidence, clip, source, deleted_at,
    key, results.type, results.probability, probabilities, is_uncertain, model, warning, start_s, end_s,
    results.id = detections.result AND NOT EXISTS (
        SELECT 1 FROM detections AS later
        WHERE later.species = detections.species AND later.recorded_at > detections.recorded_at
            AND later.station = detections.station AND later.result IS NOT NULL AND later.deleted_at IS NULL
    ) AS is_latest
FROM outbox JOIN detections ON detections.id = outbox.detection JOIN results ON results.id = outbox.result
"""


@dataclass(frozen=True)
class Message:
    """One result that is to be delivered.

    Attributes:
        row: id in the table `outbox`; `attempts`: failed deliveries of this message.
        key: of the detection within its station.
        is_latest: whether no later detection of the species has a result; decides what a display shows.
        recorded_at: local time of the station; None if the station wrote no valid time.
        content: what receivers get, as JSON.
    """

    row: int
    attempts: int
    station: str
    key: str
    clip: str
    species: str
    type: str
    is_certain: bool
    is_latest: bool
    is_deleted: bool
    recorded_at: datetime | None
    content: dict[str, Any]

    @property
    def json(self) -> str:
        return json.dumps(self.content, ensure_ascii=False, allow_nan=False)


def message_from(row: sqlite3.Row) -> Message:
    """Build the message of a row that `SELECT` returned."""
    species = find_species(row["species"]) if row["species"] else None
    is_certain = not row["is_uncertain"]
    content = {
        "id": row["id"],
        "station": row["station"],
        "source": row["source"],
        "recorded_at": row["recorded_at"],
        "species": row["species"],
        "dutch": species.dutch if species else "",
        "english": species.english if species else "",
        "scientific_name": row["scientific_name"] or (species.scientific if species else ""),
        "common_name": row["common_name"],
        "confidence": _number(row["confidence"]),
        "type": row["type"],
        "probability": _number(row["probability"]),
        "certain": is_certain,
        "probabilities": _probabilities(row["probabilities"]),
        "start_s": _number(row["start_s"]),
        "end_s": _number(row["end_s"]),
        "clip": row["clip"],
        "model": row["model"],
    }
    if row["warning"]:
        content["warning"] = row["warning"]
    return Message(
        row=row["row"],
        attempts=row["attempts"],
        station=row["station"],
        key=row["key"],
        clip=row["clip"],
        species=row["species"],
        type=row["type"],
        is_certain=is_certain,
        is_latest=bool(row["is_latest"]),
        is_deleted=row["deleted_at"] is not None,
        recorded_at=_time(row["recorded_at"]),
        content=content,
    )


def _number(value: Any) -> float | None:
    """Round to four decimals; None for what JSON cannot hold."""
    return round(float(value), 4) if isinstance(value, int | float) and math.isfinite(value) else None


def _probabilities(text: str) -> dict[str, float | None]:
    try:
        values = json.loads(text)
    except ValueError:
        values = None
    return {str(name): _number(value) for name, value in values.items()} if isinstance(values, dict) else {}


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=None)
    except ValueError:
        return None
