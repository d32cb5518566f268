"""An exported model and torch predict the same for real recordings, with the weights that come with the package."""

import importlib.util
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from birdnet_nl.audio.decode import decode
from birdnet_nl.deploy.export import export_model, predict_clip
from birdnet_nl.inference.classifier import Classifier
from birdnet_nl.inference.model import load_model
from birdnet_nl.inference.torch_model import TorchModel
from birdnet_nl.models.pretrained import SHIPPED, read_pretrained

spec = importlib.util.spec_from_file_location("model_factory", Path(__file__).with_name("model_factory.py"))
factory = importlib.util.module_from_spec(spec)
spec.loader.exec_module(factory)

REAL = Path(__file__).resolve().parents[3] / "shared" / "recordings"
SEGMENTS, RATE_HZ = 200, 32_000


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    """Classifier with the shipped weights, and its exported file."""
    folder = tmp_path_factory.mktemp("model")
    network = factory.COMPACT | {"channels": [32, 64, 128]}
    checkpoint = factory.make_checkpoint(folder / "best.ckpt", network=network, temperature=1.0)
    content = torch.load(checkpoint, weights_only=True)
    weights = read_pretrained(SHIPPED).weights
    content["state_dict"] = {f"network.{name}": value.float() for name, value in weights.items()}
    torch.save(content, checkpoint)
    classifier = Classifier.load(checkpoint)
    export_model(classifier, folder / "model.onnx", "pretrained", {"licence": "", "credit": ""})
    return classifier, folder / "model.onnx"


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason="the shared recordings are not here")
def test_200_real_segments_have_the_probabilities_of_torch(pretrained):
    classifier, path = pretrained
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    differences, decisions = [], set()
    for file in sorted(REAL.rglob("*.mp3"))[:SEGMENTS]:
        samples = decode(file, RATE_HZ)
        start = max(0, len(samples) // 2 - 3 * RATE_HZ)
        clip = np.pad(samples, (0, 3 * RATE_HZ))[start : start + 3 * RATE_HZ]
        actual = session.run(["probabilities"], {"samples": clip[None]})[0]
        expected = predict_clip(classifier, clip)
        assert actual.argmax() == expected.argmax(), file
        differences.append(np.abs(actual - expected).max())
        decisions.add(int(actual.argmax()))
    assert len(differences) == SEGMENTS and len(decisions) == 3
    # Rounding in bands where a lossy file holds almost nothing moves one segment in 200 by more than 1e-4.
    assert np.quantile(differences, 0.99) < 1e-4 and max(differences) < 3e-4, sorted(differences)[-5:]


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason="the shared recordings are not here")
def test_every_real_recording_has_the_same_decision(pretrained, monkeypatch):
    monkeypatch.setattr("birdnet_nl.inference.classifier.cpu_computes_bf16", lambda: False)
    classifier, path = pretrained
    exported, trained = load_model(path), TorchModel(classifier)
    largest, other = 0.0, []
    files = sorted(REAL.rglob("*.mp3"))
    for file in files:
        actual, expected = exported.predict_file(file).recording, trained.predict_file(file).recording
        largest = max(largest, float(np.abs(actual - expected).max()))
        if actual.argmax() != expected.argmax():
            other.append(file.name)
    assert len(files) > SEGMENTS and not other
    assert largest < 1e-3
