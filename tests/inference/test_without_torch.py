"""Exported models predict without torch: with its import blocked, and in an environment that does not have it."""

import importlib.util
import json
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import numpy as np
import pytest
import soundfile

from birdnet_nl.deploy.export import export_model
from birdnet_nl.inference.classifier import Classifier
from birdnet_nl.inference.model import load_model

spec = importlib.util.spec_from_file_location("model_factory", Path(__file__).with_name("model_factory.py"))
factory = importlib.util.module_from_spec(spec)
spec.loader.exec_module(factory)

BLOCKED = ("torch", "torchaudio", "lightning", "matplotlib", "omegaconf", "hydra", "onnx", "sklearn", "torchmetrics")
PREDICT = """
import json, pathlib, sys, time
started = time.perf_counter()
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked}:
            raise ImportError(f"{{name}} is blocked")
sys.meta_path.insert(0, Blocked())
import birdnet_nl
model, sound = sys.argv[1:]
prediction = birdnet_nl.load(model).predict_file(sound)
seconds, status = time.perf_counter() - started, pathlib.Path("/proc/self/status")
peak_mb = int(status.read_text().partition("VmHWM:")[2].split()[0]) / 1024 if status.exists() else 0
heavy = [name for name in sys.modules if name in {blocked}]
print(json.dumps([prediction.recording.tolist(), prediction.probabilities.tolist(), heavy, seconds, peak_mb]))
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    checkpoints = {
        "mels": factory.make_checkpoint(folder / "mels/best.ckpt"),
        "embeddings": factory.make_embedding_checkpoint(folder / "embeddings/best.ckpt"),
    }
    for kind, checkpoint in checkpoints.items():
        export_model(Classifier.load(checkpoint), folder / f"{kind}.onnx", kind, {"licence": "", "credit": ""})
    rng = np.random.default_rng(0)
    soundfile.write(folder / "bird.wav", rng.normal(0, 0.05, 48_000 * 5), 48_000)
    return folder


def predict(python: Path | str, files: Path, kind: str, blocked: tuple[str, ...], folder: Path) -> list:
    code = PREDICT.format(blocked=blocked)
    command = [str(python), "-c", code, str(files / f"{kind}.onnx"), str(files / "bird.wav")]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("kind", ["mels", "embeddings"])
def test_prediction_imports_none_of_the_training_libraries(files, kind, repository):
    recording, probabilities, heavy, _, peak_mb = predict(sys.executable, files, kind, BLOCKED, repository)
    expected = load_model(files / f"{kind}.onnx").predict_file(files / "bird.wav")
    assert heavy == []
    np.testing.assert_allclose(recording, expected.recording, atol=1e-6)
    np.testing.assert_allclose(probabilities, expected.probabilities, atol=1e-6)
    assert peak_mb < 200


@pytest.mark.slow
def test_an_installation_without_extras_predicts(files, repository, tmp_path):
    """`pip install birdnet-nl`, without torch."""
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / ("Scripts" if sysconfig.get_platform().startswith("win") else "bin") / "python"
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "0"]
    constraints = ["--constraint", str(repository / "constraints.txt")]
    done = subprocess.run([*command, *constraints, str(repository)], capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        pytest.skip(f"the package cannot be installed in a fresh environment: {reason}")
    absent = subprocess.run([str(python), "-c", "import torch"], capture_output=True, text=True)
    assert "ModuleNotFoundError" in absent.stderr
    recording, *_ = predict(python, files, "mels", (), tmp_path)
    expected = load_model(files / "mels.onnx").predict_file(files / "bird.wav").recording
    np.testing.assert_allclose(recording, expected, atol=1e-4)
    console = python.with_name("birdnet-nl")
    arguments = ["predict", str(files / "bird.wav"), "--species", "koolmees", "--model", str(files / "mels.onnx")]
    done = subprocess.run([str(console), *arguments], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
