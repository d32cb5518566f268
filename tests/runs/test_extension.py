"""Parts from outside the package: one module and one YAML each (tests/runs/extension/), named on the command line."""

import csv
import json
import math
import os
import subprocess
import sys
from collections import Counter

import pytest
import soundfile

from birdnet_nl.evaluation.predictions_file import read_predictions
from birdnet_nl.inference.classifier import Classifier
from birdnet_nl.util.errors import RunError
from tests.runs.conftest import DEMO, ROOT, read_metrics

pytestmark = pytest.mark.slow


@pytest.fixture
def train_with_extension(main, extension, cache):
    """Call `python train.py --config-dir=… `; returns the run directory."""

    def trained(run_dir, *arguments):
        code, screen = main(
            f"--config-dir={extension / 'conf'}", f"hydra.run.dir={run_dir}", f"paths.cache={cache}", *arguments
        )
        assert code == 0, screen
        return run_dir

    return trained


def test_a_network_loss_augmentation_callback_logger_and_scheduler(
    train_with_extension, cache, extension, tmp_path, monkeypatch
):
    import my_augment
    import my_loss

    calls = Counter()
    for part, method in ((my_loss.FocalLoss, "forward"), (my_augment.RandomGain, "__call__")):
        original = getattr(part, method)

        def counted(self, *arguments, original=original, part=part):
            calls[part.__name__] += 1
            return original(self, *arguments)

        monkeypatch.setattr(part, method, counted)
    run_dir = train_with_extension(
        tmp_path / "run", "species=koolmees", "trainer=fast", *DEMO, "data.num_workers=0", "mel.n_mels=32",
        "mel.hop_samples=2048", "trainer.max_epochs=3", "model=my_cnn", "loss=focal", "augment=gain",
        "callbacks=count_steps", "logger=json_lines", "scheduler=cosine",
    )  # fmt: skip
    metrics = read_metrics(run_dir)
    assert Classifier.load(run_dir).metadata["network"] == {"_target_": "my_cnn.MyCnn", "types": 3, "channels": 8}
    steps = int((run_dir / "steps.txt").read_text())
    assert steps == 3 * math.ceil(sum(metrics["counts"]["segments"]["train"].values()) / 128)
    assert calls == {"FocalLoss": steps, "RandomGain": steps}
    with (run_dir / "metrics.csv").open(newline="") as file:
        logged = [float(row["val/loss"]) for row in csv.DictReader(file)]
    lines = [json.loads(line) for line in (run_dir / "epochs.jsonl").read_text().splitlines()]
    history = metrics["history"]
    assert [row["val/loss"] for row in lines] == [row["val/loss"] for row in history] == pytest.approx(logged)
    rates = [row["learning_rate"] for row in history]  # at the end of each epoch
    assert rates == pytest.approx([1e-3 * (1 + math.cos(math.pi * epoch / 3)) / 2 for epoch in (1, 2, 3)], abs=1e-12)
    assert not list(run_dir.glob("events.out.tfevents*"))
    assert {"confusion.png", "examples.png"} <= {path.name for path in run_dir.iterdir()}

    monkeypatch.delitem(sys.modules, "my_cnn")  # as in another process
    with pytest.raises(RunError, match="set the environment variable BIRDNET_NL_MODELS=my_cnn"):
        Classifier.load(run_dir)
    command = [sys.executable, "-m", "birdnet_nl.cli", "evaluate", str(run_dir), "--data", str(cache / "demo")]
    command += ["--cache", str(cache), "--out", str(tmp_path / "out")]
    environment = {**os.environ, "PYTHONPATH": str(extension), "BIRDNET_NL_MODELS": "my_cnn"}
    evaluated = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert evaluated.returncode == 0, evaluated.stderr
    assert read_metrics(tmp_path / "out")["results"] == metrics["results"]


def test_an_embedding_model(embeddings_run):
    """Trained by the fixture, with `embeddings=my_levels`."""
    described = Classifier.load(embeddings_run).metadata["embeddings"]
    assert described["_target_"] == "my_embeddings.MyLevels" and described["name"] == "my_levels"
    assert read_metrics(embeddings_run)["embeddings"]["name"] == "my_levels"


def test_a_source_of_recordings(train_with_extension, make_sound, tmp_path):
    folder = tmp_path / "own"
    folder.mkdir()
    for number, vocalization_type in enumerate(["song", "call"] * 6):
        samples = make_sound(vocalization_type, 4.0, 32000, seed=number)
        soundfile.write(folder / f"merel_{number}_{vocalization_type}.wav", samples, 32000)
    run_dir = train_with_extension(
        tmp_path / "run", "species=merel", "data=my_source", f"data.source.folder={folder}", "trainer=turbo",
        "model=my_cnn", "mel.n_mels=32", "data.crops.per_epoch=48", "trainer.max_epochs=1",
    )  # fmt: skip
    metrics = read_metrics(run_dir)
    assert metrics["synthetic"] is False and not (run_dir / "SYNTHETIC.txt").exists()
    counts = Counter(name for split in metrics["counts"]["recordings"].values() for name in Counter(split).elements())
    assert counts == {"song": 6, "call": 6}
    assert {row.file for row in read_predictions(run_dir / "predictions.csv")} <= {
        str(path) for path in folder.iterdir()
    }


def test_a_source_without_recordings_of_the_species_is_an_error(main, extension, tmp_path):
    (tmp_path / "own").mkdir()
    arguments = ["species=merel", "data=my_source", f"data.source.folder={tmp_path / 'own'}"]
    code, screen = main(f"--config-dir={extension / 'conf'}", f"hydra.run.dir={tmp_path / 'run'}", *arguments)
    assert code == 1 and "Traceback" not in screen
    assert "merel: MySource of data.source has no recordings of it" in screen
