"""On the worst day: one sentence on the screen that says what, where and what to do; no traceback, exit code 1."""

import errno
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from birdnet_nl.util.failure import explain


def make_folder(root: Path, kinds: dict[str, int], content: bytes | None = None) -> None:
    """`kinds` counts files per type folder of the Merel: half a second of noise each, or `content`."""
    rng = np.random.default_rng(5)
    for series, (kind, count) in enumerate(kinds.items(), start=1):
        folder = root / "xeno-canto-merel" / kind
        folder.mkdir(parents=True)
        for number in range(count):
            path = folder / f"XC{series}{number}.wav"
            soundfile.write(path, rng.normal(0, 0.1, 24000), 48000)
            if content is not None:
                path.write_bytes(content)


def refuses(result: tuple[int, str], *parts: str) -> None:
    code, screen = result
    assert code == 1, screen
    assert "Traceback" not in screen
    sentences = [line for line in screen.splitlines() if line.startswith("✗")]
    assert len(sentences) == 1, screen
    for part in parts:
        assert part in sentences[0], screen


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["species=kolmees"], ["kolmees", "did you mean koolmees"]),
        ([], ["no species given", "species=koolmees"]),
        (["koolmees"], ["koolmees is not a parameter", "write species=koolmees"]),
        (["--species", "koolmees"], ["koolmees is not a parameter", "write species=koolmees"]),
        (["species=koolmees,merel"], ["names 2 species", "add -m"]),
        (["species=koolmees", "trainer.max_epoch=5"], ["trainer.max_epoch is not a parameter", "trainer.max_epochs?"]),
        (["species=koolmees", "batch_size=5"], ["batch_size is not a parameter", "data.batch_size?"]),
        (["species=koolmees", "trainer=fats"], ["trainer=fats does not exist", "did you mean fast?"]),
        (["species=koolmees", "trainer=legacy,fast"], ["trainer=legacy,fast names several values", "add -m"]),
    ],
    ids=lambda value: " ".join(value)[:40],
)
def test_what_is_mistyped_is_told_at_once(train_py, arguments, parts):
    refuses(train_py(*arguments), *parts)


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        (["mel.f_max_hz=30000"], ["mel.f_max_hz=30000", "choose at most 24000"]),
        (["mel.hop_samples=0"], ["mel.hop_samples=0 must be above 0"]),
        (["practice=never"], ["practice=never must be practice.use=never"]),
        (["data.batch_size=0"], ["data.batch_size=0 must be at least 1"]),
        (["data.types=[zang,roep]"], ["data.types=['zang', 'roep']", "song, call, alarm"]),
        (["data.types=song"], ["data.types=song must be a list", "[song,call]"]),
        (["data.segment_s=0.05", "data.segment_hop_s=0.05"], ["data.segment_s=0.05 must be at least 0.2"]),
        (["seed=x"], ["seed=x must be a whole number, at least 0"]),
        (["trainer.max_epochs=0"], ["trainer.max_epochs=0 must be a whole number, at least 1"]),
        (["optimizer.lr=-1"], ["optimizer.lr=-1 must be a number, above 0"]),
        (["engine.threads=0"], ["engine.threads=0 must be at least 1"]),
        (["engine.precision=fp16"], ["engine.precision=fp16", "bf16"]),
    ],
    ids=lambda value: value[0][:30],
)
def test_parameters_that_make_no_sense(train_in_process, tmp_path, overrides, parts):
    with pytest.raises(Exception) as caught:
        train_in_process(tmp_path / "run", "species=merel", *overrides)
    sentence = explain(caught.value)
    assert sentence is not None and all(part in sentence for part in parts), sentence


