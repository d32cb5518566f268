"""Detections of a station: stored once, and everything that the station changes afterwards is noticed."""

import json
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from fake_station import NOON, detection

from birdnet_nl.species.table import find_species
from birdnet_nl.stations import records
from birdnet_nl.stations.detection import State
from birdnet_nl.stations.records import StoredKnown, add_station, cleaned, find_species_again, position, store_changes
from birdnet_nl.stations.results import Outcome, Result, due, predict_again, store_outcomes
from birdnet_nl.stations.station import Changes

RESULT = Result("song", 0.9, {"song": 0.9, "call": 0.1}, False, "koolmees 1", "abc", "sha", 1.5, 4.5, "", 0.01)


def row(connection, key):
    return connection.execute("SELECT * FROM detections WHERE key = ?", (key,)).fetchone()


def changes_of(connection, key):
    query = "SELECT kind, old, new FROM changes WHERE detection = (SELECT id FROM detections WHERE key = ?)"
    return [tuple(entry) for entry in connection.execute(query, (key,))]


def store(connection, *detections, **values):
    return store_changes(connection, "fake", Changes(list(detections), **values))


def predict_all(connection, state=State.DONE):
    result = RESULT if state is State.DONE else None
    store_outcomes(connection, [Outcome(stored, state, result=result) for stored in due(connection, "fake", 99)])


def test_new_detections_are_stored_once_with_their_species_and_the_position(connection):
    first, other = detection(1, source="mic 2", window_s=(1.5, 4.5)), detection(2, "Canis lupus", common_name="Dog")
    assert str(store(connection, first, other, position="p1")) == "2 new"
    assert str(store(connection, first, other, position="p2")) == "nothing"
    assert position(connection, "fake") == "p2"
    assert (row(connection, "clip-1")["species"], row(connection, "clip-2")["species"]) == ("koolmees", "")
    assert row(connection, "clip-1")["state"] == State.NEW and row(connection, "clip-1")["day"] == "2026-11-30"
    known = StoredKnown(connection, "fake")
    assert known.between(NOON, NOON + timedelta(seconds=2)) == {"clip-1": first}
    assert known.days() == {"2026-11-30": 2}


def test_what_cannot_be_stored_is_cleaned_and_what_can_comes_back_as_it_was(connection):
    odd = detection(
        1, clip="m\udce9s\x00e\u200d🐦.wav", key="\udcff", common_name="'; DROP TABLE detections; --", source="\\udc"
    )
    store(connection, odd, replace(odd, key="b", confidence=math.nan, window_s=(math.inf, 1)))
    known = StoredKnown(connection, "fake").between(NOON, NOON + timedelta(days=1))
    assert known["\udcff"] == odd
    assert known["b"] == replace(odd, key="b", confidence=0.0, window_s=None)
    assert cleaned(detection(1, recorded_at=datetime(2026, 1, 1, tzinfo=UTC))).recorded_at.tzinfo is None
    assert str(store(connection, odd, replace(odd, key="b", confidence=math.nan, window_s=(math.inf, 1)))) == "nothing"


def test_a_detection_that_is_identified_again_is_predicted_again(connection):
    store(connection, detection(1, common_name="Koolmees"))
    predict_all(connection)
    assert (row(connection, "clip-1")["state"], row(connection, "clip-1")["result"]) == (State.DONE, 1)
    renamed = detection(1, "Turdus merula", key="new", common_name="Merel", clip="new.wav", confidence=0.0)
    counts = store(connection, renamed, renamed={"clip-1": "new"})
    assert str(counts) == "1 changed, 1 renamed"
    stored = row(connection, "new")
    assert (stored["species"], stored["state"], stored["result"]) == ("merel", State.NEW, None)
    assert changes_of(connection, "new") == [("renamed", "clip-1", "new"), ("identified", "Koolmees", "Merel")]
    assert connection.execute("SELECT count(*) FROM results").fetchone()[0] == 1  # the old one is kept
    assert connection.execute("SELECT count(*) FROM detections").fetchone()[0] == 1


def test_a_file_that_is_only_renamed_keeps_its_result(connection):
    store(connection, detection(1), detection(2))
    predict_all(connection)
    store(connection, detection(1, clip="moved.wav"), detection(2, confidence=0.5))
    assert [row(connection, key)["state"] for key in ("clip-1", "clip-2")] == [State.DONE, State.DONE]
    assert json.loads(changes_of(connection, "clip-1")[0][2])["clip"] == "moved.wav"
    store(connection, detection(2, confidence=0.5, window_s=(0.0, 3.0)))
    assert row(connection, "clip-2")["state"] == State.NEW  # other seconds of the clip


