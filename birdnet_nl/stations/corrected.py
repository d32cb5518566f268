"""Corrected detections with everything that a recording to train on needs: type, prediction, window and provenance."""

import hashlib
import os
import sqlite3
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from birdnet_nl.recordings.listing import printable_path
from birdnet_nl.recordings.row_matching import Row
from birdnet_nl.species.table import find_species, normalise_name
from birdnet_nl.stations.corrections import LATEST_CORRECTION
from birdnet_nl.stations.detection import StationDetection
from birdnet_nl.stations.records import COLUMNS, stored_detection

LICENCE = "own recording"
MAX_SLUG = 100  # letters, for names of folders
FORMULA_STARTS = ("=", "+", "-", "@", "\t")  # a spreadsheet would compute such a text

QUERY = f"""
SELECT detections.id AS id, station, {", ".join(f"detections.{name}" for name in COLUMNS.split(", "))}, species,
       coalesce((SELECT old FROM changes WHERE changes.detection = detections.id AND kind = 'renamed'
                 ORDER BY changes.id LIMIT 1), key) AS first_key,
       corrections.type AS type, person, comment, corrected_at,
       shown.type AS predicted, shown.probability AS probability, shown.model AS model,
       shown.fingerprint AS fingerprint, shown.sha256 AS sha256,
       coalesce(shown.start_s, latest.start_s) AS start_s, coalesce(shown.end_s, latest.end_s) AS end_s
FROM detections
JOIN corrections ON corrections.id = {LATEST_CORRECTION}
LEFT JOIN results AS shown ON shown.id = corrections.result
LEFT JOIN results AS latest ON latest.id = detections.result
ORDER BY recorded_at, detections.id
"""


@dataclass(frozen=True)
class CorrectedDetection:
    """A detection with its latest correction.

    Attributes:
        id: of the detection in the database.
        station: its name.
        first_key: key under which the station reported the detection first; it may have renamed it since.
        detection: as the station reported it; its window is the part of the clip that was predicted.
        slug: of the species in our table, else its scientific name; empty where neither is known.
        type: the corrected one: a vocalization type, `WRONG` or `WITHDRAWN`.
        corrected_at: seconds since 1970.
        predicted, probability, model, fingerprint, sha256: the prediction that was shown and its model; empty without.
    """

    id: int
    station: str
    first_key: str
    detection: StationDetection
    slug: str
    type: str
    person: str
    comment: str
    corrected_at: float
    predicted: str = ""
    probability: float | None = None
    model: str = ""
    fingerprint: str = ""
    sha256: str = ""

    @property
    def identity(self) -> str:
        return identity_of(self.station, self.first_key)

    @property
    def stem(self) -> str:
        """Name of the exported file without suffix; without the name of the station, which may hold any text."""
        return f"{self.detection.recorded_at:%Y-%m-%dT%H%M%S}-{self.identity}"

    def row(self) -> Row:
        """Return the columns of the manifest that do not depend on the exported file.

        All clips of a station have the same recordist, so that none of them is in another split than the others: the
        same birds sing at the same microphones for weeks.
        """
        species, detection = find_species(self.slug), self.detection
        at = datetime.fromtimestamp(self.corrected_at, UTC)
        return {
            "slug": self.slug,
            "scientific": species.scientific if species else _cell(detection.scientific_name),
            "english": species.english if species else _cell(detection.common_name),
            "type": self.type,
            "recordist": f"station {_cell(self.station)}",
            "licence": LICENCE,
            "date": f"{detection.recorded_at:%Y-%m-%d}",
            "time": f"{detection.recorded_at:%H:%M}",
            "source": f"station {_cell(self.station)}",
            "station": _cell(self.station),
            "key": _cell(detection.key),
            "clip": _cell(detection.clip),
            "microphone": _cell(detection.source),
            "predicted": self.predicted,
            "probability": "" if self.probability is None else f"{self.probability:.3f}",
            "model": _cell(self.model),
            "model_fingerprint": self.fingerprint,
            "model_sha256": self.sha256,
            "person": _cell(self.person),
            "corrected_at": f"{at:%Y-%m-%dT%H:%M:%SZ}",
            "comment": _cell(self.comment),
        }


def identity_of(station: str, key: str) -> str:
    """Return 16 hexadecimal digits that identify a detection of a station, also in another database of it."""
    return hashlib.sha256(os.fsencode(station) + b"\0" + key.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def read_corrected(connection: sqlite3.Connection) -> list[CorrectedDetection]:
    """Read every detection that was ever corrected, the oldest first; the type of a withdrawn one is `WITHDRAWN`."""
    return [_corrected(row) for row in connection.execute(QUERY)]


def _corrected(row: sqlite3.Row) -> CorrectedDetection:
    detection, predicted_s = stored_detection(row), (row["start_s"], row["end_s"])
    if None not in predicted_s:
        detection = replace(detection, window_s=predicted_s)
    return CorrectedDetection(
        station=row["station"],
        first_key=row["first_key"],
        detection=detection,
        slug=normalise_name(row["species"] or row["scientific_name"])[:MAX_SLUG],
        probability=row["probability"],
        **{name: row[name] for name in ("id", "type", "person", "comment", "corrected_at")},
        **{name: row[name] or "" for name in ("predicted", "model", "fingerprint", "sha256")},
    )


def _cell(text: str) -> str:
    """Return a text as one line that no spreadsheet takes for a formula."""
    line = " ".join(printable_path(text).split())
    return f"'{line}" if line.startswith(FORMULA_STARTS) else line
