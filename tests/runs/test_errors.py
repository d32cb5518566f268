"""Errors of a training: one sentence on the screen with what is wrong, where, and what to do; exit code 1."""

import errno
from pathlib import Path

import numpy as np
import pytest
import soundfile
from omegaconf import OmegaConf

from birdnet_nl.util.failure import explain
from tests.runs.conftest import read_metrics


def make_folder(root: Path, counts: dict[str, int], content: bytes | None = None) -> None:
    """Write files of half a second of noise, or `content`, for Merel; `counts` are files by type folder."""
    rng = np.random.default_rng(5)
    for series, (vocalization_type, count) in enumerate(counts.items(), start=1):
        folder = root / "xeno-canto-merel" / vocalization_type
        folder.mkdir(parents=True)
        for number in range(count):
            path = folder / f"XC{series}{number}.wav"
            soundfile.write(path, rng.normal(0, 0.1, 24000), 48000)
            if content is not None:
                path.write_bytes(content)


def check_refused(result: tuple[int, str], *parts: str) -> None:
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
        (["species=koolmees", "practice.use=never"], ["practice.use is now model.pretrained"]),
        (["species=koolmees", "model=birdnet"], ["model=birdnet is now trainer=birdnet"]),
    ],
    ids=lambda value: " ".join(value)[:40],
)
def test_a_typing_error_is_reported_at_once(main, arguments, parts):
    check_refused(main(*arguments), *parts)


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        (["mel.f_max_hz=30000"], ["mel.f_max_hz=30000", "choose at most 24000"]),
        (["mel.hop_samples=0"], ["mel.hop_samples=0 must be above 0"]),
        (["model.pretrained=never", "trainer=turbo"], ["model.pretrained=never is neither synthetic nor null"]),
        (["data.batch_size=0"], ["data.batch_size=0 must be at least 1"]),
        (["data.num_workers=auto"], ["data.num_workers=auto must be 0"]),
        (["data.types=[zang,roep]"], ["data.types=['zang', 'roep']", "song, call, alarm"]),
        (["data.types=song"], ["data.types=song must be a list", "[song,call]"]),
        (["data.segment_s=0.05", "data.segment_hop_s=0.05"], ["data.segment_s=0.05 must be at least 0.2"]),
        (["data.source=nas"], ["data.source=nas is unknown", "auto, demo, xeno_canto, spectrograms"]),
        (["seed=x"], ["seed=x must be a whole number, at least 0"]),
        (["trainer.max_epochs=0"], ["trainer.max_epochs=0 must be a whole number, at least 1"]),
        (["optimizer.lr=-1"], ["optimizer.lr=-1 must be a number above 0"]),
        (["engine.threads=0"], ["engine.threads=0 must be at least 1"]),
        (["engine.precision=fp16"], ["engine.precision=fp16", "bf16"]),
    ],
    ids=lambda value: value[0][:30],
)
def test_invalid_values_are_refused(train, tmp_path, overrides, parts):
    with pytest.raises(Exception) as caught:
        train(tmp_path / "run", ["data=demo", "species=merel"], *overrides)
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


def test_an_error_of_a_job_is_one_sentence_on_the_screen(main, tmp_path):
    arguments = ["species=merel", f"data.root={tmp_path / 'nas'}", f"paths.logs={tmp_path / 'logs'}"]
    check_refused(main(*arguments), "nas")


def test_a_file_in_the_way_of_the_logs_is_an_error(main, tmp_path):
    """A file instead of the folder for logs cannot be written into even by the superuser."""
    (tmp_path / "logs").write_text("not a folder")
    check_refused(main("species=merel", "data=demo", f"paths.logs={tmp_path / 'logs'}"), "paths.logs", "in the way")


def test_a_missing_permission_is_explained_with_the_folder_and_the_parameter():
    sentence = explain(PermissionError(errno.EACCES, "Permission denied", "/nas/logs"))
    assert "no permission to write (/nas/logs)" in sentence and "paths.logs" in sentence


@pytest.mark.slow
def test_after_a_full_disk_a_run_can_be_resumed(train_in_process, tmp_path, monkeypatch, capsys):
    """The third checkpoint fails for lack of space; with space again, `resume` finishes the run."""
    from birdnet_nl.runs.train import run
    from birdnet_nl.training.checkpoint import AtomicCheckpointIO

    saves = []
    save = AtomicCheckpointIO.save_checkpoint

    def save_until_full(self, checkpoint, path, storage_options=None):
        saves.append(path)
        if len(saves) > 2:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        save(self, checkpoint, path, storage_options)

    run_dir = tmp_path / "run"
    with monkeypatch.context() as patched:
        patched.setattr(AtomicCheckpointIO, "save_checkpoint", save_until_full)
        with pytest.raises(OSError) as caught:
            train_in_process(run_dir, "species=merel", "trainer.max_epochs=3", "evaluation.plots=false")
    assert "the disk is full" in explain(caught.value) and "resume=" in explain(caught.value)
    assert "continue with: python train.py resume=" in " ".join(capsys.readouterr().err.split())
    run(OmegaConf.load(run_dir / "config.yaml"), run_dir, resume=True)
    assert read_metrics(run_dir)["epochs"] == 3


def test_an_unforeseen_error_keeps_its_traceback():
    try:
        raise KeyError("a bug")
    except KeyError as error:
        assert explain(error) is None


def test_an_unusable_file_is_listed_and_the_others_are_used(train_in_process, tmp_path):
    root = tmp_path / "recordings"
    make_folder(root, {"song": 5, "call": 5})
    (root / "xeno-canto-merel/song/XC10.wav").write_bytes(b"junk")
    overrides = ["species=merel", "data=xeno_canto", f"data.root={root}", "trainer.max_epochs=1"]
    metrics = read_metrics(train_in_process(tmp_path / "run", *overrides, "evaluation.plots=false"))
    (path, reason), *others = metrics["left_out"]["files"].items()
    assert path.endswith("XC10.wav") and "cannot be decoded" in reason and not others
    assert metrics["synthetic"] is False
    assert "alarm" in metrics["left_out"]["types"]