@pytest.mark.parametrize("is_predicted", [False, True])
def test_deleted_detections_end_in_a_state_and_may_come_back(connection, is_predicted):
    store(connection, detection(1))
    if is_predicted:
        predict_all(connection)
    assert str(store(connection, gone=["clip-1", "unknown"])) == "1 deleted"
    deleted = row(connection, "clip-1")
    assert deleted["deleted_at"] and deleted["state"] == (State.DONE if is_predicted else State.AUDIO_GONE)
    assert not StoredKnown(connection, "fake").days() and not due(connection, "fake", 9)
    assert str(store(connection, gone=["clip-1"])) == "nothing"
    assert str(store(connection, detection(1))) == "1 restored"
    assert row(connection, "clip-1")["state"] == (State.DONE if is_predicted else State.NEW)
    assert [kind for kind, _, _ in changes_of(connection, "clip-1")] == ["deleted", "restored"]


def test_a_rename_to_a_key_that_is_stored_deletes_the_old_one(connection):
    store(connection, detection(1), detection(2))
    assert str(store(connection, detection(2), renamed={"clip-1": "clip-2", "x": "y"})) == "1 renamed"
    assert row(connection, "clip-1")["deleted_at"] and row(connection, "clip-2")["deleted_at"] is None


def test_a_transaction_that_fails_moves_the_position_no_further(connection):
    store(connection, detection(1), position="p1")
    with pytest.raises(AttributeError):
        store(connection, detection(2), "not a detection", position="p2")
    assert position(connection, "fake") == "p1" and row(connection, "clip-2") is None


def test_a_table_of_species_that_grew_gives_old_detections_their_species(connection, monkeypatch):
    store(connection, detection(1, "Pica nova"), detection(2, "Canis lupus"))
    predict_all(connection, state=State.NO_MODEL)
    names = {"Pica nova": find_species("ekster")}
    monkeypatch.setattr(records, "species_of_label", lambda *texts: names.get(texts[0]))
    assert find_species_again(connection, "fake") == 1 and find_species_again(connection, "fake") == 0
    assert (row(connection, "clip-1")["species"], row(connection, "clip-2")["species"]) == ("ekster", "")


def test_settings_of_a_station_are_replaced_and_its_position_stays(connection):
    store(connection, position="p1")
    assert add_station(connection, "fake", {"kind": "fake", "clips": "/x"}) == "p1"
    (text,) = connection.execute("SELECT settings FROM stations").fetchone()
    assert json.loads(text) == {"kind": "fake", "clips": "/x"}


def test_audio_that_was_gone_is_asked_for_in_another_folder(connection):
    add_station(connection, "fake", {"kind": "fake", "clips": "/mistake"})
    store(connection, detection(1))
    (stored,) = due(connection, "fake", 9)
    store_outcomes(connection, [Outcome(stored, State.AUDIO_GONE, "a does not exist")])
    add_station(connection, "fake", {"kind": "fake", "clips": "/mistake", "clip_s": 6})
    assert row(connection, "clip-1")["state"] == State.AUDIO_GONE and not due(connection, "fake", 9)
    add_station(connection, "fake", {"kind": "fake", "clips": "/right"})
    assert [stored.detection.key for stored in due(connection, "fake", 9)] == ["clip-1"]


def test_stations_do_not_see_each_other(connection):
    add_station(connection, "other", {})
    store_changes(connection, "other", Changes([detection(1)]))
    assert str(store(connection, detection(1))) == "1 new"
    assert str(store(connection, gone=["clip-1"])) == "1 deleted"
    assert StoredKnown(connection, "other").days() == {"2026-11-30": 1}


def test_a_malformed_row_is_listed_as_failed_and_predicted_when_it_is_repaired(connection):
    malformed = detection(1, clip="", reason="has no file name")
    assert str(store(connection, malformed)) == "1 new" and str(store(connection, malformed)) == "nothing"
    stored = row(connection, "clip-1")
    assert (stored["state"], stored["reason"]) == (State.FAILED, "has no file name") and not due(connection, "fake", 9)
    assert predict_again(connection, "fake", NOON, lambda species: "new") == 0
    assert StoredKnown(connection, "fake").between(NOON, NOON + timedelta(days=1)) == {"clip-1": malformed}
    store(connection, detection(1))
    assert (row(connection, "clip-1")["state"], row(connection, "clip-1")["reason"]) == (State.NEW, "")
    store(connection, malformed)
    assert row(connection, "clip-1")["state"] == State.FAILED
