"""A run on the embeddings of an ONNX file: trained, evaluated, used for prediction, explained if it cannot be."""

import csv
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from hydra.errors import InstantiationException
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from birdnet_nl.cli import app
from birdnet_nl.evaluation.predictions_file import read_predictions
from birdnet_nl.training.checkpoint import read_checkpoint
from tests.runs.conftest import POOL, read_metrics

pytestmark = pytest.mark.slow

RATE_HZ, WINDOW_S, BANDS = 16_000, 5, 24
SAMPLES = RATE_HZ * WINDOW_S


def save_filter_bank(path: Path) -> Path:
    """Write a network whose embedding is the log level of 24 bands, mean and maximum, and its scores the first."""
    time_s = np.arange(256) / RATE_HZ
    centres_hz = np.geomspace(500, 7000, BANDS)
    kernels = np.stack([np.cos(2 * np.pi * hz * time_s) * np.hanning(256) for hz in centres_hz])
    nodes = [
        helper.make_node("Unsqueeze", ["samples", "one"], ["channel"]),
        helper.make_node("Conv", ["channel", "kernels"], ["filtered"], strides=[64]),
        helper.make_node("Abs", ["filtered"], ["level"]),
        helper.make_node("ReduceMean", ["level", "two"], ["mean"], keepdims=0),
        helper.make_node("ReduceMax", ["level", "two"], ["max"], keepdims=0),
        helper.make_node("Concat", ["mean", "max"], ["levels"], axis=1),
        helper.make_node("Add", ["levels", "floor"], ["positive"]),
        helper.make_node("Log", ["positive"], ["embedding"]),
        helper.make_node("Slice", ["embedding", "zero", "two", "one"], ["scores"]),
    ]
    constants = {
        "kernels": kernels[:, None].astype(np.float32), "zero": np.array([0]), "one": np.array([1]),
        "two": np.array([2]), "floor": np.array([1e-4], dtype=np.float32),
    }  # fmt: skip
    graph = helper.make_graph(
        nodes, "filter bank", [helper.make_tensor_value_info("samples", TensorProto.FLOAT, ["batch", SAMPLES])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("embedding", "scores")],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), str(path))
    return path


@pytest.fixture(scope="module")
def network(tmp_path_factory) -> Path:
    return save_filter_bank(tmp_path_factory.mktemp("network") / "bands.onnx")


@pytest.fixture(scope="module")
def arguments(network) -> list[str]:
    return [
        "trainer=backbone", "embeddings=onnx", f"embeddings.file={network}", "embeddings.output=embedding",
        f"embeddings.sample_rate_hz={RATE_HZ}", f"embeddings.window_s={WINDOW_S}", "embeddings.licence=CC0",
        "embeddings.credit=this test", "evaluation.plots=false",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def run_dir(train_embeddings, arguments, tmp_path_factory) -> Path:
    return train_embeddings(tmp_path_factory.mktemp("backbone") / "run", *arguments, "species=koolmees")


def recordings_of(cache: Path) -> Path:
    return next(path for path in (cache / "demo").rglob("xeno-canto-koolmees") if path.is_dir()).parent


def probabilities_in(folder: Path) -> dict[str, list[float]]:
    return {row.recording_id: list(row.probabilities.values()) for row in read_predictions(folder / "predictions.csv")}


def invoke(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(word) for word in words])
    return result.exit_code, " ".join(result.output.split())


def test_a_backbone_trains_with_its_window(run_dir, cache, tmp_path):
    report, metadata = read_metrics(run_dir), read_checkpoint(run_dir / "checkpoints/best.ckpt")["birdnet_nl"]
    assert metadata["segment_s"] == WINDOW_S
    assert (metadata["embeddings"]["name"], metadata["embeddings"]["licence"]) == ("bands", "CC0")
    assert metadata["network"]["blocks"] == [2 * BANDS]
    assert report["results"]["recording"]["count"] > 0
    words = ("--data", recordings_of(cache), "--cache", cache, "--with-training-recordings")
    code, output = invoke("evaluate", run_dir, *words, "--out", tmp_path / "all")
    assert code == 0, output
    assert read_metrics(tmp_path / "all")["results"]["recording"]["auroc"] > 0.8  # most of these it was trained on


def test_evaluation_and_prediction_repeat_the_test_of_the_run(run_dir, cache, tmp_path):
    data, out = recordings_of(cache), tmp_path / "evaluation"
    code, output = invoke("evaluate", run_dir, "--data", data, "--cache", cache, "--out", out)
    assert code == 0, output
    tested, evaluated = probabilities_in(run_dir), probabilities_in(out)
    assert evaluated.keys() == tested.keys()
    np.testing.assert_allclose([evaluated[id] for id in tested], list(tested.values()), atol=1e-3)

    files = [next((data / "xeno-canto-koolmees").rglob(f"{id}.*")) for id in sorted(tested)[:3]]
    code, output = invoke("predict", *files, "--model", run_dir, "-o", tmp_path / "predicted")
    assert code == 0, output
    with (tmp_path / "predicted" / "recording_predictions.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = {Path(row["File"]).stem: row for row in csv.DictReader(file)}
    types = read_metrics(run_dir)["types"]
    for id in sorted(tested)[:3]:
        np.testing.assert_allclose([float(rows[id][f"p_{name}"]) for name in types], tested[id], atol=2e-3)


def test_an_export_is_one_sentence(run_dir, tmp_path):
    code, output = invoke("export", run_dir, "-o", tmp_path / "model.onnx")
    assert code == 1 and "needs embeddings of bands, which has no ONNX form; predict with the run itself" in output
    assert not (tmp_path / "model.onnx").exists()


def test_a_missing_or_changed_network_is_one_sentence(train_embeddings, arguments, network, cache, tmp_path):
    copy = tmp_path / "copy.onnx"
    shutil.copy(network, copy)
    run = train_embeddings(tmp_path / "run", *arguments, f"embeddings.file={copy}", "species=koolmees")
    command = ("evaluate", run, "--data", recordings_of(cache), "--cache", cache, "--out")
    other = onnx.load(str(copy))
    other.doc_string = "changed"
    onnx.save(other, str(copy))
    code, output = invoke(*command, tmp_path / "changed")
    assert code == 1 and "which this version of birdnet_nl does not compute" in output and "Traceback" not in output
    copy.unlink()
    code, output = invoke(*command, tmp_path / "missing")
    assert code == 1 and "copy.onnx does not exist" in output and "download it and give its path" in output
    assert not (tmp_path / "changed").exists() and not (tmp_path / "missing").exists()


def test_the_species_score_is_a_feature(train_embeddings, arguments, tmp_path):
    labels = tmp_path / "labels.txt"
    labels.write_text("Parus major_Great Tit\nTurdus merula_Eurasian Blackbird\n", encoding="utf-8")
    settings = ["embeddings.scores=scores", f"embeddings.labels={labels}", "model.species_score=true"]
    run = train_embeddings(tmp_path / "run", *arguments, *settings, *POOL)
    state = read_checkpoint(run / "checkpoints/best.ckpt")
    assert state["birdnet_nl"]["embeddings"]["arguments"]["labels"] == str(labels)
    assert read_metrics(run)["pool"] == ["koolmees", "merel"]


def test_a_window_that_is_no_segment_is_one_sentence(train_embeddings, arguments, tmp_path):
    with pytest.raises(InstantiationException, match=r"data\.segment_s=3\.0 must be 5\.0 with embeddings of bands"):
        train_embeddings(tmp_path / "run", *arguments, "data.segment_s=3.0", "species=koolmees")
