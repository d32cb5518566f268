"""Results of a finished run in TensorBoard: plots, clips, counts, embeddings, and a row in HParams.

The functions use TensorBoard's writer, so they accept only a `TensorBoardLogger`; callers skip other loggers.
"""

import io
from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch.loggers import TensorBoardLogger
from PIL import Image
from tensorboard.compat.proto.summary_pb2 import Summary

from birdnet_nl.data.splits import SPLITS
from birdnet_nl.evaluation.predictions_file import RecordingPrediction
from birdnet_nl.util.words import counted

HPARAMS_METRICS = ("balanced_accuracy", "macro_f1", "auroc")


def add_plots(logger: TensorBoardLogger, pngs: Mapping[str, bytes], step: int) -> None:
    """Add PNG files, except the training curves, which TensorBoard already has."""
    writer = logger.experiment._get_file_writer()  # add_image would decode and encode them again
    for name, png in pngs.items():
        if name != "curves":
            width, height = Image.open(io.BytesIO(png)).size
            image = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=png)
            value = Summary.Value(tag=f"test/{name}", image=image)
            writer.add_summary(Summary(value=[value]), step)


def add_result(logger: TensorBoardLogger, report: Mapping[str, Any]) -> None:
    """Add the run to HParams: its parameters and the test metrics that are defined."""
    results = {
        f"test/{unit}_{name}": scores[name]
        for unit, scores in report["results"].items()
        for name in HPARAMS_METRICS
        if scores[name] is not None
    }
    logger.log_hyperparams(dict(report["parameters"]), results, step=report["best_epoch"])


def add_counts(logger: TensorBoardLogger, report: Mapping[str, Any]) -> None:
    logger.experiment.add_text("recordings and segments", counts_as_markdown(report), global_step=0)


def counts_as_markdown(report: Mapping[str, Any]) -> str:
    """Format recordings and segments of each type in each split as a table."""
    types = report["types"]
    lines = ["| | " + " | ".join(types) + " |", "|---|" + "---:|" * len(types)]
    for split in SPLITS:
        recordings, segments = (report["counts"][unit][split] for unit in ("recordings", "segments"))
        cells = [f"{recordings.get(name, 0)} ({counted(segments.get(name, 0), 'segment')})" for name in types]
        lines.append(f"| {split} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def add_clip(logger: TensorBoardLogger, name: str, clip: Any, sample_rate_hz: int, step: int) -> None:
    samples = torch.from_numpy(clip)[None]  # [1, samples]
    logger.experiment.add_audio(name, samples, global_step=step, sample_rate=sample_rate_hz)


def add_embeddings(logger: TensorBoardLogger, embeddings: torch.Tensor, predictions: list[RecordingPrediction]) -> None:
    """Add embeddings of the test recordings [recordings, dimensions] to the projector, with types as colours."""
    logger.experiment.add_embedding(
        embeddings,
        metadata=[[row.true_type, row.predicted_type, row.recording_id, row.species] for row in predictions],
        metadata_header=["type", "prediction", "recording", "species"],
        tag="test_recordings",
    )
