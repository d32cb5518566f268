"""Results in TensorBoard are read back from the event file."""

import numpy as np
import pytest
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from matplotlib.figure import Figure
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from birdnet_nl.evaluation.plots import encode_png
from birdnet_nl.evaluation.predictions_file import RecordingPrediction
from birdnet_nl.evaluation.tensorboard import (
    add_clip,
    add_counts,
    add_embeddings,
    add_plots,
    add_result,
    counts_as_markdown,
)

COUNTS = {
    unit: {split: {"song": factor, "call": 2 * factor} for split in ("train", "val", "test")}
    for unit, factor in (("recordings", 3), ("segments", 30))
}
SCORES = {"balanced_accuracy": 0.5, "macro_f1": 0.4, "auroc": None}
REPORT = {
    "types": ["song", "call"], "counts": COUNTS, "parameters": {"seed": 1, "species": "merel"}, "best_epoch": 4,
    "results": {"recording": SCORES, "segment": SCORES},
}  # fmt: skip


@pytest.fixture
def logger(tmp_path) -> TensorBoardLogger:
    return TensorBoardLogger(tmp_path, name="", version="", default_hp_metric=False)


def read(logger: TensorBoardLogger) -> EventAccumulator:
    logger.finalize("success")
    return EventAccumulator(logger.log_dir, size_guidance={"audio": 0, "images": 0}).Reload()


def test_plots_clips_counts_and_results_have_readable_names(logger):
    figure = Figure()
    figure.subplots().plot([0, 1])
    png = encode_png(figure)
    add_plots(logger, {"confusion": png, "curves": png}, 4)
    add_counts(logger, REPORT)
    add_clip(logger, "test/error 1: XC7 1.5 s, song predicted call", np.zeros(2400, dtype=np.float32), 24000, 4)
    add_result(logger, REPORT)
    events = read(logger)
    tags = events.Tags()
    assert tags["images"] == ["test/confusion"]
    (image,) = events.Images("test/confusion")
    assert (image.encoded_image_string, image.step) == (png, 4) and image.width > image.height > 100
    assert tags["audio"] == ["test/error 1: XC7 1.5 s, song predicted call"]
    assert "recordings and segments/text_summary" in tags["tensors"]
    assert events.Scalars("test/recording_balanced_accuracy")[-1].value == pytest.approx(0.5)
    assert "test/recording_auroc" not in tags["scalars"]


def test_counts_are_formatted_as_a_table():
    assert counts_as_markdown(REPORT).splitlines() == [
        "| | song | call |",
        "|---|---:|---:|",
        "| train | 3 (30 segments) | 6 (60 segments) |",
        "| val | 3 (30 segments) | 6 (60 segments) |",
        "| test | 3 (30 segments) | 6 (60 segments) |",
    ]


def test_embeddings_have_types_and_predictions_as_metadata(logger, tmp_path):
    predictions = [
        RecordingPrediction(f"XC{n}", f"XC{n}.mp3", "merel", "", "song", {"song": 0.6, "call": 0.4}, "song", True, 3)
        for n in range(3)
    ]
    add_embeddings(logger, torch.randn(3, 8), predictions)
    lines = next(tmp_path.rglob("metadata.tsv")).read_text().splitlines()
    assert lines == ["type\tprediction\trecording\tspecies", *(f"song\tsong\tXC{n}\tmerel" for n in range(3))]
    assert len(next(tmp_path.rglob("tensors.tsv")).read_text().splitlines()) == 3
