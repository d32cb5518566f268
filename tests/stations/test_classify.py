"""The right seconds of a clip with the right model, and a state for everything that can go wrong."""

import errno
import math

import pytest
from fake_model import FakeModel, load_fake
from fake_station import FakeStation, detection

from birdnet_nl.stations import classify as module
from birdnet_nl.stations.back_off import MAX_ATTEMPTS
from birdnet_nl.stations.classify import Window, classify, clip_duration_s
from birdnet_nl.stations.detection import State
from birdnet_nl.stations.models_of_station import StationModels
from birdnet_nl.stations.records import StoredDetection
from birdnet_nl.stations.station import AudioNotReadyError, StationUnavailableError
from birdnet_nl.util.errors import DataError, SelectionError


@pytest.fixture
def station(tmp_path, write_clip):
    write_clip(tmp_path / "clips" / "1.wav")
    return FakeStation(tmp_path / "clips", [detection(1)])


@pytest.fixture
def models(write_models):
    return StationModels(write_models(), load_fake)


def stored(species="koolmees", attempts=0, **values):
    return StoredDetection(1, detection(1, **values), species, State.NEW, attempts, None, 0.0)


def test_the_middle_of_the_clip_decides_and_the_result_names_its_model(station, models):
    outcome = classify(station, stored(), models, Window())
    result = outcome.result
    assert (outcome.state, result.type, result.start_s, result.end_s) == (State.DONE, "song", 1.5, 4.5)
    assert result.probability == pytest.approx(0.8) and sum(result.probabilities.values()) == pytest.approx(1)
    entry = models.choose("koolmees")
    assert (result.model, result.fingerprint) == ("koolmees 2026Q4", entry.fingerprint)
    assert len(result.sha256) == 64 and result.computing_s > 0 and result.predicted_at > 1.7e9


@pytest.mark.parametrize(
    ("window", "of_detection", "expected", "type"),
    [
        (Window(fixed_s=(0, 1.5)), None, (0, 1.5), "alarm"),
        (Window(fixed_s=(4.5, 99)), None, (4.5, 6), "alarm"),
        (Window(context_s=9), None, (0, 6), "alarm"),
        (Window(context_s=0.5), (2.0, 4.0), (1.5, 4.5), "song"),
        (Window(), (-1.0, 1.5), (0, 1.5), "alarm"),
        (Window(), (math.nan, 3.0), (0, 6), "alarm"),
        (Window(fixed_s=(1.5, 4.5), context_s=1), (5, 6), (0.5, 5.5), None),
    ],
)
def test_the_seconds_of_the_clip_can_be_chosen(station, models, window, of_detection, expected, type):
    result = classify(station, stored(window_s=of_detection), models, window).result
    assert (result.start_s, result.end_s) == expected and type in (None, result.type)


def test_windows_that_are_none_are_refused():
    for fixed_s in ((3, 3), (-1, 2), (5, 4), (0, math.inf), (math.nan, 1)):
        with pytest.raises(SelectionError, match=r"--window-s .* is no part of a clip"):
            Window(fixed_s=fixed_s)
    for context_s in (-1, math.nan):
        with pytest.raises(SelectionError, match="--context-s"):
            Window(context_s=context_s)
    with pytest.raises(DataError, match=r"is 6\.0 s long, and the detection would start at 7\.0 s"):
        Window(fixed_s=(7, 9)).part((0, 1), 6.0)


def test_a_probability_below_the_threshold_is_uncertain(station, write_models):
    assert classify(station, stored(), StationModels(write_models("a", threshold=0.81), load_fake), Window()).state == (
        State.UNCERTAIN
    )
    outcome = classify(station, stored(), StationModels(write_models("b", threshold=None), load_fake), Window())
    assert outcome.state == State.UNCERTAIN and outcome.result.is_uncertain


