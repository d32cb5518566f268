"""What one has, against a folder in which everything that can be wrong is wrong, and against what training does."""

import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile
from omegaconf import OmegaConf

from birdnet_nl.audio.cache import cache_mels
from birdnet_nl.audio.inspection import FactsCache, inspect_files
from birdnet_nl.data.overview import DUPLICATE, SAME_SOUND, TWO_TYPES, build_overview
from birdnet_nl.data.prepare import prepare_recordings
from birdnet_nl.data.splits import count_by_split
from birdnet_nl.data.training_rules import TrainingRules
from birdnet_nl.recordings.library import files_by_id, find_recordings
from birdnet_nl.species.table import get_species

KOOLMEES = get_species("koolmees")
RULES = TrainingRules()
RATE_HZ = 8000


def look(root: Path, rules: TrainingRules = RULES):
    found = find_recordings(root, KOOLMEES, rules.flight_call)
    facts = inspect_files([one.path for one in found], FactsCache(root / "facts.jsonl"), 2)
    folder = root / "xeno-canto-koolmees"
    return build_overview(KOOLMEES, found, facts, rules, files=files_by_id([folder]), folders=[folder])


@pytest.fixture
def messy(tmp_path, make_recordings_folder, make_sound, write_manifest):
    """Fifteen good recordings, and one of each trouble."""
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
    rows = [{"xc_id": f"{n}", "type": "", "recordist": "Anna", "quality": "A",
             "licence": "//creativecommons.org/licenses/by-nc-sa/4.0/"} for n in (1, 2)]  # fmt: skip
    rows.append({"xc_id": "106", "type": "song, call", "recordist": "", "quality": "B", "licence": "on request"})
    write_manifest(folder, rows)
    return tmp_path


def test_every_trouble_is_found(messy):
    overview = look(messy)
    assert overview.problems() == {
        "left out: silent (largest sample below -80 dB)": ["XC102.wav"],
        "left out: cannot be decoded (Format not recognised)": ["XC103.flac"],
        f"left out: {TWO_TYPES}": ["XC107.wav (as song/XC4.wav)", "XC4.wav (as call/XC107.wav)"],
        f"left out: {DUPLICATE}": ["XC104.wav (as song/XC1.wav)"],
        f"left out: {SAME_SOUND}": ["XC2.wav (as song/XC105.flac)"],
        "clipped": ["XC101.wav"],
        "too short (below 1.5 s)": ["XC101.wav"],
        "the same sound in two different files": ["XC106.wav", "XC3.wav"],
        "the same number more than once": ["XC7 (call, call)"],
    }
    assert overview.unclear == {"song, call": 1}


def test_what_there_is_is_counted(messy):
    overview = look(messy)
    song = overview.types["song"]
    assert (song.found, song.usable, song.recordists, song.unnamed, song.why_not) == (11, 6, 1, 5, "")
    assert song.segments == 5 * 1 + 1  # 4 s and 1 s recordings give one segment of 3 s each
    assert song.duration_s == pytest.approx(5 * 4 + 1)
    assert overview.types["alarm"].verdict == "no"
    assert overview.types["alarm"].why_not == "2 recordings, at least 3 needed"
    assert overview.recordists == {"Anna": 2}
    assert overview.licences == {"unknown": 17, "CC BY-NC-SA": 2, "on request": 1}
    assert list(overview.count("quality", "none")) == ["none", "A", "B"]


def test_segments_are_those_of_training(tmp_path, make_recordings_folder):
    make_recordings_folder(tmp_path, "koolmees", {"song": 1}, duration_s=10.0)
    assert look(tmp_path).recordings[0].segments == 5  # from 0, 1.5, 3, 4.5 and 6 s


