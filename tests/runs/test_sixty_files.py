"""Sixty good and bad files: training, `birdnet-nl data` and `birdnet-nl import` account for each of them."""

import json
import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from birdnet_nl.cli import app
from birdnet_nl.recordings.importing import import_recordings
from tests.runs.conftest import read_metrics

NOT_AUDIO = {".txt": 3, ".jpg": 2, ".csv": 1, ".pdf": 1, "no suffix": 1}
HIDDEN = 3
BAD = {  # reason in `data` and in training, by the file
    "song/XC101.wav": "empty file",
    "song/XC102.wav": "silent (largest sample below -80 dB)",
    "song/XC103.mp3": "cannot be decoded",
    "song/XC104.wav": "has the same content as another file",
    "song/XC105.flac": "holds the same sound as another file",
    "call/broken.mp3": "a broken link to nowhere.mp3",
    "call/a.mp3": "a link in a circle of links",
    "call/b.mp3": "a link in a circle of links",
    "call/loop": "a link to a folder above it",
    "call/folder.mp3": "an empty folder, not a file",
    "call/pipe.mp3": "not a regular file",
    "call/J\\xfcrgen.mp3": "cannot be decoded",
    "call/second path.wav": "another path to the same file",
    "song/XC1 again.wav": "the same recording as another file",
    "2023/XC106.wav": "unknown type",
    "drumming/XC107.wav": "other type",
    "mixed/XC108.wav": "several types",
}
GOOD = 60 - sum(NOT_AUDIO.values()) - HIDDEN - len(BAD)


@pytest.fixture(scope="module")
def root(tmp_path_factory, make_recordings_folder, make_sound) -> Path:
    root = tmp_path_factory.mktemp("sixty") / "data"
    folder = make_recordings_folder(root, "merel", {"song": GOOD - 20, "call": 10, "alarm": 10}, duration_s=0.1)
    for number, path in enumerate(sorted(folder.rglob("*.wav"))):  # noise in which no two recordings are alike
        rng = np.random.default_rng(number)
        loudness = np.repeat(10 ** rng.uniform(-3, 0, 100), 280)
        soundfile.write(path, (loudness * rng.uniform(-0.5, 0.5, 28_000)).astype(np.float32), 8000)
    (folder / "alarm").rename(root.parent / "elsewhere")
    (folder / "alarm").symlink_to("../../elsewhere")
    for number, name in enumerate(("2023/XC106.wav", "drumming/XC107.wav", "mixed/XC108.wav", "song/XC1 again.wav")):
        (folder / name).parent.mkdir(exist_ok=True)
        soundfile.write(folder / name, make_sound("song", 3.0, seed=200 + number), 8000)
    song, call = folder / "song", folder / "call"
    (song / "XC101.wav").touch()
    soundfile.write(song / "XC102.wav", np.zeros(16000), 8000)
    (song / "XC103.mp3").write_text("<!DOCTYPE html><p>Sign in")
    shutil.copy(song / "XC2.wav", song / "XC104.wav")
    samples, _ = soundfile.read(song / "XC3.wav", dtype="int16")
    soundfile.write(song / "XC105.flac", samples[: len(samples) - 100], 8000)  # a near-duplicate is the shorter one
    max(call.glob("XC*.wav")).rename(call / "G\udce9ant.wav")  # a good one
    for name, target in {"broken.mp3": "nowhere.mp3", "a.mp3": "b.mp3", "b.mp3": "a.mp3", "loop": ".."}.items():
        (call / name).symlink_to(target)
    (call / "second path.wav").symlink_to(next(call.glob("XC*.wav")).name)
    (call / "folder.mp3").mkdir()
    os.mkfifo(call / "pipe.mp3")
    Path(os.fsdecode(os.fsencode(call) + b"/J\xfcrgen.mp3")).write_bytes(b"x")
    for name in ("notes.txt", "song/a.TXT", "call/deep/er.txt", "a.jpg", "b.JPG", "c.pdf", "README",
                 "song/._XC1.wav", "@eaDir/XC1.wav", "Thumbs.db"):  # fmt: skip
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_bytes(b"x")
    rows = [f"song\\XC{n}.wav;Person {n};" for n in range(1, GOOD - 19)] + ["song/gone.wav;Nobody;", ";;"]
    text = "\r\n".join(["sep=;", "File;Rec;", *rows])
    (folder / "recordings.csv").write_bytes(text.encode("utf-16"))
    return root


