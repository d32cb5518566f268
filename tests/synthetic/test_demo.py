"""The demo recordings: files, replacement of folders, plans, voices, and what a background reveals."""

import csv
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from birdnet_nl.recordings.folder import read_species_folder
from birdnet_nl.recordings.recording import VOCALIZATION_TYPES
from birdnet_nl.species.table import all_species, get_species
from birdnet_nl.synthetic import demo_files
from birdnet_nl.synthetic.demo import DEMO_MARK, make_demo_species
from birdnet_nl.synthetic.plan import plan_recordings
from birdnet_nl.synthetic.scene import render_recording, sing
from birdnet_nl.synthetic.species_voices import DESCRIBED_IN_DEMO, demo_voices, described_voices
from birdnet_nl.synthetic.voices import parse_voices
from birdnet_nl.util.errors import DataError, SelectionError
from tests.runs.processes import interruptible


@pytest.fixture(scope="module")
def small_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("demo")
    make_demo_species(root, "koolmees", recordings_per_type=4, median_s=4.0, progress=False)
    return root


@pytest.fixture
def one_process(monkeypatch):
    monkeypatch.setattr(demo_files, "_core_count", lambda: 1)


@pytest.fixture
def make_vink(tmp_path, one_process):
    """Make the smallest demo of one species in `tmp_path`."""

    def make(**options):
        return make_demo_species(tmp_path, "vink", recordings_per_type=1, median_s=2.0, progress=False, **options)

    return make


def make_plans(slug, recordings_per_type=36, seed=0, difficulty="normal", median_s=13.0):
    return plan_recordings(slug, recordings_per_type, seed, difficulty, median_s)


