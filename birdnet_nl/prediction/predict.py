"""Prediction of sound files from Python: `predict_files` does what `birdnet-nl predict` does."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from birdnet_nl.inference.model import load_model
from birdnet_nl.prediction.formats import check_formats
from birdnet_nl.prediction.job import Failure
from birdnet_nl.prediction.json_lines import values
from birdnet_nl.prediction.plan import FileResult
from birdnet_nl.prediction.prediction import Prediction, Request
from birdnet_nl.prediction.rows import RowOptions
from birdnet_nl.util.errors import require_extra
from birdnet_nl.util.files import user_path

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class PredictedFiles:
    """Predictions of `predict_files` as plain values, in the order of the files.

    Attributes:
        segments: one for each segment or merged stretch: `start_s`, `end_s`, `vocalization_type`, …
        recordings: one for each recording.
        failures: files without a prediction, with the reason.
    """

    segments: list[dict[str, Any]]
    recordings: list[dict[str, Any]]
    failures: list[Failure]

    def frame(self) -> "pandas.DataFrame":
        """Return the segments as a pandas frame with a column for each probability; needs pandas."""
        require_extra("pandas", "notebook")
        import pandas

        probabilities = [{f"p_{name}": p for name, p in row["probabilities"].items()} for row in self.segments]
        rows = [{**row, **columns} for row, columns in zip(self.segments, probabilities, strict=True)]
        return pandas.DataFrame(rows).drop(columns="probabilities", errors="ignore")


def predict_files(
    inputs: str | Path | Sequence[str | Path],
    model: str | Path | None = None,
    *,
    species: str = "",
    overlap_s: float | None = None,
    min_confidence: float = 0.0,
    merge: bool = False,
    uncertain: str = "keep",
    top: int | None = None,
    language: str = "en",
    out: str | Path | None = None,
    formats: Sequence[str] = ("csv",),
    workers: int = 1,
) -> PredictedFiles:
    """Predict the vocalization types of sound files, as `birdnet-nl predict` does.

    Example:
        >>> predicted = predict_files("recordings", "koolmees.onnx", species="great tit", merge=True)
        >>> predicted.segments[0]["vocalization_type"], predicted.failures
        ('song', [])
        >>> predicted.frame()  # where pandas is installed

    Args:
        inputs: sound file, folder (with all folders below it) or glob pattern, or several of them.
        model: run directory, version, pack, or `.onnx` or `.ckpt` file; None for the active version in `models`.
        species: Dutch, English or scientific name; empty to use the names of folders and files.
        overlap_s: overlap of consecutive segments in seconds; None for that of the training.
        min_confidence: smallest probability of the predicted type, 0 to 1.
        merge: join consecutive segments of the same type.
        uncertain: `keep`, `drop` or `mark` predictions below the model's threshold.
        top: number of rows with the highest probability that each recording keeps; None for all.
        language: of types and common names, `en` or `nl`.
        out: folder for tables in `formats`; a later call with the same folder continues a stopped one.
        formats: csv, raven, audacity, kaleidoscope, parquet, json.
        workers: processes. More than one needs a script with `if __name__ == "__main__":`.

    Raises:
        ValueError: if a value is not possible.
        SelectionError: if a species or a file does not exist.
        DataError: if there is no sound file.
        RunError: if there is no model, or it cannot be used.
    """
    request = Request(
        inputs=[inputs] if isinstance(inputs, str | Path) else list(inputs),
        model=model,
        species=species,
        overlap_s=overlap_s,
        options=RowOptions(min_confidence, merge, uncertain, top, language),
        out=user_path(out) if out is not None else None,
        formats=check_formats(",".join(formats)),
        workers=workers,
        load=load_model,
    )
    prediction = Prediction(request)
    try:
        prediction.run()
        if request.out:
            prediction.write()
        segments, recordings = [], []
        for result in prediction.results():
            segments += [values(row, request.options) for row in result.rows]
            recordings.append(recording_values(result))
        return PredictedFiles(segments, recordings, prediction.failures)
    finally:
        prediction.close()


def recording_values(result: FileResult) -> dict[str, Any]:
    """Return the prediction of a whole recording as plain values."""
    prediction = result.stored.prediction
    found = values(result.recording, result.options)
    del found["start_s"], found["end_s"], found["confidence"]
    return {**found, "duration_s": round(prediction.duration_s, 3), "warning": prediction.warning or None}
