"""What a finished run adds to TensorBoard beside its curves: figures, sounds, counts, neighbours, a line of HParams."""

import io
from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch.loggers import TensorBoardLogger
from PIL import Image
from tensorboard.compat.proto.summary_pb2 import Summary

from birdnet_nl.data.splits import SPLITS
from birdnet_nl.evaluation.predictions_file import RecordingPrediction

RESULT_FIGURES = ("balanced_accuracy", "macro_f1", "auroc")


def add_pictures(logger: TensorBoardLogger, pictures: Mapping[str, bytes], step: int) -> None:
    """PNG files as they are; all but the curves, which TensorBoard has as such."""
    writer = logger.experiment._get_file_writer()  # add_image would decode and encode them again
    for name, png in pictures.items():
        if name != "curves":
            width, height = Image.open(io.BytesIO(png)).size
            image = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=png)
            value = Summary.Value(tag=f"test/{name}", image=image)
            writer.add_summary(Summary(value=[value]), step)


def add_result(logger: TensorBoardLogger, report: Mapping[str, Any]) -> None:
    """The run's line in HParams: its parameters, and the test figures that are there."""
    results = {
        f"test/{unit}_{name}": scores[name]
        for unit, scores in report["results"].items()
        for name in RESULT_FIGURES
        if scores[name] is not None
    }
    logger.log_hyperparams(dict(report["parameters"]), results, step=report["best_epoch"])


def add_counts(logger: TensorBoardLogger, report: Mapping[str, Any]) -> None:
    logger.experiment.add_text("recordings and segments", counts_as_markdown(report), global_step=0)


def counts_as_markdown(report: Mapping[str, Any]) -> str:
    """Recordings and segments of each type in each split, as a table."""
    types = report["types"]
    lines = ["| | " + " | ".join(types) + " |", "|---|" + "---:|" * len(types)]
    for split in SPLITS:
        recordings, segments = (report["counts"][unit][split] for unit in ("recordings", "segments"))
        cells = [f"{recordings.get(name, 0)} ({segments.get(name, 0)} segments)" for name in types]
        lines.append(f"| {split} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def add_clip(logger: TensorBoardLogger, name: str, clip: Any, sample_rate_hz: int, step: int) -> None:
    samples = torch.from_numpy(clip)[None]  # [1, samples]
    logger.experiment.add_audio(name, samples, global_step=step, sample_rate=sample_rate_hz)


def add_embeddings(logger: TensorBoardLogger, features: torch.Tensor, answers: list[RecordingPrediction]) -> None:
    """Features of the test recordings [recordings, features] for the projector, to be coloured by type or answer."""
    logger.experiment.add_embedding(
        features,
        metadata=[[row.true_type, row.answer, row.recording_id, row.species] for row in answers],
        metadata_header=["type", "answer", "recording", "species"],
        tag="test_recordings",
    )
