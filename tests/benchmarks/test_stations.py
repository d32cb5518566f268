"""The benchmark of stations runs, and measures what it says."""

import importlib.util
from pathlib import Path

import pytest

from birdnet_nl.deploy.export import export_model
from birdnet_nl.inference.classifier import Classifier

FACTORY = Path(__file__).resolve().parents[1] / "inference" / "model_factory.py"
spec = importlib.util.spec_from_file_location("model_factory", FACTORY)
factory = importlib.util.module_from_spec(spec)
spec.loader.exec_module(factory)


@pytest.mark.slow
def test_latency_and_backlog_are_measured(tmp_path):
    from benchmarks.stations import measure_backlog, measure_latency

    classifier = Classifier.load(factory.make_checkpoint(tmp_path / "best.ckpt"))
    export_model(classifier, tmp_path / "model.onnx", "koolmees", {"licence": "", "credit": ""})
    backlog = measure_backlog(tmp_path / "model.onnx", tmp_path / "backlog", 30, ".wav")
    assert backlog.done == 30 and backlog.per_s > 0 and 30 < backlog.peak_mb < 300
    latency = measure_latency(tmp_path / "model.onnx", tmp_path / "latency", 3, ".wav")
    assert 0 < latency.computing_p95_s < latency.p95_s <= latency.max_s < 10
