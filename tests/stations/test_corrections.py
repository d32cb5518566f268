"""Corrections of detections: who said what and when, the latest one counts, and nothing is overwritten."""

import sqlite3
import threading
from importlib.resources import files

import pytest

from birdnet_nl.stations.corrections import (
    MAX_COMMENT,
    add_correction,
    correction_history,
    correction_types,
    latest_correction,
    latest_corrections,
    least_certain,
    withdraw_correction,
)
from birdnet_nl.stations.detection import State
from birdnet_nl.util.errors import DataError


@pytest.fixture(params=["", None], ids=["transactions", "autocommit"])
def connection(request):
    connection = sqlite3.connect(":memory:", isolation_level=request.param)
    connection.executescript((files("birdnet_nl.stations") / "schema.sql").read_text(encoding="utf-8"))
    connection.execute("INSERT INTO stations (name) VALUES ('birdnet-pi')")
    yield connection
    connection.close()


def add_detection(connection, key, probability=None, state=State.DONE, species="merel", at="2026-11-30T06:12:08"):
    """Insert a detection, with a result where `probability` is given; return its id."""
    values = (key, at, species, f"By_Date/{key}.mp3", state)
    detection = connection.execute(
        "INSERT INTO detections (station, key, recorded_at, scientific_name, common_name, species, confidence, clip, "
        "state, noticed_at, changed_at) VALUES ('birdnet-pi', ?, ?, 'Turdus merula', 'Merel', ?, 0.9, ?, ?, 0, 0)",
        values,
    ).lastrowid
    if probability is not None:
        add_result(connection, detection, probability)
    return detection


def add_result(connection, detection, probability, fingerprint="a"):
    result = connection.execute(
        "INSERT INTO results (detection, type, probability, probabilities, is_uncertain, model, fingerprint, start_s, "
        "end_s, computing_s, predicted_at) VALUES (?, 'song', ?, '{}', 0, 'merel 2026Q4', ?, 1.5, 4.5, 0.01, 0)",
        (detection, probability, fingerprint),
    ).lastrowid
    connection.execute("UPDATE detections SET result = ? WHERE id = ?", (result, detection))
    return result


def test_a_correction_keeps_person_time_comment_and_what_was_shown(connection):
    detection = add_detection(connection, "a", 0.4)
    first = connection.execute("SELECT result FROM detections").fetchone()[0]
    add_result(connection, detection, 0.9, fingerprint="b")
    correction = add_correction(
        connection, detection, "alarm", " Anna \n B. ", "cat\x00 below ", first, corrected_at=12.5
    )
    assert (correction.type, correction.person, correction.comment) == ("alarm", "Anna B.", "cat  below")
    assert (correction.detection, correction.result, correction.corrected_at) == (detection, first, 12.5)
    assert latest_correction(connection, detection) == correction


def test_the_latest_correction_counts_and_all_are_kept(connection):
    detection, other = add_detection(connection, "a", 0.4), add_detection(connection, "b", 0.4)
    add_correction(connection, detection, "alarm", "Anna", corrected_at=200)
    add_correction(connection, detection, "wrong", "Bert", corrected_at=100)  # the clock was set back
    assert latest_correction(connection, detection).type == "wrong"
    assert [correction.person for correction in correction_history(connection, detection)] == ["Anna", "Bert"]
    assert set(latest_corrections(connection, [detection, other, 99])) == {detection}


def test_a_correction_without_result_is_possible(connection):
    detection = add_detection(connection, "a", state=State.NO_MODEL)
    assert add_correction(connection, detection, "call", "Anna").result is None


def test_a_correction_is_a_type_of_the_model_or_one_of_the_usual_ones(connection):
    detection = add_detection(connection, "a", 0.4)
    connection.execute("UPDATE results SET probabilities = ?", ('{"drumming": 0.9, "../x": 0.05, "wrong": 0.05}',))
    assert correction_types(["drumming", "../x", "wrong", ""]) == ("song", "call", "alarm", "drumming", "wrong")
    for type in ("drumming", "alarm", "wrong"):
        assert add_correction(connection, detection, type, "Anna").type == type
    for type in ("../x", "begging", ""):
        with pytest.raises(ValueError, match="choose one of song, call, alarm, drumming, wrong"):
            add_correction(connection, detection, type, "Anna")


