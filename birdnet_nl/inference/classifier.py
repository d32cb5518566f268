"""A trained classifier: network, calibration and metadata, loaded from a run directory or a checkpoint."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from birdnet_nl.audio.mel import MelParams, Normalise
from birdnet_nl.embeddings.base import EmbeddingModel, build_embedding_model
from birdnet_nl.evaluation.calibration import Calibration
from birdnet_nl.evaluation.trained_on import TrainedOn, read_trained_on
from birdnet_nl.models.registry import build_network
from birdnet_nl.recordings.type_set import THREE, TypeSet
from birdnet_nl.training.checkpoint import METADATA, check_metadata, complete_metadata, read_checkpoint
from birdnet_nl.training.engine import cpu_computes_bf16
from birdnet_nl.util.errors import RunError
from birdnet_nl.util.run_directory import (
    BEST,
    CONFIG,
    METRICS,
    SPLITS_FILE,
    finish_advice,
    read_finished_config,
    read_json,
)

RENAMED_METADATA = {  # version 0.1 -> now
    "features": "embeddings",
    "feature_weights": "embedding_state",
    "trunk": "base",
    "practice": "pretraining",
}
REPLACED_NETWORKS = {  # of version 0.1, whose layers are no longer the same; the parameter sets that replace them
    "birdnet_nl.models.bag_network.BagNetwork": "birdnet, distilled or frozen",
    "birdnet_nl.models.headed_network.HeadedNetwork": "head",
}


@dataclass(frozen=True)
class Classifier:
    """Trained network in evaluation mode with everything prediction needs.

    Attributes:
        checkpoint: the file it was loaded from.
        run_dir: the run directory, or the folder of a checkpoint that stands alone.
        metadata: plain values stored with the weights (types, mel, species, synthetic, …).
        calibration: turns predictions at temperature 1 into probabilities.
        threshold: below this probability a prediction is uncertain; None where every prediction is.
        is_calibrated: False for a run that was not tested, whose temperature, pooling and threshold are placeholders.
        target_accuracy: accuracy that the threshold was chosen for; None where it is not known.
        trained_on: recordings used for training and validation; None without a `splits.csv`.
        split_by, type_set: as in the configuration of the run.
    """

    checkpoint: Path
    run_dir: Path
    network: nn.Module
    normalise: Normalise
    mel: MelParams
    types: list[str]
    metadata: dict[str, Any]
    calibration: Calibration
    threshold: float | None
    is_calibrated: bool
    target_accuracy: float | None
    trained_on: TrainedOn | None
    split_by: str
    type_set: TypeSet

    @classmethod
    def load(cls, target: Path | str) -> "Classifier":
        """Load from a run directory or a `.ckpt` file.

        Raises:
            RunError: if there is none, or its layers are those of another version.
        """
        checkpoint = find_checkpoint(Path(target))
        run_dir = checkpoint.parent.parent if checkpoint.parent.name == BEST.parent.name else checkpoint.parent
        content = read_checkpoint(checkpoint)
        with complete_metadata(checkpoint):
            metadata = upgrade_metadata(content[METADATA], checkpoint)
            network, mel = _load_network(content["state_dict"], metadata, checkpoint), MelParams(**metadata["mel"])
            check_metadata(metadata)
        report = read_json(run_dir / METRICS) if (run_dir / METRICS).is_file() else {}
        settings = read_finished_config(run_dir).get("data", {}) if (run_dir / CONFIG).is_file() else {}
        split_by = settings.get("split_by", "recording")
        decision = report.get("decision", {})
        return cls(
            checkpoint=checkpoint,
            run_dir=run_dir,
            network=network,
            normalise=Normalise(mel),
            mel=mel,
            types=metadata["types"],
            metadata=metadata,
            calibration=Calibration(
                metadata["temperature"],
                metadata.get("pooling", "mean"),
                report.get("calibration", {}).get("fitted_on", 0),
                metadata.get("temperatures_of_species", {}),
            ),
            threshold=metadata.get("threshold"),
            is_calibrated="pooling" in metadata,
            target_accuracy=decision.get("target_accuracy", decision.get("wanted_accuracy")),
            trained_on=_read_trained_on(run_dir, metadata, split_by),
            split_by=split_by,
            type_set=TypeSet.of(
                metadata.get("sounds") or settings.get("sounds", THREE.as_dict()), settings.get("flight_call", "call")
            ),
        )

    @cached_property
    def embedding_model(self) -> EmbeddingModel | None:
        """The model whose embeddings the network takes; None for a network of mel spectrograms."""
        described = self.metadata.get("embeddings")
        with complete_metadata(self.checkpoint):
            return build_embedding_model(described, self.metadata.get("embedding_state")) if described else None

    @torch.inference_mode()
    def probabilities(self, mel_db: torch.Tensor, temperature: float | None = None) -> torch.Tensor:
        """Probability of each type for segments in dB: [batch, mels, frames] -> [batch, types].

        Calibrated, unless another `temperature` is given. In bf16 where the processor computes it, as in the test of
        the run.
        """
        with torch.autocast("cpu", torch.bfloat16, enabled=cpu_computes_bf16()):
            logits = self.network(self.normalise(mel_db)[:, None])
        return (logits.float() / (self.calibration.temperature if temperature is None else temperature)).softmax(dim=1)


def upgrade_metadata(metadata: Mapping[str, Any], checkpoint: Path) -> dict[str, Any]:
    """Rename the keys of a checkpoint of version 0.1; raises `RunError` for a network that was replaced since."""
    target = metadata["network"]["_target_"]
    if target in REPLACED_NETWORKS:
        raise RunError(
            f"{checkpoint} was trained by birdnet_nl {metadata['version']}, whose {target.rpartition('.')[2]} was "
            f"replaced; train again with trainer={REPLACED_NETWORKS[target]}"
        )
    return {RENAMED_METADATA.get(name, name): value for name, value in metadata.items()}


def _load_network(state: Mapping[str, torch.Tensor], metadata: Mapping[str, Any], checkpoint: Path) -> nn.Module:
    """Build the network in evaluation mode, in the memory layout that a CPU computes fastest."""
    network = build_network(metadata["network"])
    weights = {name.removeprefix("network."): value for name, value in state.items() if name.startswith("network.")}
    try:
        network.load_state_dict(weights)
    except RuntimeError:
        raise RunError(
            f"{checkpoint} was written by another version of {metadata['network']['_target_']} (birdnet_nl "
            f"{metadata['version']}), whose layers differ; use that version, or train again"
        ) from None
    if hasattr(network, "lean"):
        network.lean = True
    return network.eval().to(memory_format=torch.channels_last)


def _read_trained_on(run_dir: Path, metadata: Mapping[str, Any], split_by: str) -> TrainedOn | None:
    """Recordings of the run and, for a head, those of its base run, as long as that is where it was."""
    own = read_trained_on(run_dir / SPLITS_FILE, metadata["synthetic"], split_by)
    base = metadata.get("base")
    of_base = read_trained_on(Path(base) / SPLITS_FILE, metadata["synthetic"], "recording") if base else None
    return own.union(of_base) if own and of_base else own


def find_checkpoint(target: Path) -> Path:
    """Return the checkpoint file itself, or the best checkpoint of a run; raises `RunError` where there is none."""
    if target.is_file():
        return target
    if not target.exists():
        raise RunError(
            f"{target} does not exist; give a run directory such as logs/fast/koolmees/<time>, or a .ckpt file"
        )
    for path in (target / BEST, target / BEST.name):
        if path.is_file():
            return path
    if (target / CONFIG).is_file():
        raise RunError(
            f"{target} has no {BEST}: the run was stopped before its first epoch ended; {finish_advice(target)}"
        )
    below = sorted(path.parent.parent for path in target.rglob(BEST.as_posix()))
    hint = f"give one of the runs below it, such as {below[-1]}" if below else "give a run directory or a .ckpt file"
    raise RunError(f"{target} is not a run; {hint}")
