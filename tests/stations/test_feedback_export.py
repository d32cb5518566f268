"""Export of corrected detections: recordings to train on that follow the corrections, and lose nothing."""

import shutil
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import soundfile

from birdnet_nl.data.extra import check_extra_roots, read_extra
from birdnet_nl.data.splits import group_of
from birdnet_nl.data.training_rules import read_type_set
from birdnet_nl.recordings.folder import read_species_folder
from birdnet_nl.recordings.manifest import read_rows
from birdnet_nl.recordings.type_set import THREE
from birdnet_nl.species.table import get_species
from birdnet_nl.stations.corrected import read_corrected
from birdnet_nl.stations.corrections import add_correction, withdraw_correction
from birdnet_nl.stations.database import open_database
from birdnet_nl.stations.detection import State, StationDetection
from birdnet_nl.stations.feedback_export import SET_ASIDE, export_corrections
from birdnet_nl.stations.records import add_station, store_changes
from birdnet_nl.stations.station import AudioGoneError, Changes, StationUnavailableError
from birdnet_nl.util.files import write_text_atomic

RATE = 16_000


class ClipFolder:
    """Station whose clips are files of a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.is_available, self.asked = folder, True, 0

    @contextmanager
    def clip(self, detection):
        self.asked += 1
        if not self.is_available:
            raise StationUnavailableError("the station does not respond")
        path = self.folder / detection.clip
        if not path.is_file():
            raise AudioGoneError("the station deleted it")
        yield path

    def window_s(self, detection, duration_s):
        return duration_s / 2 - 1.5, duration_s / 2 + 1.5


class Setup:
    """A database with one station, its clips, and the folder of the export."""

    def __init__(self, folder: Path) -> None:
        self.connection = open_database(folder / "detections.db")
        self.clips, self.out = folder / "clips", folder / "corrected"
        self.clips.mkdir()
        self.station = ClipFolder(self.clips)
        add_station(self.connection, "birdnet-pi", {})

    def detect(self, name, species=("Turdus merula", "Merel"), duration_s=6.0, day=30, probability=0.4, channels=1):
        """Store a detection with its clip, and a result where `probability` is given; return its id."""
        rng = np.random.default_rng(sum(name.encode(errors="replace")))
        if duration_s:
            noise = 0.1 * rng.standard_normal((round(duration_s * RATE), channels))
            soundfile.write(self.clips / f"{name}.wav", noise, RATE)
        at = datetime(2026, 11, day, 6, 12, 8)
        detection = StationDetection(f"key {name}", at, *species, 0.8, f"{name}.wav")
        store_changes(self.connection, "birdnet-pi", Changes([detection]))
        row = self.connection.execute("SELECT id FROM detections WHERE clip = ?", (f"{name}.wav",)).fetchone()
        if probability is not None:
            middle = duration_s / 2
            result = self.connection.execute(
                "INSERT INTO results (detection, type, probability, probabilities, is_uncertain, model, fingerprint, "
                "sha256, start_s, end_s, computing_s, predicted_at) "
                "VALUES (?, 'song', ?, '{}', 0, 'merel 2026Q4', 'f1', 'abc', ?, ?, 0.01, 0)",
                (row["id"], probability, middle - 1.5, middle + 1.5),
            ).lastrowid
            self.connection.execute(
                "UPDATE detections SET result = ?, state = ? WHERE id = ?", (result, State.DONE, row["id"])
            )
        return row["id"]

    def correct(self, detection, type, comment=""):
        add_correction(self.connection, detection, type, "Anna", comment, corrected_at=1_800_000_000.0)

    def export(self, **options):
        return export_corrections(read_corrected(self.connection), self.out, lambda name: self.station, **options)

    def files(self):
        return sorted(
            path.relative_to(self.out).as_posix() for path in self.out.rglob("*") if path.suffix in (".wav", ".flac")
        )

    def rows(self, slug="merel"):
        return read_rows(self.out / f"xeno-canto-{slug}")


@pytest.fixture
def setup(tmp_path):
    setup = Setup(tmp_path)
    yield setup
    setup.connection.close()


def test_a_correction_becomes_a_recording_with_its_provenance(setup):
    detection = setup.detect("a")
    setup.correct(detection, "alarm", "=cat")
    before = (setup.clips / "a.wav").read_bytes()
    report = setup.export()
    assert (report.added, report.moved, report.unchanged, dict(report.counts["merel"])) == (1, 0, 0, {"alarm": 1})
    assert (setup.clips / "a.wav").read_bytes() == before
    (recording,) = read_species_folder(setup.out / "xeno-canto-merel", get_species("merel"))
    assert (recording.vocalization_type, recording.recordist) == ("alarm", "station birdnet-pi")
    assert recording.path.read_bytes() == before  # 6 s are copied byte for byte
    assert (recording.month, recording.hour, recording.duration_s) == (11, 6, 6.0)
    (row,) = setup.rows()
    expected = {
        "station": "birdnet-pi", "key": "key a", "clip": "a.wav", "predicted": "song", "probability": "0.400",
        "model": "merel 2026Q4", "model_fingerprint": "f1", "model_sha256": "abc", "person": "Anna",
        "corrected_at": "2027-01-15T08:00:00Z", "comment": "'=cat", "window_start_s": "1.50", "window_end_s": "4.50",
        "licence": "own recording",
    }  # fmt: skip
    assert {name: row[name] for name in expected} == expected


def test_a_type_of_any_model_is_a_folder_and_other_texts_are_not(setup):
    setup.detect("a"), setup.detect("b")
    setup.connection.execute("UPDATE results SET probabilities = '{\"drumming\": 1}'")
    setup.correct(1, "drumming")
    setup.connection.execute(  # by another program
        "INSERT INTO corrections (detection, type, person, corrected_at) VALUES (2, '../../outside', 'x', 0)"
    )
    report = setup.export()
    assert dict(report.counts["merel"]) == {"drumming": 1}
    (name,) = setup.files()
    assert name.startswith("xeno-canto-merel/drumming/")
    assert report.unusable == [("b.wav", "'../../outside' is no type")]
    ten = read_type_set("ten")
    (recording,) = read_species_folder(setup.out / "xeno-canto-merel", get_species("merel"), type_set=ten)
    assert recording.vocalization_type == "drumming"


def test_long_clips_are_cut_to_the_detection_with_context(setup):
    setup.correct(setup.detect("long", duration_s=15.0, channels=2), "song")
    assert setup.export().added == 1
    (name,) = setup.files()
    samples, rate = soundfile.read(setup.out / name)
    whole, _ = soundfile.read(setup.clips / "long.wav")
    assert name.endswith(".flac") and rate == RATE and samples.shape == (6 * RATE, 2)
    assert np.abs(samples - whole[round(4.5 * RATE) : round(10.5 * RATE)]).max() < 1e-4
    assert setup.rows()[0]["window_start_s"] == "1.50"


def test_without_a_prediction_the_station_gives_the_window(setup):
    setup.correct(setup.detect("a", duration_s=15.0, probability=None), "call")
    setup.export(context_s=0.5)
    assert soundfile.info(setup.out / setup.files()[0]).duration == pytest.approx(4.0)
    assert setup.rows()[0]["predicted"] == ""


def test_all_clips_of_a_station_stay_on_one_side_of_a_split(setup):
    for day in (3, 17):
        setup.correct(setup.detect(f"merel {day}", day=day), "song")
        setup.correct(setup.detect(f"vink {day}", ("Fringilla coelebs", "Vink"), day=day), "call")
    setup.export()
    roots = check_extra_roots([str(setup.out)], synthetic=False, split_by="recording", spectrograms=False)
    recordings = read_extra(roots, THREE, []).found
    assert {recording.species for recording in recordings} == {"merel", "vink"}
    assert len(recordings) == 4 and len({group_of(recording) for recording in recordings}) == 1


def test_a_second_export_adds_only_new_ones_and_asks_for_no_clip_again(setup):
    setup.correct(setup.detect("a"), "alarm")
    setup.export()
    first = (setup.out / setup.files()[0]).stat().st_mtime_ns, setup.rows()
    setup.correct(setup.detect("b", day=29), "song")
    (setup.clips / "a.wav").unlink()
    setup.station.asked = 0
    report = setup.export()
    assert (report.added, report.unchanged, setup.station.asked, report.gone) == (1, 1, 1, [])
    assert (setup.out / setup.files()[0]).stat().st_mtime_ns == first[0] and first[1][0] in setup.rows()


def test_a_changed_correction_moves_its_recording(setup):
    detection = setup.detect("a")
    setup.correct(detection, "alarm")
    setup.export()
    setup.correct(detection, "call")
    (setup.clips / "a.wav").unlink()
    report = setup.export()
    assert (report.added, report.moved) == (0, 1)
    assert [name.split("/")[1] for name in setup.files()] == ["call"] and setup.rows()[0]["type"] == "call"
    assert setup.rows()[0]["duration_s"] == "6.00" and len(setup.rows()) == 1


@pytest.mark.parametrize("change", ["wrong", "withdrawn"])
def test_wrong_and_withdrawn_ones_are_set_aside_and_come_back(setup, change):
    detection = setup.detect("a")
    setup.correct(detection, "alarm")
    setup.export()
    if change == "wrong":
        setup.correct(detection, "wrong")
    else:
        withdraw_correction(setup.connection, detection, "Anna")
    (setup.clips / "a.wav").unlink()
    for count in (1, 0):  # twice: the second export changes nothing
        report = setup.export()
        assert (report.set_aside, report.wrong["merel"], report.withdrawn) == (
            count,
            change == "wrong",
            change != "wrong",
        )
        assert [Path(name).parent.name for name in setup.files()] == [SET_ASIDE]
        assert setup.rows() == [] and read_rows(setup.out / SET_ASIDE)[0]["key"] == "key a"
    setup.correct(detection, "song")
    assert setup.export().moved == 1
    assert [name.split("/")[1] for name in setup.files()] == ["song"]
    assert setup.rows()[0]["sha256"] and read_rows(setup.out / SET_ASIDE) == []


def test_wrong_ones_are_counted_and_clips_that_are_missing_or_damaged_are_listed(setup):
    setup.correct(setup.detect("wrong"), "wrong")
    setup.correct(setup.detect("gone", duration_s=0), "song")
    setup.correct(setup.detect("damaged"), "song")
    (setup.clips / "damaged.wav").write_bytes(b"RIFF")
    setup.correct(setup.detect("nameless", ("", "")), "song")
    report = setup.export()
    assert report.added == 0 and report.wrong == {"merel": 1}
    assert report.gone == [("gone.wav", "the station deleted it")]
    assert [clip for clip, _ in report.unusable] == ["damaged.wav", "nameless.wav"] and report.unusable[0][1]


def test_a_station_that_does_not_respond_is_asked_once_and_later_again(setup):
    for name in "abc":
        setup.correct(setup.detect(name), "song")
    setup.station.is_available = False
    report = setup.export()
    assert len(report.not_now) == 3 and setup.station.asked == 1
    setup.station.is_available = True
    assert setup.export().added == 3


def test_an_export_that_was_killed_is_completed_by_the_next(setup, monkeypatch):
    detections = [setup.detect(name) for name in "abc"]
    for detection in detections:
        setup.correct(detection, "alarm")
    module = "birdnet_nl.stations.feedback_export.write_rows"
    with monkeypatch.context() as patch:
        patch.setattr(module, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            setup.export()
    assert len(setup.files()) == 3 and setup.rows() == []
    setup.correct(detections[0], "song")
    shutil.rmtree(setup.clips)
    report = setup.export()
    assert (report.added, report.moved, report.unchanged, len(setup.rows())) == (0, 1, 2, 3)
    assert all(row["sha256"] and row["duration_s"] == "6.00" for row in setup.rows())


def test_days_limit_what_is_added_and_not_what_is_there(setup):
    old, new = setup.detect("old", day=1), setup.detect("new", day=20)
    for detection in (old, new):
        setup.correct(detection, "song")
    assert setup.export(until="2026-11-10").added == 1
    assert setup.rows()[0]["date"] == "2026-11-01"
    setup.correct(old, "call")
    report = setup.export(since="2026-11-11")
    assert (report.added, report.moved) == (1, 1)


def test_rows_and_files_of_another_database_stay(setup):
    folder = setup.out / "xeno-canto-merel"
    (folder / "song").mkdir(parents=True)
    write_text_atomic(
        folder / "recordings.csv", "file,type,recordist\nsong/2026-01-01T000000-00000000000000ff.wav,song,x\n"
    )
    setup.correct(setup.detect("a"), "alarm")
    assert setup.export().others == 1
    assert [row["recordist"] for row in setup.rows()] == ["x", "station birdnet-pi"]


def test_a_detection_that_the_station_renames_is_the_same_recording(setup):
    setup.correct(setup.detect("a"), "alarm")
    setup.export()
    vink = StationDetection("key renamed", datetime(2026, 11, 30, 6, 12, 8), "Fringilla coelebs", "Vink", 0.0, "v.wav")
    store_changes(setup.connection, "birdnet-pi", Changes([vink], renamed={"key a": "key renamed"}))
    report = setup.export()
    assert (report.added, report.moved, report.counts["vink"]["alarm"]) == (0, 1, 1)
    assert setup.rows() == [] and setup.rows("vink")[0]["key"] == "key renamed"


def test_a_species_outside_our_table_keeps_its_scientific_name(setup):
    setup.correct(setup.detect("a", ("Zonotrichia leucophrys", "White-crowned Sparrow")), "song")
    setup.export()
    assert setup.rows("zonotrichia_leucophrys")[0]["english"] == "White-crowned Sparrow"


@pytest.mark.parametrize("name", ["../../x", "a\nb", "XC123", "é ü", "x" * 400, "<b>", "-rf"])
def test_names_of_a_station_do_not_reach_the_file_system(setup, name):
    connection = setup.connection
    detection = StationDetection(name, datetime(2026, 11, 30), f"../{name}", name, 0.5, "clip.wav")
    soundfile.write(setup.clips / "clip.wav", 0.1 * np.random.default_rng(1).standard_normal(6 * RATE), RATE)
    store_changes(connection, "birdnet-pi", Changes([detection]))
    setup.correct(connection.execute("SELECT id FROM detections").fetchone()[0], "song")
    report = setup.export()
    assert report.added == 1
    assert {path.parent.parent.parent for path in setup.out.rglob("*.wav")} == {setup.out}
    (folder,) = setup.out.iterdir()
    assert len(folder.name) < 255 and len(read_rows(folder)) == 1