def test_the_same_tap_twice_is_stored_once(connection):
    detection = add_detection(connection, "a", 0.4)
    first, second = (add_correction(connection, detection, "alarm", "Anna") for _ in range(2))
    assert first == second and len(correction_history(connection, detection)) == 1
    add_correction(connection, detection, "call", "Anna")
    assert add_correction(connection, detection, "alarm", "Anna").id > first.id
    assert [correction.type for correction in correction_history(connection, detection)] == ["alarm", "call", "alarm"]


def test_a_withdrawn_correction_no_longer_counts(connection):
    detection = add_detection(connection, "a", 0.4)
    assert withdraw_correction(connection, detection, "Anna") is None
    add_correction(connection, detection, "alarm", "Anna")
    assert withdraw_correction(connection, detection, "Bert").person == "Bert"
    assert withdraw_correction(connection, detection, "Bert") is None
    assert latest_correction(connection, detection) is None
    assert [correction.type for correction in correction_history(connection, detection)] == ["alarm", ""]
    assert [uncertain.id for uncertain in least_certain(connection, 5)] == [detection]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"type": "zang"}, "type='zang' is not a correction; choose one of song, call, alarm, wrong"),
        ({"type": ""}, "is not a correction"),
        ({"person": " \n"}, "person is empty"),
        ({"person": "x" * 101}, "person has 101 characters; at most 100"),
        ({"comment": "x" * (MAX_COMMENT + 1)}, "comment has 2001 characters"),
    ],
)
def test_other_values_are_refused(connection, change, message):
    detection = add_detection(connection, "a", 0.4)
    with pytest.raises(ValueError, match=message):
        add_correction(connection, **({"detection": detection, "type": "song", "person": "Anna"} | change))
    assert correction_history(connection, detection) == []


def test_unknown_detections_and_results_of_others_are_refused(connection):
    detection, other = add_detection(connection, "a", 0.4), add_detection(connection, "b", 0.4)
    with pytest.raises(DataError, match="no detection 77"):
        add_correction(connection, 77, "song", "Anna")
    result = connection.execute("SELECT result FROM detections WHERE id = ?", (other,)).fetchone()[0]
    with pytest.raises(DataError, match=f"detection {detection} has no result {result}"):
        add_correction(connection, detection, "song", "Anna", result=result)


def test_text_of_an_attacker_stays_text(connection):
    detection = add_detection(connection, "a", 0.4)
    hostile = "'); DROP TABLE corrections; -- <script>\ud800\x1b[31m"
    add_correction(connection, detection, "song", hostile[:90], hostile)
    assert latest_correction(connection, detection).comment.startswith("'); DROP TABLE corrections; -- <script>")


def test_least_certain_lists_the_lowest_probability_first_and_the_newest_among_equals(connection):
    add_detection(connection, "sure", 0.95)
    old = add_detection(connection, "old", 0.5, at="2026-11-01T06:00:00")
    new = add_detection(connection, "new", 0.5, at="2026-11-29T06:00:00")
    least = add_detection(connection, "least", 0.34, State.UNCERTAIN, species="koolmees")
    corrected = add_detection(connection, "corrected", 0.2)
    add_correction(connection, corrected, "song", "Anna")
    gone = add_detection(connection, "deleted", 0.1)
    connection.execute("UPDATE detections SET deleted_at = 5 WHERE id = ?", (gone,))
    add_detection(connection, "again", 0.1, State.NEW)
    add_detection(connection, "no model", state=State.NO_MODEL)
    assert [detection.id for detection in least_certain(connection, 3)] == [least, new, old]
    assert least_certain(connection, 9, species="merel", since="2026-11-02")[0].id == new
    first = least_certain(connection, 1)[0]
    assert (first.species, first.type, first.probability, first.clip) == ("koolmees", "song", 0.34, "By_Date/least.mp3")
    assert first.recorded_at.isoformat() == "2026-11-30T06:12:08"


def test_many_people_correct_at_the_same_time(tmp_path):
    path = tmp_path / "detections.db"
    connection = sqlite3.connect(path)
    connection.executescript((files("birdnet_nl.stations") / "schema.sql").read_text(encoding="utf-8"))
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("INSERT INTO stations (name) VALUES ('birdnet-pi')")
    detection = add_detection(connection, "a", 0.4)
    connection.commit()

    def correct(person):
        own = sqlite3.connect(path, timeout=30)
        for index in range(20):
            add_correction(own, detection, ("song", "call")[index % 2], person)
        own.close()

    threads = [threading.Thread(target=correct, args=(f"person {number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    history = correction_history(connection, detection)
    assert {sum(correction.person == f"person {number}" for correction in history) for number in range(4)} == {20}
    connection.close()
