"""Overview of a folder with every possible problem, compared with what a training uses."""

import shutil
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile

from birdnet_nl.audio.cache import cache_mels
from birdnet_nl.audio.inspection import FactsCache, inspect_files
from birdnet_nl.data.overview import DUPLICATE, SAME_SOUND, TWO_TYPES, SpeciesOverview, build_overview, join_reasons
from birdnet_nl.data.prepare import prepare_recordings
from birdnet_nl.data.training_rules import TrainingRules
from birdnet_nl.recordings.library import find_recordings, read_species
from birdnet_nl.species.table import get_species

KOOLMEES = get_species("koolmees")
RULES = TrainingRules()
RATE_HZ = 8000


def overview_of(root: Path, rules: TrainingRules = RULES) -> SpeciesOverview:
    content = read_species([root / "xeno-canto-koolmees"], KOOLMEES, rules.type_set)
    paths = [recording.path for recording in content.recordings]
    return build_overview(KOOLMEES, inspect_files(paths, FactsCache(root / "facts.jsonl"), 2), rules, content)


@pytest.fixture
def messy(tmp_path, make_recordings_folder, make_sound, write_manifest):
    """Thirteen good recordings, and one with each problem."""
    folder = make_recordings_folder(tmp_path, "koolmees", {"song": 6, "call": 5, "alarm": 2}, duration_s=4.0)
    song = folder / "song"
    soundfile.write(song / "XC101.wav", (4 * make_sound(seed=101)).clip(-1, 1), RATE_HZ)  # clipped, and 1 s long
    soundfile.write(song / "XC102.wav", np.zeros(RATE_HZ), RATE_HZ)
    (song / "XC103.flac").write_bytes(b"no sound at all")
    shutil.copy(song / "XC1.wav", song / "XC104.wav")
    samples, _ = soundfile.read(song / "XC2.wav", dtype="int16")
    soundfile.write(song / "XC105.flac", samples, RATE_HZ)  # the same sound in another container
    shutil.copy(folder / "call" / "XC7.wav", folder / "call" / "XC7 - Great Tit.wav")
    shutil.copy(song / "XC4.wav", folder / "call" / "XC107.wav")
    (folder / "mixed").mkdir()
    shutil.copy(song / "XC3.wav", folder / "mixed" / "XC106.wav")
    licence = "//creativecommons.org/licenses/by-nc-sa/4.0/"
    rows = [
        {"xc_id": "1", "type": "", "recordist": "Anna", "quality": "A", "licence": licence},
        {"xc_id": "2", "type": "", "recordist": "Anna", "quality": "A", "licence": licence},
        {"xc_id": "106", "type": "song, call", "recordist": "", "quality": "B", "licence": "on request"},
    ]
    write_manifest(folder, rows)
    return tmp_path


def test_every_problem_is_reported(messy):
    overview = overview_of(messy)
    problems = overview.problems()
    assert len(problems.pop("recordings.csv: files without a row")) == 18
    assert problems == {
        "left out: silent (largest sample below -80 dB)": ["XC102.wav"],
        "left out: cannot be decoded (its content is text)": ["XC103.flac"],
        f"left out: {TWO_TYPES}": ["XC107.wav (as song/XC4.wav)", "XC4.wav (as call/XC107.wav)"],
        f"left out: {DUPLICATE}": ["XC104.wav (as song/XC1.wav)"],
        f"left out: {SAME_SOUND}": ["XC2.wav (as song/XC105.flac)"],
        "clipped": ["XC101.wav"],
        "too short (below 1.5 s)": ["XC101.wav"],
        "the same sound in two different files": ["XC106.wav", "XC3.wav"],
        "the same number more than once": ["XC7 (call, call)"],
    }
    assert overview.unclear == {"song, call": 1}


def test_recordings_are_counted(messy):
    overview = overview_of(messy)
    song, alarm = overview.types["song"], overview.types["alarm"]
    assert (song.found, song.usable, song.recordists, song.unnamed, song.why_not) == (11, 6, 1, 5, "")
    assert song.segments == 5 * 1 + 1  # 4 s and 1 s recordings have one segment of 3 s each
    assert song.duration_s == pytest.approx(5 * 4 + 1)
    assert (alarm.verdict, alarm.why_not) == ("no", "2 recordings, at least 3 needed")
    assert overview.recordists == {"Anna": 2}
    assert overview.licences == {"unknown": 17, "CC BY-NC-SA": 2, "on request": 1}
    assert list(overview.count("quality", "none")) == ["none", "A", "B"]


