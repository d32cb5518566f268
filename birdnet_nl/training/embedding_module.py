"""Training on features of whole recordings, at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import torch
from torch import nn

from birdnet_nl.data.dataset import Batch
from birdnet_nl.data.several_features import MultilabelBatch
from birdnet_nl.models.recording_classifier import RecordingClassifier
from birdnet_nl.training.module import TypeClassifier, types_of_recordings
from birdnet_nl.training.probe import Beside, fit, step_counter


class EmbeddingClassifier(TypeClassifier):
    """Fits a network of features (`RecordingClassifier`, or one with a head of its own) to whole splits; one epoch is enough.

    Two networks are fitted, by the same rule: one to the training recordings, by whose answers to the validation
    recordings temperature and threshold are decided; then one to the training and validation recordings, which is the
    result. Where recordings are few a fifth of them is worth more than the small difference between the two.

    Args:
        practice: invented recordings as a batch, to learn from beside the real ones; None for none.
        practice_weight: of all invented recordings together, against all real ones.
        several: recordings of several types, with shares of the types in place of types; None for none.
        several_weight: of one of them against a recording of one type.
    """

    def __init__(
        self,
        network: nn.Module,
        practice: Batch | None = None,
        practice_weight: float = 1.0,
        multilabel: MultilabelBatch | None = None,
        multilabel_weight: float = 0.0,
        **settings: Any,
    ) -> None:
        super().__init__(network=network, **settings)
        self.practice, self.practice_weight = practice, practice_weight
        self.multilabel, self.multilabel_weight = multilabel, multilabel_weight
        self.automatic_optimization = False
        self.before_validation = deepcopy(network)
        self._answering = "network"

    def forward(self, segments: torch.Tensor, recordings: torch.Tensor) -> torch.Tensor:
        with torch.autocast(segments.device.type, enabled=False):
            return getattr(self, self._answering)(segments, recordings)

    @contextmanager
    def as_validated(self) -> Iterator[None]:
        self._answering = "before_validation"
        try:
            yield
        finally:
            self._answering = "network"

    def training_step(self, batch: Batch, index: int) -> None:
        (validation,) = self.trainer.datamodule.val_dataloader()
        validation = self.transfer_batch_to_device(validation, self.device, 0)
        with torch.autocast(self.device.type, enabled=False):
            self._fit(self.before_validation, batch)
            self._fit(self.network, _together(batch, validation))
        segments, types, recordings = batch
        truth = types_of_recordings(types, recordings)
        with self.as_validated():
            logits = self(segments, recordings).detach()
        self.train_loss.update(self.loss(logits, truth), weight=len(truth))
        self.train_metrics.update(logits, truth)
        self.optimizers().step()

    def _fit(self, network: nn.Module, batch: Batch) -> None:
        segments, types, recordings = batch
        truth = types_of_recordings(types, recordings)
        if isinstance(network, RecordingClassifier):
            network.fit_statistics(segments, recordings)
        beside = [*self._practice_for(network), *self._several_for(network, len(truth))]
        fit(network, lambda: network.features(segments, recordings), truth, self.loss, beside)

    def _practice_for(self, network: nn.Module) -> list[Beside]:
        if self.practice is None:
            return []
        segments, types, recordings = self.transfer_batch_to_device(self.practice, self.device, 0)
        truth = types_of_recordings(types, recordings)
        return [Beside(lambda: network.features(segments, recordings), truth, self.practice_weight, aligned=True)]

    def _several_for(self, network: nn.Module, of_one_type: int) -> list[Beside]:
        if self.multilabel is None:
            return []
        segments, shares, recordings = self.transfer_batch_to_device(tuple(self.multilabel), self.device, 0)
        weight = self.multilabel_weight * len(shares) / of_one_type
        return [Beside(lambda: network.features(segments, recordings), shares, weight, aligned=False)]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return step_counter(self.network)

    def validation_step(self, batch: Batch, index: int) -> None:
        segments, types, recordings = batch
        with self.as_validated():
            logits = self(segments, recordings)
        truth = types_of_recordings(types, recordings)
        self.val_loss.update(self.loss(logits, truth), weight=len(truth))
        self.val_metrics.update(logits, truth)
        self.val_segments.append((logits.softmax(dim=1), truth, torch.arange(len(truth), device=truth.device)))

    def predict_step(self, batch: Batch, index: int) -> tuple[torch.Tensor, ...]:
        """Probability per type, true type and recording of each segment, and probability per type of each recording."""
        segments, types, recordings = batch
        alone = torch.arange(len(segments), device=segments.device)
        return self(segments, alone).softmax(dim=1), types, recordings, self(segments, recordings).softmax(dim=1)


def _together(first: Batch, second: Batch) -> Batch:
    """Two batches of whole recordings as one."""
    segments, types, recordings = first
    more_segments, more_types, more_recordings = second
    later = more_recordings + int(recordings.max()) + 1
    return torch.cat([segments, more_segments]), torch.cat([types, more_types]), torch.cat([recordings, later])
