"""Synthetic recordings as training data: `birdnet-nl pretrain`, and training on them beside real recordings."""

import joblib
import pytest
from typer.testing import CliRunner

from birdnet_nl.cli import app
from birdnet_nl.data.sources import DEMO_MARK
from birdnet_nl.embeddings import synthetic
from birdnet_nl.models.pretrained import read_pretrained
from birdnet_nl.synthetic.generator import GENERATOR
from birdnet_nl.training.distill import distill
from tests.runs.conftest import EXTENSION, read_metrics

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def small_files(monkeypatch):
    """Generate few synthetic recordings a file, in this process: another one would not see the change."""
    monkeypatch.setattr(synthetic, "RECORDINGS_PER_FILE", 6)
    with joblib.parallel_config(backend="threading"):
        yield


@pytest.fixture
def real_recordings(make_recordings_folder, tmp_path):
    """Overrides for recordings that are no demo."""
    make_recordings_folder(tmp_path / "data", "koolmees", {"song": 6, "call": 6}, duration_s=4.0, sample_rate_hz=32000)
    return ["species=koolmees", "data=xeno_canto", f"data.root={tmp_path / 'data'}", "evaluation.plots=false"]


def test_a_file_is_written_and_a_run_starts_from_it(tmp_path, monkeypatch, train, real_recordings):
    monkeypatch.setattr("birdnet_nl.commands.train.MIN_RECORDINGS", 12)
    out, cache = tmp_path / "mine.pt", tmp_path / "cache"
    arguments = ["--recordings", "12", "--steps", "1", "--test-recordings", "12", "--out", str(out)]
    result = CliRunner().invoke(app, ["pretrain", *arguments, "--cache", str(cache)])
    assert result.exit_code == 0, result.output
    metadata = read_pretrained(out).metadata
    assert (metadata["recordings"], metadata["steps"], metadata["generator"]) == (12, 1, GENERATOR)

    turbo = ["trainer=turbo", f"model.pretrained={out}", "trainer.max_epochs=1", "data.crops.per_epoch=48"]
    run_dir = train(tmp_path / "run", real_recordings, *turbo)
    report = read_metrics(run_dir)
    assert report["pretraining"]["recordings"] == 12
    assert report["parameters"]["learning_rate"] == pytest.approx(2e-3)  # half of optimizer.lr

    arguments = ["evaluate", str(run_dir), "--data", str(tmp_path / "data"), "--with-training-recordings"]
    for name in ("real", "demo"):
        evaluated = CliRunner().invoke(app, [*arguments, "--cache", str(cache), "--out", str(tmp_path / name)])
        assert evaluated.exit_code == 0, evaluated.output
        warned = "was pretrained on synthetic recordings" in " ".join(evaluated.output.split())
        assert warned == (name == "demo")
        (tmp_path / "data" / "xeno-canto-koolmees" / DEMO_MARK).write_text("{}")


def test_distillation_uses_synthetic_recordings_beside_real_ones(
    tmp_path, monkeypatch, train, extension, real_recordings
):
    counts: list[tuple[int, int]] = []

    def counted(network, real, synthetic_windows, *settings):
        counts.append((len(real.mels), len(synthetic_windows.mels)))
        return distill(network, real, synthetic_windows, *settings)

    monkeypatch.setattr("birdnet_nl.training.distill.distill", counted)
    run_dir = train(
        tmp_path / "run", real_recordings, f"hydra.searchpath=[file://{EXTENSION / 'conf'}]", "trainer=distilled",
        "embeddings.teacher._target_=my_embeddings.MyLevels", "model.blocks=[192,1080,96,96,96]", "embeddings.steps=1",
        "embeddings.synthetic_recordings=12", "data.synthetic_recordings=6", f"paths.cache={tmp_path / 'cache'}",
    )  # fmt: skip
    report = read_metrics(run_dir)
    assert counts == [(sum(report["counts"]["recordings"]["train"].values()), 12)]
    assert set(report["types"]) == {"song", "call"}  # so that the synthetic alarms are not used
    assert report["pretraining"]["recordings"] == 4 and report["embeddings"]["name"] == "distilled"
