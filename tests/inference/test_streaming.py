"""Recordings of any length: stretches equal the whole, memory stays constant, files that break off are used in part."""

import importlib.util
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from birdnet_nl.audio.mel import WIDE_COARSE, log_mel
from birdnet_nl.data.segments import cut_segments
from birdnet_nl.deploy.export import export_model
from birdnet_nl.inference.classifier import Classifier
from birdnet_nl.inference.front_end import sample_front_end
from birdnet_nl.inference.model import load_model
from birdnet_nl.inference.segments import Cut
from birdnet_nl.inference.silence import PIECE, SilentRuns
from birdnet_nl.inference.streaming import ALIGNMENT, SampleBlocks, in_background, stretches
from birdnet_nl.inference.torch_model import TorchModel, mel_front_end
from birdnet_nl.util.errors import DataError

spec = importlib.util.spec_from_file_location("model_factory", Path(__file__).with_name("model_factory.py"))
factory = importlib.util.module_from_spec(spec)
spec.loader.exec_module(factory)

RATE_HZ = 32_000


def noise(seconds: float, rate_hz: int = RATE_HZ, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(0, 0.05, round(seconds * rate_hz)).astype(np.float32)


@pytest.fixture
def short_stretches(monkeypatch):
    """Stretches of at least 12 s, one every 6 s."""
    from birdnet_nl.inference import streaming

    def shorten(front_end):
        object.__setattr__(front_end, "exact_s", 12.0)
        object.__setattr__(front_end, "step_s", 6.0)
        return front_end

    monkeypatch.setattr(streaming, "BLOCK_S", 2.0)
    return shorten


@pytest.mark.parametrize("seconds", [0.01, 0.5, 9.99, 31.7])
def test_a_recording_up_to_15_minutes_is_one_stretch_equal_to_the_whole_mel(seconds, tmp_path):
    soundfile.write(tmp_path / "a.wav", noise(seconds), RATE_HZ, subtype="FLOAT")
    (stretch,) = stretches(SampleBlocks(tmp_path / "a.wav", RATE_HZ), mel_front_end(WIDE_COARSE))
    expected = log_mel(noise(seconds), WIDE_COARSE).astype(np.float16)
    assert stretch.is_last and stretch.first == 0 and stretch.columns.shape == expected.shape
    np.testing.assert_allclose(stretch.columns.astype(float), expected.astype(float), atol=0.07)
    assert (stretch.columns == expected).mean() > 0.999


def test_stretches_of_a_long_recording_follow_one_another(tmp_path, short_stretches):
    sound = noise(60)
    soundfile.write(tmp_path / "a.wav", sound, RATE_HZ, subtype="FLOAT")
    front_end = short_stretches(mel_front_end(WIDE_COARSE))
    object.__setattr__(front_end, "relative", False)
    parts = list(stretches(SampleBlocks(tmp_path / "a.wav", RATE_HZ), front_end))
    assert len(parts) > 4 and [part.is_last for part in parts] == [False] * (len(parts) - 1) + [True]
    whole = front_end.compute(sound)
    end = 0
    for part in parts:
        assert part.first % ALIGNMENT == 0 and part.first <= end < part.own_end
        count = part.columns.shape[1]
        expected = whole[:, part.first : part.first + count].astype(np.float16)
        np.testing.assert_allclose(part.columns.astype(float), expected.astype(float), atol=0.07)
        assert part.is_last or part.first + count - part.own_end >= 200  # room for a segment
        end = part.own_end
    assert end == whole.shape[1]


def test_stretches_of_samples_are_the_samples(tmp_path, short_stretches):
    sound = noise(30)
    soundfile.write(tmp_path / "a.wav", sound, RATE_HZ, subtype="FLOAT")
    parts = list(stretches(SampleBlocks(tmp_path / "a.wav", RATE_HZ), short_stretches(sample_front_end(RATE_HZ))))
    assert len(parts) > 2 and parts[-1].own_end == len(sound)
    for part in parts:
        np.testing.assert_array_equal(part.columns[0], sound[part.first : part.first + part.columns.shape[1]])


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    classifier = Classifier.load(factory.make_checkpoint(folder / "best.ckpt"))
    export_model(classifier, folder / "model.onnx", "koolmees", {"licence": "", "credit": ""})
    return {"torch": TorchModel(classifier), "onnx": load_model(folder / "model.onnx")}


@pytest.mark.parametrize("kind", ["torch", "onnx"])
def test_a_long_recording_has_a_prediction_for_every_segment(models, kind, tmp_path, monkeypatch):
    from birdnet_nl.inference import streaming

    model, sound = models[kind], noise(100)
    soundfile.write(tmp_path / "a.wav", sound, RATE_HZ, subtype="FLOAT")
    whole = model.predict_file(tmp_path / "a.wav")
    monkeypatch.setattr(streaming, "BLOCK_S", 3.0)
    front_end = mel_front_end(WIDE_COARSE) if kind == "torch" else model._front_end
    object.__setattr__(front_end, "exact_s", 30.0)
    object.__setattr__(front_end, "step_s", 18.0)
    if kind == "torch":
        monkeypatch.setattr("birdnet_nl.inference.torch_model.mel_front_end", lambda params: front_end)
    done: list[float] = []
    streamed = model.predict_file(tmp_path / "a.wav", on_progress=done.append)
    object.__setattr__(front_end, "exact_s", 900.0)
    object.__setattr__(front_end, "step_s", 600.0)
    np.testing.assert_array_equal(streamed.starts_s, whole.starts_s)
    assert streamed.probabilities.shape == whole.probabilities.shape == (65, 3)
    assert np.abs(streamed.probabilities - whole.probabilities).max() < 0.05  # the medians are those of a stretch
    assert done == sorted(done) and done[-1] == pytest.approx(97.5)


@pytest.mark.parametrize("kind", ["torch", "onnx"])
def test_digital_silence_is_marked(models, kind, tmp_path):
    sound = np.concatenate([noise(6), np.zeros(RATE_HZ * 9, dtype=np.float32), noise(6)])
    soundfile.write(tmp_path / "a.wav", sound, RATE_HZ, subtype="PCM_16")
    predicted = models[kind].predict_file(tmp_path / "a.wav", segment_hop_s=3.0)
    assert predicted.silent.tolist() == [False, False, True, True, True, False, False]
    assert np.isfinite(predicted.probabilities).all()


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("kind", ["torch", "onnx"])
def test_a_file_of_silence_is_silent_and_not_an_error(models, kind, channels, tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros((RATE_HZ * 7, channels)), RATE_HZ)
    predicted = models[kind].predict_file(tmp_path / "a.wav")
    assert predicted.silent.tolist() == [True, True, True] and predicted.duration_s == 7
    assert predicted.warning.startswith("silent") and np.isfinite(predicted.recording).all()


@pytest.mark.parametrize("kind", ["torch", "onnx"])
def test_a_segment_of_zeros_beside_a_sound_at_another_rate_is_silent(models, kind, tmp_path):
    sound = np.concatenate([noise(3, 44_100), np.zeros(44_100 * 6, dtype=np.float32), noise(3, 44_100)])
    soundfile.write(tmp_path / "a.wav", sound, 44_100, subtype="PCM_16")
    predicted = models[kind].predict_file(tmp_path / "a.wav", segment_hop_s=3.0)
    assert predicted.silent.tolist() == [False, True, True, False]


@pytest.mark.parametrize("samples", [[1e-5] * 5, [0.0] * 5, [1e-5, -1e-5] * 50_000, [0.25] * 100_000])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("kind", ["torch", "onnx"])
def test_a_file_that_is_reported_as_silent_has_only_silent_segments(models, kind, channels, samples, tmp_path):
    soundfile.write(tmp_path / "a.wav", np.repeat(np.array(samples)[:, None], channels, 1), RATE_HZ, subtype="FLOAT")
    predicted = models[kind].predict_file(tmp_path / "a.wav")
    assert predicted.warning.startswith("silent") and predicted.silent.all()


@pytest.mark.parametrize("seed", range(5))
def test_silent_runs_cover_the_stretches_without_a_loud_sample(seed):
    rng = np.random.default_rng(seed)
    parts = [rng.choice([0.0, 0.1], size) * (index % 2) for index, size in enumerate(rng.integers(1, 40_000, 12))]
    samples, runs, start = np.concatenate(parts).astype(np.float32), SilentRuns(), 0
    while start < len(samples):
        size = int(rng.integers(1, 30_000))
        runs.add(samples[start : start + size])
        start += size
    for start in range(0, len(samples), 997):
        for end in (min(start + 8192, len(samples)), min(start + PIECE, len(samples))):
            assert runs.covers(start, end) == (not samples[start:end].any())


@pytest.mark.parametrize("params", [WIDE_COARSE, replace(WIDE_COARSE, sample_rate_hz=48_000, hop_samples=512)])
def test_segments_are_counted_as_in_training(params):
    cut = Cut(3.0, params.sample_rate_hz, params.hop_samples, by_sample=False)
    for frames in range(1, 20_000):
        for hop_s in (1.5, 0.7):
            expected = len(cut_segments(frames / params.frames_per_s, 3.0, hop_s))
            assert cut.count_of_frames(frames, hop_s) == expected, frames


@pytest.mark.parametrize("kind", ["torch", "onnx"])
def test_a_file_that_breaks_off_gives_the_results_so_far(models, kind, tmp_path):
    path = tmp_path / "a.flac"
    soundfile.write(path, noise(60), RATE_HZ)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    predicted = models[kind].predict_file(path)
    assert 20 < predicted.duration_s < 35 and predicted.warning
    assert len(predicted.starts_s) == 1 + int((predicted.duration_s - 3) / 1.5)


@pytest.mark.parametrize("kind", ["torch", "onnx"])
def test_a_file_without_sound_is_an_error_in_a_few_words(models, kind, tmp_path):
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "text.mp3").write_text("no sound at all")
    for path in tmp_path.iterdir():
        with pytest.raises(DataError) as caught:
            models[kind].predict_file(path)
        assert "\n" not in str(caught.value)
    assert not [thread for thread in threading.enumerate() if thread.name == "decoding"]


def test_an_error_in_the_other_thread_is_raised_here():
    def failing():
        yield from range(3)
        raise DataError("broken")

    iterator, seen = in_background(failing(), 2), []
    with pytest.raises(DataError, match="broken"):
        for item in iterator:
            seen.append(item)
    assert seen == [0, 1, 2]


def test_the_thread_ends_when_the_items_are_no_longer_needed():
    iterator = in_background(iter(range(1, 1000)), 2)
    assert next(iterator) == 1 and next(iterator) == 2
    iterator.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "decoding"]