@pytest.fixture(scope="module")
def shown(root, tmp_path_factory) -> dict:
    words = ["data", "merel", "--json", "--root", str(root)]
    result = CliRunner().invoke(app, words, env={"BIRDNET_NL_CACHE": str(tmp_path_factory.mktemp("facts"))})
    return json.loads(result.stdout)["species"][0]


def reasons_of(counts: dict) -> dict[str, int]:
    """Counts by reason, without what the decoder says."""
    reasons: Counter[str] = Counter()
    for reason, count in counts["left_out"].items():
        reasons[reason.partition(" (")[0]] += count
    return dict(reasons)


def expected_reasons() -> dict[str, int]:
    reasons = [reason.partition(" (")[0] for reason in BAD.values()]
    return {reason: reasons.count(reason) for reason in reasons}


def check_counts(counts: dict) -> None:
    assert counts["files"] == 60 == counts["used"] + sum(counts["left_out"].values()) + sum(NOT_AUDIO.values()) + HIDDEN
    assert (counts["used"], counts["not_audio"], counts["hidden"]) == (GOOD, NOT_AUDIO, HIDDEN)
    assert reasons_of(counts) == expected_reasons()


def test_training_accounts_for_every_file(root, train_in_process, tmp_path, capsys):
    overrides = [
        "species=merel",
        "data=xeno_canto",
        f"data.root={root}",
        "trainer.max_epochs=1",
        "evaluation.plots=false",
    ]
    metrics = read_metrics(train_in_process(tmp_path / "run", *overrides))
    counts = metrics["counts"]["files"]
    check_counts(counts)
    assert counts["used"] == sum(sum(split.values()) for split in metrics["counts"]["recordings"].values())
    assert (counts["rows_without_file"], counts["ambiguous_rows"]) == (1, 0)
    screen = capsys.readouterr().err
    assert (
        f"60 files: {GOOD} used, {len(BAD)} left out (" in screen and "1 row without a file (song/gone.wav)" in screen
    )


def test_data_accounts_for_every_file_and_names_the_bad_ones(root, shown):
    counts = shown["file_counts"]
    sound = counts["left_out"].pop("holds the same sound as another file", 0)  # found in mels, by training only
    counts["left_out"]["holds the same sound as another file"] = sound or 1
    counts["used"] -= not sound
    check_counts(counts)
    assert shown["not_understood"] == {"2023": 1} and len(shown["recordists"]) == GOOD - 19
    named = {name for problem, names in shown["problems"].items() if "left out" in problem for name in names}
    left_out = {file["path"]: file["left_out"] for file in shown["files"] if file["left_out"]}
    for path in BAD.keys() - {"song/XC1 again.wav", "song/XC105.flac"}:
        assert any(path.rpartition("/")[2] in text for text in named | left_out.keys()), path
    assert "XC1 (" in shown["problems"]["the same number more than once"][0]
    assert shown["problems"]["recordings.csv: rows without a file"] == ["song/gone.wav"]


def test_import_accounts_for_every_file_and_gives_the_same_reasons(root, shown, tmp_path):
    report = import_recordings(root / "xeno-canto-merel", tmp_path / "out")
    counts = report.files.to_dict()
    assert counts["files"] == 60 and (counts["not_audio"], counts["hidden"]) == (NOT_AUDIO, HIDDEN)
    assert counts["used"] == report.placed == GOOD + 4  # duplicates are found in `data`, other types are kept apart
    ours, theirs = reasons_of(counts), reasons_of(shown["file_counts"])
    assert ours.pop("no type in tag, folder or table") == theirs["unknown type"]
    assert ours == {reason: theirs[reason] for reason in ours}
    assert len(report.refused) == len(BAD) - 4 + 1  # with the row of the missing file