def test_the_split_is_the_one_training_makes(messy, small_mel):
    overview = look(messy)
    prepared = prepare_recordings(
        find_recordings(messy, KOOLMEES), RULES.types,
        partial(cache_mels, params=small_mel, cache_dir=messy / "mels", workers=2), small_mel,
        dict(RULES.shares), RULES.min_recordings, RULES.seed, "koolmees",
    )  # fmt: skip
    assert overview.problem == ""
    assert {one.recording.id: one.split for one in overview.recordings if one.split} == prepared.splits
    counts = count_by_split(prepared.recordings, prepared.splits)
    for name in prepared.types:
        assert overview.types[name].splits == {split: counts[split][name] for split in counts}
    bad = {one.recording.path for one in overview.recordings if one.left_out and one.kind in RULES.types}
    assert {unusable.path for unusable in prepared.unusable} == bad
    assert {name for name, one in overview.types.items() if one.why_not} == set(prepared.left_out_types)


def test_the_rules_are_those_of_the_configuration(repository):
    data = OmegaConf.load(repository / "conf" / "data" / "base.yaml")
    assert list(RULES.types) == list(data.types)
    assert dict(RULES.shares) == dict(data.shares)
    for name in ("min_recordings", "segment_s", "segment_hop_s", "flight_call"):
        assert getattr(RULES, name) == data[name], name
    assert RULES.seed == OmegaConf.load(repository / "conf" / "train.yaml").seed
    assert RULES.wanted == 50


def test_one_type_is_not_enough(tmp_path, make_recordings_folder):
    make_recordings_folder(tmp_path, "koolmees", {"song": 4, "call": 1}, duration_s=0.2)
    overview = look(tmp_path)
    assert overview.problem == (
        "koolmees: two types are needed to train and only song has at least 3 recordings by 3 recordists"
    )
    assert not any(one.split for one in overview.recordings)


def test_too_few_recordists_are_said(tmp_path, make_recordings_folder, write_manifest):
    folder = make_recordings_folder(tmp_path, "koolmees", {"song": 4, "call": 4}, duration_s=0.2)
    write_manifest(folder, [{"xc_id": str(n), "type": "", "recordist": "Anna"} for n in range(1, 9)])
    overview = look(tmp_path)
    assert "no type has" in overview.problem
    assert overview.types["song"].why_not == "4 recordings by 1 recordists, at least 3 recordists needed"


def test_recordings_that_are_listed_but_lost_are_said(tmp_path, make_recordings_folder, write_manifest):
    folder = make_recordings_folder(tmp_path, "koolmees", {"song": 1}, duration_s=0.2)
    write_manifest(folder, [{"file": "song/XC9.mp3", "xc_id": "9", "type": "song"}])
    assert look(tmp_path).problems()["left out: is not there"] == ["XC9.mp3"]


def test_fifty_recordings_suffice(tmp_path, make_recordings_folder):
    make_recordings_folder(tmp_path, "koolmees", {"song": 50, "call": 20}, duration_s=0.05)
    types = look(tmp_path).types
    assert (types["song"].verdict, types["call"].verdict, types["alarm"].verdict) == ("yes", "just", "no")


def test_flight_calls_may_be_left_out(tmp_path, make_recordings_folder):
    make_recordings_folder(tmp_path, "koolmees", {"flight call": 2}, duration_s=0.1)
    assert look(tmp_path).types["call"].found == 2
    overview = look(tmp_path, TrainingRules(flight_call="leave_out"))
    assert overview.types["call"].found == 0 and overview.unclear == {"flight call": 2}


def test_a_type_that_training_leaves_out_for_its_recordists_is_left_out_here(
    tmp_path, make_recordings_folder, write_manifest
):
    folder = make_recordings_folder(tmp_path, "koolmees", {"song": 4, "call": 4, "alarm": 3}, duration_s=0.2)
    people = "AABD" + "CDEE" + "ABC"  # whoever sings apart for song and alarm cannot for call
    write_manifest(
        folder, [{"xc_id": str(n), "type": "", "recordist": person} for n, person in enumerate(people, start=1)]
    )
    overview = look(tmp_path)
    assert overview.problem == "" and overview.types["alarm"].verdict == "no"
    assert overview.types["alarm"].why_not == "3 recordings, by recordists who cannot be spread over three splits"
    assert all(overview.types["song"].splits.values()) and not any(overview.types["alarm"].splits.values())