def test_the_splits_are_those_of_a_training(messy, small_mel):
    overview = overview_of(messy)
    prepared = prepare_recordings(
        find_recordings(messy, KOOLMEES), RULES.types,
        partial(cache_mels, params=small_mel, cache_dir=messy / "mels", workers=2), small_mel,
        dict(RULES.shares), RULES.min_recordings, RULES.seed, "koolmees",
    )  # fmt: skip
    assert overview.problem == ""
    assert {item.recording.id: item.split for item in overview.recordings if item.split} == prepared.splits
    for name in prepared.types:
        splits = Counter(prepared.splits[r.id] for r in prepared.recordings if r.vocalization_type == name)
        assert overview.types[name].splits == splits
    left_out = {item.recording.path for item in overview.recordings if item.left_out and item.kind in RULES.types}
    assert {unusable.path for unusable in prepared.unusable} == left_out
    assert {name for name, of_type in overview.types.items() if of_type.why_not} == set(prepared.left_out_types)


def test_the_segments_are_those_of_a_training(tmp_path, make_recordings_folder):
    make_recordings_folder(tmp_path, "koolmees", {"song": 1}, duration_s=10.0)
    assert overview_of(tmp_path).recordings[0].segments == 5  # from 0, 1.5, 3, 4.5 and 6 s


def test_one_type_is_not_enough(tmp_path, make_recordings_folder):
    make_recordings_folder(tmp_path, "koolmees", {"song": 4, "call": 1}, duration_s=0.2)
    overview = overview_of(tmp_path)
    assert overview.problem == (
        "koolmees: two types are needed to train and only song has at least 3 recordings by 3 recordists"
    )
    assert not any(item.split for item in overview.recordings)


def test_too_few_recordists_are_reported(tmp_path, make_recordings_folder, write_manifest):
    folder = make_recordings_folder(tmp_path, "koolmees", {"song": 4, "call": 4}, duration_s=0.2)
    write_manifest(folder, [{"xc_id": str(n), "type": "", "recordist": "Anna"} for n in range(1, 9)])
    overview = overview_of(tmp_path)
    assert "no type has" in overview.problem
    assert overview.types["song"].why_not == "4 recordings by 1 recordist, at least 3 recordists needed"


def test_recordists_who_cannot_be_divided_leave_a_type_out(tmp_path, make_recordings_folder, write_manifest):
    folder = make_recordings_folder(tmp_path, "koolmees", {"song": 4, "call": 4, "alarm": 3}, duration_s=0.2)
    people = "AABD" + "CDEE" + "ABC"  # as in tests/data/test_training_rules.py
    rows = [{"xc_id": str(n), "type": "", "recordist": person} for n, person in enumerate(people, start=1)]
    write_manifest(folder, rows)
    overview = overview_of(tmp_path)
    song, alarm = overview.types["song"], overview.types["alarm"]
    assert overview.problem == "" and alarm.verdict == "no"
    assert alarm.why_not == "3 recordings, by recordists who cannot be divided over three splits"
    assert all(song.splits.values()) and not any(alarm.splits.values())


def test_missing_files_of_the_manifest_are_reported(tmp_path, make_recordings_folder, write_manifest):
    folder = make_recordings_folder(tmp_path, "koolmees", {"song": 1}, duration_s=0.2)
    write_manifest(folder, [{"file": "song/XC9.mp3", "xc_id": "9", "type": "song"}])
    assert overview_of(tmp_path).problems()["left out: does not exist"] == ["XC9.mp3"]


def test_fifty_recordings_are_enough_for_a_reliable_metric(tmp_path, make_recordings_folder):
    make_recordings_folder(tmp_path, "koolmees", {"song": 50, "call": 20}, duration_s=0.05)
    types = overview_of(tmp_path).types
    assert (types["song"].verdict, types["call"].verdict, types["alarm"].verdict) == ("yes", "just", "no")


def test_flight_calls_can_be_left_out(tmp_path, make_recordings_folder):
    make_recordings_folder(tmp_path, "koolmees", {"flight call": 2}, duration_s=0.1)
    assert overview_of(tmp_path).types["call"].found == 2
    overview = overview_of(tmp_path, TrainingRules(flight_call="leave_out"))
    assert overview.types["call"].found == 0 and overview.unclear == {"flight call": 2}


def test_reasons_that_differ_only_in_numbers_are_one_line():
    problems = {f"cut off after {second}.5 s": [f"XC{second}.wav"] for second in (9, 10, 3)}
    others = {"a broken link to XC1.mp3": ["a"], "a broken link to XC2.mp3": ["b"], "cut off, 16-bit": ["c"]}
    assert join_reasons({**problems, **others}) == {
        "cut off after 3.5 to 10.5 s": ["XC9.wav", "XC10.wav", "XC3.wav"],
        **others,
    }


def test_cut_files_have_one_problem(tmp_path, make_recordings_folder):
    folder = make_recordings_folder(tmp_path, "koolmees", {"song": 4, "call": 3}, duration_s=4.0)
    for number, share in ((1, 0.6), (2, 0.7), (3, 0.8)):
        file = folder / "song" / f"XC{number}.wav"
        file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])
    problems = overview_of(tmp_path).problems()
    assert problems["cut off after 2.4 to 3.2 s"] == ["XC1.wav", "XC2.wav", "XC3.wav"]
    assert "cut off at the end" not in problems
