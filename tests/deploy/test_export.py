"""An exported file predicts what the checkpoint predicts, describes itself, and is refused when it is damaged."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import soundfile
import torch

import birdnet_nl
from birdnet_nl.deploy.export import export_model, predict_clip
from birdnet_nl.inference import classifier as classifier_module
from birdnet_nl.inference.classifier import Classifier
from birdnet_nl.inference.exported_file import checksum_of, split_parts
from birdnet_nl.inference.model import load_model
from birdnet_nl.inference.torch_model import TorchModel
from birdnet_nl.util.errors import RunError

spec = importlib.util.spec_from_file_location("model_factory", Path(__file__).parents[1] / "inference/model_factory.py")
factory = importlib.util.module_from_spec(spec)
spec.loader.exec_module(factory)

KINDS = {
    "compact": {"network": factory.COMPACT},
    "emsn": {"network": factory.EMSN, "mel": factory.PEAK, "pooling": "log_mean_exp"},
    "compact on peaks": {"network": factory.COMPACT, "mel": factory.PEAK},
    "head": {"network": factory.HEAD, "pooling": "mean"},
    "pool": {"pool": ["koolmees", "merel"], "temperatures_of_species": {"merel": 2.0}, "threshold": None},
}
EMBEDDINGS = {
    "frozen": {"kind": "frozen"},
    "distilled": {"kind": "distilled"},
    "head on embeddings": {"kind": "frozen", "head": True},
}
CREDITS = {"licence": "CC BY 4.0", "credit": "", "attribution": ["XC1, Ann, CC BY 4.0"]}


def bird(seconds: float, rate_hz: int, seed: int = 0) -> np.ndarray:
    """Chirps in noise, float32 [samples]."""
    rng, time_s = np.random.default_rng(seed), np.arange(round(seconds * rate_hz)) / rate_hz
    chirp = np.sin(2 * np.pi * (2500 + 500 * seed + 900 * np.sin(9 * time_s)) * time_s) * (
        np.sin(5 * time_s + seed) > 0.3
    )
    return (0.2 * chirp + rng.normal(0, 0.02, len(time_s))).astype(np.float32)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    made = {}
    for kind, options in KINDS.items():
        folder = tmp_path_factory.mktemp(kind.replace(" ", "_"))
        classifier = factory.make_classifier(folder, **options)
        export_model(classifier, folder / "model.onnx", kind, CREDITS)
        made[kind] = (classifier, folder / "model.onnx")
    for kind, options in EMBEDDINGS.items():
        folder = tmp_path_factory.mktemp(kind.replace(" ", "_"))
        classifier = Classifier.load(factory.make_embedding_checkpoint(folder / "best.ckpt", **options))
        export_model(classifier, folder / "model.onnx", kind, CREDITS)
        made[kind] = (classifier, folder / "model.onnx")
    return made


@pytest.fixture
def single_precision(monkeypatch):
    monkeypatch.setattr(classifier_module, "cpu_computes_bf16", lambda: False)


@pytest.mark.parametrize("kind", [*KINDS, *EMBEDDINGS])
def test_probabilities_of_clips_are_those_of_torch(exported, kind):
    classifier, path = exported[kind]
    rate_hz = load_model(path).sample_rate_hz
    clips = np.stack([bird(3, rate_hz, seed) for seed in range(4)])
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert [given.name for given in session.get_inputs()] == ["samples"]
    actual = session.run(["probabilities"], {"samples": clips})[0]
    expected = np.concatenate([predict_clip(classifier, clip) for clip in clips])
    assert np.abs(actual - expected).max() < 1e-4
    assert np.ptp(expected, axis=0).max() > 3e-4  # the clips differ


@pytest.mark.parametrize("kind", [*KINDS, *EMBEDDINGS])
@pytest.mark.parametrize(("seconds", "rate_hz"), [(0.4, 32_000), (3.0, 48_000), (14.2, 44_100)])
def test_files_are_predicted_as_by_the_checkpoint(exported, kind, seconds, rate_hz, tmp_path, single_precision):
    classifier, path = exported[kind]
    soundfile.write(tmp_path / "bird.wav", bird(seconds, rate_hz), rate_hz)
    for hop_s, species in ((None, ""), (0.7, "merel")):
        options = {"species": species, "segment_hop_s": hop_s}
        actual = load_model(path).predict_file(tmp_path / "bird.wav", **options)
        expected = TorchModel(classifier).predict_file(tmp_path / "bird.wav", **options)
        np.testing.assert_array_equal(actual.starts_s, expected.starts_s)
        np.testing.assert_array_equal(actual.silent, expected.silent)
        assert np.abs(actual.probabilities - expected.probabilities).max() < 1e-3
        assert np.abs(actual.recording - expected.recording).max() < 1e-3
        assert actual.duration_s == expected.duration_s == pytest.approx(seconds, abs=1e-3)


def test_the_file_describes_itself_to_any_program(exported):
    _, path = exported["pool"]
    model = onnx.load(path)
    onnx.checker.check_model(model)
    assert model.opset_import[0].version >= 18
    assert not {"STFT", "DFT", "If", "Loop"} & {node.op_type for node in model.graph.node}
    values = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    assert values["types"] == ["song", "call", "alarm"]
    assert [species["dutch"] for species in values["species"]] == ["Koolmees", "Merel"]
    assert values["sample_rate_hz"] == 32_000 and values["segment_s"] == 3.0 and values["segment_hop_s"] == 1.5
    assert values["temperature"] == 1.3 and values["temperatures_of_species"] == {"merel": 2.0}
    assert values["threshold"] is None and values["pooling"] == "activity" and values["synthetic"] is False
    assert values["licence"] == "CC BY 4.0" and values["attribution"] == ["XC1, Ann, CC BY 4.0"]
    assert values["birdnet_nl"] == birdnet_nl.__version__ and values["data_fingerprint"] == "0123"
    assert values["mel"]["n_mels"] == 96 and len(values["golden"]["probabilities"][0]) == 3


def test_load_predicts_a_table(exported, tmp_path):
    soundfile.write(tmp_path / "bird.wav", bird(4.6, 32_000), 32_000)
    table = birdnet_nl.load(exported["compact"][1]).predict(tmp_path / "bird.wav")
    assert list(table["start_s"]) == [0.0, 1.5]
    sums = table[["p_song", "p_call", "p_alarm"]].sum(axis=1)
    assert np.allclose(sums, 1) and set(table["vocalization_type"]) <= {"song", "call", "alarm"}


def test_the_fingerprint_differs_with_the_weights(exported, tmp_path):
    other = factory.make_classifier(tmp_path, seed=1)
    export_model(other, tmp_path / "other.onnx", "compact", CREDITS)
    assert load_model(tmp_path / "other.onnx").fingerprint != load_model(exported["compact"][1]).fingerprint
    export_model(other, tmp_path / "again.onnx", "compact", CREDITS)
    assert (tmp_path / "other.onnx").read_bytes() == (tmp_path / "again.onnx").read_bytes()


def damage(content: bytes, kind: str) -> bytes:
    if kind == "cut":
        return content[: len(content) // 2]
    if kind == "empty":
        return b""
    if kind == "text":
        return b"no model at all"
    changed = bytearray(content)
    if kind == "weights":
        changed[-500] ^= 0x7F
    elif kind == "sample rate":
        return content.replace(b"32000", b"22050", 1)
    elif kind == "graph":
        return content.replace(b"Relu", b"Tanh", 1)
    else:  # the first digit of the stored prediction
        key = b'"probabilities": [[0.'
        place = content.find(key) + len(key)
        changed[place] = ord("1") if changed[place] == ord("9") else ord("9")
    return seal(bytes(changed)) if kind == "golden" else bytes(changed)


def seal(content: bytes) -> bytes:
    """Give a changed file the checksum that fits."""
    stored = {entry.key: json.loads(entry.value) for entry in onnx.load_from_string(content).metadata_props}
    first_part, weights = split_parts(content, stored["weights"]["bytes"])
    checksum = checksum_of(first_part, stored["checksum"])
    return first_part.replace(stored["checksum"].encode(), checksum.encode()) + weights


def change_metadata(content: bytes, name: str, value: str | None) -> bytes:
    """Change or remove a value, as a file of another version would have it."""
    stored = {entry.key: json.loads(entry.value) for entry in onnx.load_from_string(content).metadata_props}
    first_part, weights = split_parts(content, stored["weights"]["bytes"])
    model = onnx.ModelProto.FromString(first_part)
    properties = {entry.key: entry.value for entry in model.metadata_props if entry.key != name}
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, properties | ({} if value is None else {name: value}))
    return model.SerializeToString() + weights


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("cut", "not a complete ONNX file|damaged"),
        ("empty", "not a complete ONNX file|another program"),
        ("text", "not a complete ONNX file"),
        ("weights", "damaged"),
        ("sample rate", "damaged or was changed"),
        ("graph", "damaged or was changed"),
        ("golden", "predicts otherwise"),
    ],
)
def test_a_damaged_file_is_refused_in_one_sentence(exported, kind, message, tmp_path):
    path = tmp_path / "damaged.onnx"
    path.write_bytes(damage(exported["compact"][1].read_bytes(), kind))
    with pytest.raises(RunError, match=message) as caught:
        load_model(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


@pytest.mark.parametrize("kind", ["compact", "frozen", "head on embeddings"])
def test_a_file_without_a_value_or_with_one_of_another_form_is_refused_in_one_sentence(exported, kind, tmp_path):
    content, path = exported[kind][1].read_bytes(), tmp_path / "other.onnx"
    needed = [
        "types",
        "species",
        "segment_s",
        "sample_rate_hz",
        "temperature",
        "cut",
        "golden",
        "kind",
        "graphs",
        "threshold",
        "pooling",
        "mel",
    ]
    for name in [*needed, "weights", "format", "birdnet_nl", "checksum"]:
        for value in (None, '"text"', "[1]"):
            changed = change_metadata(content, name, value)
            is_sealed = value is None and name not in ("weights", "checksum")
            path.write_bytes(seal(changed) if is_sealed else changed)
            with pytest.raises(RunError) as caught:
                load_model(path)
            assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_a_file_of_another_program_is_refused(tmp_path):
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    values = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy"]
    graph = onnx.helper.make_graph([node], "other", values[:1], values[1:])
    onnx.save(onnx.helper.make_model(graph, ir_version=8), tmp_path / "other.onnx")
    with pytest.raises(RunError, match="another program"):
        load_model(tmp_path / "other.onnx")


def test_a_file_of_a_newer_version_is_refused(exported, tmp_path):
    content = exported["compact"][1].read_bytes()
    model = onnx.load_from_string(content)
    next(entry for entry in model.metadata_props if entry.key == "format").value = "99"
    onnx.save(model, tmp_path / "newer.onnx")
    with pytest.raises(RunError, match="newer than this one"):
        load_model(tmp_path / "newer.onnx")


def test_a_network_without_an_onnx_form_is_refused(tmp_path):
    class Other(torch.nn.Module):
        pass

    from dataclasses import replace

    classifier = replace(factory.make_classifier(tmp_path), network=Other())
    with pytest.raises(RunError, match="Other, which has no ONNX form"):
        export_model(classifier, tmp_path / "other.onnx", "other", CREDITS)
    assert not (tmp_path / "other.onnx").exists()
