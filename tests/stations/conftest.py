"""Databases with detections of a fake station."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from birdnet_nl.stations.database import open_database
from birdnet_nl.stations.records import add_station


@pytest.fixture
def connection(tmp_path):
    """Connection to a new database with the station `fake`."""
    opened = open_database(tmp_path / "detections.db")
    add_station(opened, "fake", {"kind": "fake"})
    yield opened
    opened.close()