@pytest.mark.parametrize(
    ("prepare", "parts"),
    [
        (lambda root: None, ["data.root=", "is not a folder", "xeno-canto-merel"]),
        (lambda root: root.mkdir(), ["holds no species folder at all", "data=demo"]),
        (lambda root: (root / "xeno-canto-merel/song").mkdir(parents=True), ["no sound files in", "<song|call|alarm>"]),
        (lambda root: make_folder(root, {"drumming": 4}), ["plainly one of song, call, alarm", "drumming 4"]),
        (lambda root: make_folder(root, {"song": 9, "call": 2}), ["fewer than two types", "song 9, call 2, alarm 0"]),
        (lambda root: make_folder(root, {"song": 3}, b"junk"), ["none of the 3 files", "cannot be decoded"]),
        (lambda root: make_folder(root, {"song": 3}, b""), ["none of the 3 files", "empty file"]),
    ],
    ids=["absent", "empty", "no files", "no usable type", "too few", "all corrupt", "all empty"],
)
def test_a_data_root_that_cannot_be_trained_on(train_in_process, tmp_path, prepare, parts):
    root = tmp_path / "recordings"
    prepare(root)
    with pytest.raises(Exception) as caught:
        train_in_process(tmp_path / "run", "species=merel", "data=xeno_canto", f"data.root={root}")
    sentence = explain(caught.value)
    assert sentence is not None and all(part in sentence for part in parts), sentence


def test_a_sentence_is_all_there_is_on_the_screen(train_py, tmp_path):
    refuses(train_py("species=merel", f"data.root={tmp_path / 'nas'}", f"paths.logs={tmp_path / 'logs'}"), "nas")


def test_a_folder_where_nothing_may_be_written(train_py, tmp_path):
    """A file stands where the logs should go: that refuses even the superuser."""
    (tmp_path / "logs").write_text("not a folder")
    refuses(train_py("species=merel", "data=demo", f"paths.logs={tmp_path / 'logs'}"), "paths.logs", "in the way")


def test_no_permission_to_write_names_the_folder_and_the_way_out():
    sentence = explain(PermissionError(errno.EACCES, "Permission denied", "/nas/logs"))
    assert "no permission to write (/nas/logs)" in sentence and "paths.logs" in sentence


def test_a_full_disk_keeps_what_was_finished_and_the_run_goes_on_later(train_in_process, tmp_path, monkeypatch):
    """The third checkpoint meets a full disk; with space again, `resume` ends the run."""
    from omegaconf import OmegaConf

    import birdnet_nl.runs.train
    from birdnet_nl.training.checkpoint import WholeCheckpoints

    saves = []
    save = WholeCheckpoints.save_checkpoint

    def save_until_full(self, checkpoint, path, storage_options=None):
        saves.append(path)
        if len(saves) > 2:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        save(self, checkpoint, path, storage_options)

    said = []
    monkeypatch.setattr(birdnet_nl.runs.train, "say", said.append)
    monkeypatch.setattr(WholeCheckpoints, "save_checkpoint", save_until_full)
    run_dir = tmp_path / "run"
    with pytest.raises(OSError) as caught:
        train_in_process(run_dir, "species=merel", "trainer.max_epochs=4")
    assert "the disk is full" in explain(caught.value) and "resume=" in explain(caught.value)
    assert re.search(r"go on with: python train.py resume=", said[-1])
    monkeypatch.setattr(WholeCheckpoints, "save_checkpoint", save)
    birdnet_nl.runs.train.run(OmegaConf.load(run_dir / "config.yaml"), run_dir, resume=True)
    assert (run_dir / "metrics.json").is_file()


def test_an_unforeseen_error_keeps_its_traceback():
    try:
        raise KeyError("a bug")
    except KeyError as error:
        assert explain(error) is None


def test_one_bad_file_is_listed_and_the_others_are_used(train_in_process, tmp_path, capsys):
    import json

    root = tmp_path / "recordings"
    make_folder(root, {"song": 5, "call": 5})
    (root / "xeno-canto-merel/song/XC10.wav").write_bytes(b"junk")
    run_dir = train_in_process(
        tmp_path / "run", "species=merel", "data=xeno_canto", f"data.root={root}", "trainer.max_epochs=1"
    )
    metrics = json.loads((run_dir / "metrics.json").read_text())
    (path, reason), *others = metrics["left_out"]["files"].items()
    assert path.endswith("XC10.wav") and "cannot be decoded" in reason and not others
    assert metrics["synthetic"] is False
    assert "alarm" in metrics["left_out"]["types"]