def test_species_without_a_model_have_that_state(station, models):
    outcome = classify(station, stored("merel"), models, Window())
    assert (outcome.state, outcome.reason) == (State.NO_MODEL, "there is no model for merel")
    outcome = classify(station, stored(""), models, Window())
    assert (outcome.state, outcome.reason) == (State.NO_MODEL, "its name is of no species of the table")
    assert station.asked == []


def test_a_model_that_cannot_be_used_is_no_model_and_logged_once(station, write_models, caplog):
    folder = write_models()
    models = StationModels(folder, load_fake)
    (folder / "2026Q4" / "koolmees.fake").unlink()
    outcomes = [classify(station, stored(), models, Window()) for _ in range(3)]
    assert {outcome.state for outcome in outcomes} == {State.NO_MODEL}
    assert all("koolmees.fake" in outcome.reason for outcome in outcomes)
    assert len(caplog.records) == 1


def test_clips_that_are_late_are_waited_for_and_given_up_in_the_end(station, models):
    station.late["clip-1"] = 1
    outcome = classify(station, stored(), models, Window())
    assert (outcome.state, outcome.reason, outcome.retry_after_s) == (State.WAITING, "1.wav is not written yet", 0.3)
    assert classify(station, stored(clip="2.wav", attempts=3), models, Window()).retry_after_s == 16
    outcome = classify(station, stored(clip="2.wav", attempts=MAX_ATTEMPTS - 1), models, Window())
    assert (outcome.state, outcome.reason) == (State.AUDIO_GONE, "asked for 30 times: 2.wav does not exist")


def test_a_deleted_clip_is_gone(station, models):
    station.gone.add("clip-1")
    outcome = classify(station, stored(), models, Window())
    assert (outcome.state, outcome.reason) == (State.AUDIO_GONE, "1.wav was deleted")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the clip empty file"),
        (b"<html>404</html>" * 50, "the clip cannot be decoded"),
        (b"RIFF\xff\xff\xff\xffWAVEfmt ", "the clip cannot be decoded"),
        (b"\x00" * 5000, "the clip cannot be decoded"),
    ],
)
def test_malformed_clips_fail_with_the_reason(station, models, content, reason):
    (station.clips / "1.wav").write_bytes(content)
    outcome = classify(station, stored(), models, Window())
    assert outcome.state == State.FAILED and outcome.reason.startswith(reason), outcome.reason


def test_a_silent_clip_fails(station, models, write_clip):
    write_clip(station.clips / "1.wav", middle="silent")
    outcome = classify(station, stored(), models, Window())
    assert (outcome.state, outcome.reason) == (State.FAILED, "the clip is silent from 1.5 to 4.5 s")


def test_numbers_that_are_not_finite_fail(station, write_models):
    outcome = classify(station, stored(), StationModels(write_models("a", fault="nan"), load_fake), Window())
    assert outcome.state == State.FAILED and "not finite" in outcome.reason


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (OSError(errno.EIO, "Input/output error"), State.WAITING),
        (AudioNotReadyError("busy"), State.WAITING),
        (MemoryError(), State.FAILED),
        (ZeroDivisionError("x"), State.FAILED),
        (OSError(errno.ENOSPC, "No space left on device"), StationUnavailableError),
        (StationUnavailableError("down"), StationUnavailableError),
    ],
)
def test_every_error_has_a_state_or_is_the_stations(station, models, monkeypatch, error, state):
    def fail(*args, **options):
        raise error

    monkeypatch.setattr(FakeModel, "predict_file", fail)
    if state is StationUnavailableError:
        with pytest.raises(StationUnavailableError):
            classify(station, stored(), models, Window())
    else:
        assert classify(station, stored(), models, Window()).state == state


def test_the_duration_is_measured_where_the_header_does_not_know_it(station, monkeypatch):
    path = station.clips / "1.wav"
    assert clip_duration_s(path) == 6.0

    class Unknown:
        expected_samples, sample_rate_hz = 1 << 62, 8000

        def close(self):
            pass

    monkeypatch.setattr(module, "open_sound", lambda path: Unknown())
    assert clip_duration_s(path) == 6.0
