"""The mel in an exported graph, and that of the runtime, equal the mel of the training for any parameters."""

from dataclasses import replace

import numpy as np
import onnxruntime
import pytest

from birdnet_nl.audio.activity import NOISE_DB, _bird_bands, frame_activity, window_activity
from birdnet_nl.audio.mel import WIDE_COARSE, MelParams, log_mel, mel_filterbank
from birdnet_nl.deploy.export_front_end import add_mel, add_own_median, factorise
from birdnet_nl.deploy.export_graph import Constants, Graph, serialize
from birdnet_nl.inference import front_end

PARAMS = {
    "compact": WIDE_COARSE,
    "original": MelParams(48_000, 2048, 512, 128, 500.0, 8000.0, "band_median", -10.0, 50.0),
    "hop with few divisors": MelParams(22_050, 1024, 441, 40, 200.0, 10_000.0, "band_median", -10.0, 50.0),
    "odd length": MelParams(16_000, 405, 135, 20, 100.0, 8000.0, "band_median", -10.0, 50.0),
    "frames side by side": MelParams(16_000, 512, 512, 20, 100.0, 8000.0, "band_median", -10.0, 50.0),
}


def sound(samples: int) -> np.ndarray:
    rng, n = np.random.default_rng(1), np.arange(samples)
    return (0.3 * np.sin(0.2 * n + 3e-6 * n**2) + rng.normal(0, 0.02, samples)).astype(np.float32)


@pytest.mark.parametrize("name", PARAMS)
@pytest.mark.parametrize("extra", [0, 77])
def test_the_graph_computes_the_mel_of_the_training(name, extra):
    params = PARAMS[name]
    length = 3 * params.sample_rate_hz + extra
    clips = np.stack([sound(length), sound(length)[::-1]])
    graph = Graph(Constants())
    frames = 1 + length // params.hop_samples
    mel_db = add_mel(graph, graph.input("samples", ["batch", length]), length, params)
    graph.output("mel", add_own_median(graph, mel_db, frames), ["batch", params.n_mels, frames])
    session = onnxruntime.InferenceSession(serialize(graph, {}, {"name": "mel"}), providers=["CPUExecutionProvider"])
    for actual, clip in zip(session.run(None, {"samples": clips})[0], clips, strict=True):
        np.testing.assert_allclose(actual, log_mel(clip, params), atol=0.03)


@pytest.mark.parametrize("name", PARAMS)
def test_the_runtime_computes_the_mel_of_the_training(name):
    params, bands = PARAMS[name], mel_filterbank(PARAMS[name])
    packed = front_end.pack_bands(bands.bins, bands.weights.toarray())
    mel = {"sample_rate_hz": params.sample_rate_hz, "n_fft": params.n_fft, "hop_samples": params.hop_samples}
    runtime = front_end.numpy_front_end(mel | {"normalisation": params.normalisation}, packed, np.float32)
    samples = sound(2 * params.sample_rate_hz + 5)
    np.testing.assert_allclose(runtime.of_recording(samples), log_mel(samples, params), atol=2e-3)


@pytest.mark.parametrize("frames", [150, 201, 700])
@pytest.mark.parametrize("normalisation", ["band_median", "segment_peak"])
def test_activity_is_that_of_the_training(frames, normalisation):
    params = (
        WIDE_COARSE
        if normalisation == "band_median"
        else replace(WIDE_COARSE, normalisation="segment_peak", floor_db=-80.0, ceiling_db=0.0)
    )
    mel = np.random.default_rng(0).normal(0, 9, (96, frames)).astype(np.float16)
    actual = front_end.frame_activity(mel, _bird_bands(params), NOISE_DB)
    expected = frame_activity(mel, params)
    np.testing.assert_allclose(actual, expected, rtol=1e-6)
    firsts = [0, 50, frames - 3]
    windows = window_activity(expected, 201)
    np.testing.assert_allclose(
        front_end.mean_of_windows(actual, firsts, 201), windows[np.minimum(firsts, len(windows) - 1)], rtol=1e-6
    )


@pytest.mark.parametrize(("n_fft", "hop_samples"), [(1024, 480), (2048, 512), (256, 128), (405, 135), (1024, 441)])
def test_factors_of_a_frame(n_fft, hop_samples):
    height, width = factorise(n_fft, hop_samples)
    assert height * width == n_fft and hop_samples % width == 0