def hashes(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def rows_of(folder):
    with (folder / "recordings.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_manifest_describes_every_file(small_root):
    folder = small_root / "xeno-canto-koolmees"
    rows = rows_of(folder)
    assert {str(path.relative_to(folder)) for path in folder.rglob("*.mp3")} == {row["file"] for row in rows}
    for row in rows:
        assert re.fullmatch(r"(song|call|alarm)/XC900\d{6}\.mp3", row["file"])
        assert row["scientific"] == "Parus major"
        assert row["licence"] == "synthetic, CC0"
        assert row["remarks"] == "synthetic demo recording"
        sound = soundfile.info(folder / row["file"])
        assert (sound.format, sound.samplerate, sound.channels) == ("MP3", int(row["sample_rate_hz"]), 1)
        assert sound.duration == pytest.approx(float(row["duration_s"]), abs=0.1)
    assert "synthetic" in (small_root / "README.txt").read_text()


def test_the_folder_reads_like_one_from_xeno_canto(small_root):
    recordings = read_species_folder(small_root / "xeno-canto-koolmees", get_species("koolmees"))
    types = Counter(recording.vocalization_type for recording in recordings)
    assert types == {"song": 4, "call": 4, "alarm": 4, None: 1}  # one recording of two types
    assert all(recording.recordist and recording.path.is_file() for recording in recordings)


def test_files_on_disk_do_not_reveal_wrong_labels(small_root):
    folder = small_root / "xeno-canto-koolmees"
    (plan,) = [plan for plan in make_plans("koolmees", 4, median_s=4.0) if plan.actual_types != plan.labels]
    row = next(row for row in rows_of(folder) if row["xc_id"] == plan.xc_id.removeprefix("XC"))
    assert row["file"].startswith(plan.labels[0])
    assert plan.actual_types[0] not in json.dumps(row).lower()
    assert set(json.loads((folder / DEMO_MARK).read_text())) == {
        "slug", "recordings_per_type", "seed", "difficulty", "median_s", "generator_version",
    }  # fmt: skip


def test_a_second_call_changes_nothing(small_root):
    folder = small_root / "xeno-canto-koolmees"
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.name != DEMO_MARK}  # time of last use
    again = make_demo_species(small_root, "Great Tit", recordings_per_type=4, median_s=4.0, progress=False)
    assert again == folder
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert {path.name for path in folder.rglob("*")} - {path.name for path in before} == {DEMO_MARK}


def test_the_bytes_do_not_depend_on_the_number_of_processes(small_root, tmp_path, one_process):
    folder = make_demo_species(tmp_path, "koolmees", recordings_per_type=4, median_s=4.0, progress=False)
    assert hashes(folder) == hashes(small_root / "xeno-canto-koolmees")


def test_other_parameters_and_missing_files_replace_the_folder(make_vink, tmp_path):
    folder = make_vink()
    first = hashes(folder)
    next(folder.rglob("*.mp3")).unlink()
    make_vink()
    assert hashes(folder) == first
    make_vink(seed=1)
    assert hashes(folder) != first
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_other_recordings_are_never_changed(make_vink, tmp_path):
    real = tmp_path / "xeno-canto-vink" / "song" / "XC1.mp3"
    real.parent.mkdir(parents=True)
    real.write_bytes(b"real")
    with pytest.raises(DataError, match=r"xeno-canto-vink exists and was not made by the demo generator.*another"):
        make_vink()
    (tmp_path / "xeno-canto-vink" / DEMO_MARK).write_text("{}")
    with pytest.raises(DataError, match=r"XC1.mp3 is among demo recordings"):
        make_vink()
    assert real.read_bytes() == b"real"


def test_the_first_of_two_processes_keeps_its_folder(make_vink, tmp_path, monkeypatch):
    """Both find no folder and make one; the second finds the folder of the first."""
    write_manifest = demo_files.write_manifest

    def write_while_another_finishes(folder, plans):
        monkeypatch.setattr(demo_files, "write_manifest", write_manifest)
        make_vink()
        write_manifest(folder, plans)

    monkeypatch.setattr(demo_files, "write_manifest", write_while_another_finishes)
    folder = make_vink()
    assert len(rows_of(folder)) == len(list(folder.rglob("*.mp3"))) == 3
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_folders_of_killed_processes_are_removed_after_an_hour(make_vink, tmp_path):
    old, young = tmp_path / ".demo-vink-old", tmp_path / ".demo-vink-young"
    old.mkdir()
    young.mkdir()
    os.utime(old, (time.time() - 7200,) * 2)
    make_vink()
    assert not old.exists()
    assert young.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"recordings_per_type": 0}, "choose 1 to 250"),
        ({"recordings_per_type": 251}, "choose 1 to 250"),
        ({"difficulty": "brutal"}, "choose one of easy, normal, hard"),
        ({"seed": -1}, "choose 0 or more"),
        ({"median_s": 0}, "choose 1 to 60 seconds"),
    ],
)
def test_impossible_parameters_raise(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        make_demo_species(tmp_path, "vink", **arguments)
    with pytest.raises(SelectionError, match="did you mean vink"):
        make_demo_species(tmp_path, "vinck")
    assert list(tmp_path.iterdir()) == []


def test_plans_are_balanced_and_similar_to_xeno_canto():
    plans = make_plans("koolmees")
    single = [plan for plan in plans if len(plan.labels) == 1]
    assert Counter(plan.labels[0] for plan in single) == dict.fromkeys(VOCALIZATION_TYPES, 36)
    assert sum(plan.actual_types != plan.labels for plan in single) == 5
    assert 8 <= len(plans) - len(single) <= 14
    recordists = Counter(plan.recordist.name for plan in plans)
    assert 20 <= len(recordists) <= 36
    assert max(recordists.values()) <= 8
    assert all(5 <= plan.duration_s <= 60 for plan in plans)


def test_xeno_canto_numbers_are_unique_over_all_species():
    numbers = [plan.xc_id for species in all_species() for plan in make_plans(species.slug, 1)]
    assert len(numbers) == len(set(numbers))
    assert all(number.startswith("XC900") for number in numbers)
    first, second = ({plan.xc_id for plan in make_plans(species.slug, 250)} for species in all_species()[:2])
    assert not first & second


def test_every_species_has_its_own_demo_voice():
    voices = [demo_voices(species.slug) for species in all_species()]
    assert all(tuple(voice)[:3] == VOCALIZATION_TYPES for voice in voices)
    drumming = [species.slug for species, voice in zip(all_species(), voices, strict=True) if "drumming" in voice]
    assert sorted(drumming) == ["grote_bonte_specht", "kleine_bonte_specht", "zwarte_specht"]
    assert len({repr(voice) for voice in voices}) == len(voices)
    for species in all_species()[::40]:
        plans = make_plans(species.slug, 1, median_s=3.0)
        assert all(np.isfinite(render_recording(plan)).all() for plan in plans)


def test_described_voices_are_complete_and_differ_between_types():
    voices = described_voices()
    assert set(DESCRIBED_IN_DEMO) < set(voices) <= {species.slug for species in all_species()}
    for slug, by_type in voices.items():
        assert set(VOCALIZATION_TYPES) <= set(by_type) <= {*VOCALIZATION_TYPES, "drumming"}, slug
        assert len({repr(voice) for voice in by_type.values()}) == len(by_type), slug
        for voice in by_type.values():
            assert voice.variants and 0 < voice.pause_s[0] <= voice.pause_s[1], slug
            for part in (part for variant in voice.variants for part in variant):
                assert 1 <= part.count[0] <= part.count[1] and 0 < part.rate_hz[0] <= part.rate_hz[1], slug
                assert all(4 <= syllable.ms[0] <= syllable.ms[1] for syllable in part.syllables), slug


def test_the_notation_of_voices_is_parsed_as_documented():
    text = "x song: pause 1.5-4, -8 dB\n  8-20 at 4-7, cycle: whistle 4.5-5.5 80-160 down\n    ; whistle 3-4 9  # two\n"
    voice = parse_voices(text + "  then 2 at 5, -6 dB: stack 1-2 9 peak 3-4 noise 0.5\n  1 at 1: click 4-8 8-20\n")
    song = voice["x"]["song"]
    assert (song.pause_s, song.level_db, len(song.variants)) == ((1.5, 4), -8, 2)
    first, second = song.variants[0]
    assert (first.count, first.rate_hz, first.order, len(first.syllables)) == ((8, 20), (4, 7), "cycle", 2)
    assert first.syllables[0].shape == "down"
    assert (second.level_db, second.syllables[0].peak_khz, second.syllables[0].noise) == (-6, (3, 4), 0.5)
    with pytest.raises(ValueError, match="no vocalization type"):
        parse_voices("x warble: pause 1\n")


def band_energies(samples, sample_rate_hz, bands=24):
    """Return mean and std over time of log energies in bands from 0.3 to 12 kHz, `[2 * bands]`."""
    frames = samples[: len(samples) // 1024 * 1024].reshape(-1, 1024) * np.hanning(1024)
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2
    edges = np.unique((np.geomspace(300, 12_000, bands + 1) * 1024 / sample_rate_hz).astype(int))
    levels = np.log(np.add.reduceat(power, edges, axis=1)[:, :-1] + 1e-12)
    return np.concatenate([levels.mean(0), levels.std(0)])


def grouped_accuracy(features, plans):
    """Compute the balanced accuracy per recording of a logistic regression, with recordists kept apart."""
    linear_model = pytest.importorskip("sklearn.linear_model")
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    types = [plan.labels[0] for plan in plans]
    model = make_pipeline(StandardScaler(), linear_model.LogisticRegression(C=0.1, max_iter=500))
    groups = [plan.recordist.name for plan in plans]
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=0)
    return balanced_accuracy_score(types, cross_val_predict(model, features, types, groups=groups, cv=folds))


def short_plans(slug, seed, difficulty="normal", recordings_per_type=36):
    plans = make_plans(slug, recordings_per_type, seed, difficulty, median_s=5.0)
    return [plan for plan in plans if len(plan.labels) == 1]


@pytest.mark.slow
def test_the_background_does_not_reveal_the_type():
    accuracies = []
    for slug, seed in (("koolmees", 0), ("merel", 1), ("houtduif", 2)):
        plans = short_plans(slug, seed)
        backgrounds = [render_recording(replace(plan, snr_db=-100.0)) for plan in plans]
        rates_hz = [plan.recordist.sample_rate_hz for plan in plans]
        features = [band_energies(*background) for background in zip(backgrounds, rates_hz, strict=True)]
        accuracies.append(grouped_accuracy(features, plans))
    assert np.mean(accuracies) < 0.40


@pytest.mark.slow
@pytest.mark.parametrize("slug", ["merel", "spreeuw"])  # described and derived
def test_the_voices_of_the_types_differ(slug):
    plans = short_plans(slug, 0, "easy", 24)
    features = []
    for plan in plans:
        rate_hz = plan.recordist.sample_rate_hz
        samples = sing(plan, np.random.default_rng(plan.seed), round(plan.duration_s * rate_hz))
        samples *= 0.5 / np.abs(samples).max()
        loud = np.sqrt(np.convolve(samples**2, np.ones(480) / 480, "same"))[::480] > 0.02
        switches = np.count_nonzero(np.diff(loud.astype(int))) / plan.duration_s
        bands = band_energies(samples, rate_hz)
        features.append(np.concatenate([bands, [loud.mean(), switches]]))
    assert grouped_accuracy(features, plans) > 0.8


def test_duration_level_and_equipment_are_independent_of_the_type():
    """No standardised difference between types above 0.2, over several species."""
    rows, types = [], []
    for slug in ("koolmees", "merel", "vink", "houtduif", "spreeuw", "ekster"):
        for plan in make_plans(slug, 100):
            if len(plan.labels) == 1:
                hertz, low_cut_hz = plan.recordist.sample_rate_hz, plan.recordist.low_cut_hz
                rows.append((np.log(plan.duration_s), plan.snr_db, plan.distance_m, hertz, low_cut_hz, plan.index))
                types.append(plan.labels[0])
    values = np.array(rows)
    values = (values - values.mean(0)) / values.std(0)
    means = np.array([values[np.array(types) == name].mean(0) for name in VOCALIZATION_TYPES])
    assert np.abs(means[:, None] - means[None]).max() < 0.2


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_it_can_be_stopped_at_any_time(tmp_path, how):
    command = "import sys; from birdnet_nl.synthetic.demo import *; make_demo_species(Path(sys.argv[1]), 'merel')"
    with interruptible():
        process = subprocess.Popen([sys.executable, "-c", command, str(tmp_path)], stderr=subprocess.PIPE, text=True)
    deadline = time.time() + 30
    while not list(tmp_path.glob(".demo-merel-*/*/*.mp3")) and time.time() < deadline:
        time.sleep(0.05)
    process.send_signal(how)
    _, errors = process.communicate(timeout=30)  # ends only when the workers, too, have closed stderr
    assert process.returncode != 0
    assert not (tmp_path / "xeno-canto-merel").exists()
    if how == signal.SIGINT:
        assert not list(tmp_path.glob(".demo-*"))
        assert errors.count("Traceback") <= 1
