"""Loading of a model to predict with; torch is imported only for a checkpoint."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from birdnet_nl.inference.prediction_model import FilePrediction, OnProgress, PredictionModel
from birdnet_nl.util.errors import RunError, require_extra

if TYPE_CHECKING:
    from birdnet_nl.inference.onnx_model import OnnxModel

__all__ = ["FilePrediction", "OnProgress", "PredictionModel", "load_exported", "load_model"]

EXPORTED = ".onnx"


def load_model(target: Path | str) -> PredictionModel:
    """Load an exported file, a file of a pack, a run directory or a checkpoint.

    Raises:
        RunError: if there is no model, or it cannot be used.
        SetupError: if it needs a package that is not installed.
    """
    path = Path(target)
    if path.suffix == EXPORTED:
        model = load_exported(path)
        if model.metadata["kind"] == "birdnet":
            model.check_installed()
        return model
    if not path.exists():
        raise RunError(f"{path} does not exist; give a .onnx file, a run directory or a .ckpt file")
    require_extra("torch", "train")
    from birdnet_nl.inference.torch_model import TorchModel

    return TorchModel.load(path)


def load_exported(path: Path, **options: Any) -> "OnnxModel":
    """Load an exported file, also without the extra that it needs; the options are those of `OnnxModel.load`."""
    from birdnet_nl.inference.exported_file import ExportedFile  # ONNX Runtime is imported where it is needed
    from birdnet_nl.inference.onnx_birdnet import OnnxBirdNetModel
    from birdnet_nl.inference.onnx_embeddings import OnnxEmbeddingModel
    from birdnet_nl.inference.onnx_model import OnnxModel

    file = ExportedFile.read(path)
    kinds = {"mels": OnnxModel, "embeddings": OnnxEmbeddingModel, "birdnet": OnnxBirdNetModel}
    kind = str(file.metadata.get("kind"))
    if kind not in kinds:
        raise RunError(f"{path} is damaged (its kind is {kind}); export it again")
    try:
        return kinds[kind].load(file, **options)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise RunError(
            f"{path} was exported by birdnet_nl {file.metadata['birdnet_nl']} and cannot be used by this version "
            f"({_reason(error)}); export it again"
        ) from None


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"its metadata has no {error.args[0]}"
    return (str(error).splitlines() or [type(error).__name__])[0][:150]
