"""Detections from sound files: species, time and confidence as folders and names give them."""

import os
import re
from datetime import UTC, datetime
from pathlib import Path

from birdnet_nl.prediction.species_of import BIRDNET_GO_NAME, BIRDNET_PI_NAME, species_of_file
from birdnet_nl.prediction.timestamps import recorded_at, recorded_at_in_name
from birdnet_nl.species.table import Species
from birdnet_nl.stations.birdnet_pi_rows import CLIP_NAME
from birdnet_nl.stations.detection import StationDetection

PERCENT = ((BIRDNET_GO_NAME, re.compile(r"_(\d{1,3})p_\d{8}T")), (BIRDNET_PI_NAME, re.compile(r"-(\d{1,3})-\d{4}-")))


def detection_of(path: Path, folder: Path, species: Species | None = None) -> StationDetection | None:
    """Return the detection of a file below `folder`; its key is the relative path. None if the file is gone.

    Where neither folder nor file name is a species, the names are those that a recogniser wrote into the file name,
    else empty. The confidence is 0 where the name gives none.
    """
    try:
        status = path.stat()
    except OSError:
        return None
    key = os.path.relpath(path, folder)
    scientific_name = common_name = ""
    if found := species or species_of_file(path, folder):
        scientific_name, common_name = found.scientific, found.english
    confidence, source = 0.0, ""
    for pattern, percent in PERCENT:
        if match := pattern.fullmatch(path.stem):
            if not common_name:
                common_name = match["name"].replace("_", " ")
            if number := percent.search(path.stem):
                confidence = min(1.0, int(number[1]) / 100)
            break
    if clip := CLIP_NAME.fullmatch(path.name):
        source = clip["source"] or ""
    return StationDetection(key, time_of(path, status), scientific_name, common_name, confidence, key, source)


def time_of(path: Path, status: os.stat_result) -> datetime:
    """Return the local time of a file to the second: of its name, else of WAV metadata, else of its last change.

    BirdNET-Go writes local time followed by a Z.
    """
    found = recorded_at_in_name(path.name) or recorded_at(path)
    try:
        if found is None:
            return datetime.fromtimestamp(status.st_mtime).replace(microsecond=0)
        start = found.start.replace(microsecond=0)
        if not found.zone or BIRDNET_GO_NAME.fullmatch(path.stem):
            return start
        zone = UTC if found.zone == "UTC" else datetime.fromisoformat(f"2000-01-01T00:00:00{found.zone}").tzinfo
        return start.replace(tzinfo=zone).astimezone().replace(tzinfo=None)
    except (OverflowError, OSError, ValueError):  # years that the system does not have
        return found.start.replace(microsecond=0) if found else datetime(1970, 1, 1)
