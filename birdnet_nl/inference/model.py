"""Loading of a model to predict with; torch is imported only for a checkpoint."""

from pathlib import Path

from birdnet_nl.inference.prediction_model import FilePrediction, OnProgress, PredictionModel
from birdnet_nl.util.errors import RunError, require_extra

__all__ = ["FilePrediction", "OnProgress", "PredictionModel", "load_model"]

EXPORTED = ".onnx"


def load_model(target: Path | str) -> PredictionModel:
    """Load an exported file, a file of a pack, a run directory or a checkpoint.

    Raises:
        RunError: if there is no model, or it cannot be used.
        SetupError: if it needs a package that is not installed.
    """
    path = Path(target)
    if path.suffix == EXPORTED:
        from birdnet_nl.inference.onnx_model import OnnxModel

        return OnnxModel.load(path)
    if not path.exists():
        raise RunError(f"{path} does not exist; give a .onnx file, a run directory or a .ckpt file")
    require_extra("torch", "train")
    from birdnet_nl.inference.torch_model import TorchModel

    return TorchModel.load(path)
