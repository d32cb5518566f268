"""Probes: linear classifiers on frozen embeddings of whole recordings, fitted in one step."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import torch
from torch import nn

from birdnet_nl.data.datamodule import SpeciesDataModule
from birdnet_nl.data.dataset import Batch
from birdnet_nl.models.registry import build_network
from birdnet_nl.training.finite import diverged, overflow_explained
from birdnet_nl.training.module import SegmentClassifier, pool_recordings, types_of_recordings
from birdnet_nl.training.short_clips import ShortClips

MAX_ITERATIONS = 300
TOLERANCE_GRADIENT = 1e-6
MIN_STD = 1e-6
ALL = "all"  # model.blocks: one block of all numbers of an embedding
REMEDY = "other model.l2, model.gamma or module.synthetic_weight"  # when it diverges


class Probe:
    """Linear layer on the features of a network, fitted by L-BFGS: a convex problem, solved to its end.

    Args:
        network: a `RecordingClassifier` or `ResidualHead`: `transform(features)` is fixed, `classify(transformed)` is
            fitted, and `l2` penalizes the squares of `regularized_parameters()`.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network

    def fit(self, features: torch.Tensor, targets: torch.Tensor, sample_weight: torch.Tensor, l2: float) -> None:
        """Minimize the weighted cross-entropy plus `l2` / 2 times the sum of the squared weights.

        The result does not depend on the order of the recordings. A network without trainable weights stays as it is.
        Raises `DivergedError` when features or weights are no longer finite.

        Args:
            features: float32 [recordings, num_features].
            targets: share of each type, float32 [recordings, types].
            sample_weight: of each type in each recording, float32, broadcast to [recordings, types].
        """
        parameters = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        if not parameters:
            return
        with torch.no_grad():
            transformed = self.network.transform(features)
        if not all(part.isfinite().all() for part in _tensors(transformed)):
            raise diverged("a feature of the classifier on embeddings", REMEDY)
        weighted = targets * sample_weight
        solver = torch.optim.LBFGS(
            parameters, max_iter=MAX_ITERATIONS, tolerance_grad=TOLERANCE_GRADIENT, line_search_fn="strong_wolfe"
        )

        def objective() -> torch.Tensor:
            solver.zero_grad()
            loss = -(weighted * self.network.classify(transformed).log_softmax(dim=1)).sum()
            squares = sum(parameter.square().sum() for parameter in self.network.regularized_parameters())
            loss = loss + l2 * squares / 2
            loss.backward()
            return loss

        with overflow_explained("a step of the classifier on embeddings", lambda: REMEDY):
            solver.step(objective)
        solver.zero_grad()
        if not all(parameter.isfinite().all() for parameter in parameters):
            raise diverged("a weight of the classifier on embeddings", REMEDY)


def _tensors(transformed: torch.Tensor | tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    """What `transform` returns, as a tuple: a residual head needs several tensors."""
    return (transformed,) if isinstance(transformed, torch.Tensor) else tuple(transformed)


def align(features: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """Shift and scale each column of `features` to the mean and standard deviation of that of `reference`.

    How the types differ is to be learned from synthetic recordings, not how these differ from real ones.
    """
    ratio = reference.std(dim=0, correction=0) / features.std(dim=0, correction=0).clamp(min=MIN_STD)
    return (features - features.mean(dim=0)) * ratio + reference.mean(dim=0)


class ProbeClassifier(SegmentClassifier):
    """LightningModule that collects the training set in one epoch and then fits a probe to it."""

    def __init__(self, network: Callable[..., nn.Module], seed: int = 1, parameter_set: str = "") -> None:
        super().__init__(network=network, seed=seed, parameter_set=parameter_set)
        self.automatic_optimization = False
        self.collected: list[Batch] = []

    def build_losses(self, data: SpeciesDataModule) -> None:
        self.class_weights = data.class_weights(of_recordings=True)
        self.val_criterion = nn.CrossEntropyLoss(weight=self.class_weights)

    def configure_optimizers(self) -> None:
        return None

    def training_step(self, batch: Batch, index: int) -> None:
        self.collected.append(self.collect(batch))
        if index + 1 < self.trainer.num_training_batches:
            return
        with torch.autocast(self.device.type, enabled=False):  # which cannot join float16 on a CPU
            batch = tuple(torch.cat(parts) for parts in zip(*self.collected, strict=True))
            self.collected.clear()
            logits, types = self.fit(*batch)
        self.train_loss.update(self.val_criterion(logits, types), weight=len(types))
        self.train_metrics.update(logits, types)

    def collect(self, batch: Batch) -> Batch:
        """Return what is kept of a training batch until the last."""
        return batch

    def fit(
        self, segments: torch.Tensor, types: torch.Tensor, recordings: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Fit to the whole training split; returns logits and types of its recordings."""
        raise RuntimeError("a subclass fits its probe here")

    def hard_targets(
        self, types: torch.Tensor, weights: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """One-hot targets and sample weights [recordings, types] of recordings of one type, weights summing to 1.

        `weights` [recordings] are relative weights of the recordings, all equal by default.
        """
        class_weights = self.class_weights.to(types.device)
        targets = nn.functional.one_hot(types, len(self.types)).float()
        weights = torch.ones(len(types), device=types.device) if weights is None else weights.to(types.device)
        total = (class_weights[types] * weights).sum()
        return targets, weights[:, None] * (class_weights / total)


class EmbeddingClassifier(ProbeClassifier):
    """Probe on embeddings, pooled over each recording by a `RecordingClassifier`, or a residual head on one.

    Two networks are fitted by the same rule: `train_only_network` to the training recordings, whose predictions for the
    validation recordings decide on temperature and threshold; then `network`, the result, to the training and
    validation recordings. Where recordings are few, a fifth of them is worth more than the small difference.

    Args:
        synthetic_weight: of all synthetic recordings of the DataModule together, relative to all real ones.
        clips: of the recordings of one type, to fit to beside each whole one; None for none.
    """

    def __init__(
        self,
        network: Callable[..., nn.Module],
        synthetic_weight: float = 1.0,
        clips: ShortClips | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(network=network, **settings)
        if isinstance(synthetic_weight, bool) or not synthetic_weight > 0:
            raise ValueError(f"module.synthetic_weight={synthetic_weight} must be above 0")
        self.synthetic_weight, self.clips = synthetic_weight, clips or ShortClips(segments=[])
        self.training_weights: torch.Tensor | None = None
        self._predicting = "network"

    def check_description(self) -> None:
        described = self.description
        if described.get("blocks") == ALL:
            self.description = described | {"blocks": [1]}  # their number is known with the embeddings
        super().check_description()
        self.description = described

    def build_network(self, data: SpeciesDataModule) -> tuple[nn.Module, dict[str, Any] | None]:
        self._check_blocks(data)
        network = build_network(self.description | {"types": len(self.types)})
        self.train_only_network = deepcopy(network)
        self.synthetic_batch, self.multilabel_batch = data.embedded.synthetic, data.embedded.multilabel
        self.training_weights = data.training_weights
        self.multilabel_weight = data.multilabel_weight
        pretraining = data.describe_synthetic()
        return network, pretraining and pretraining | {"weight": self.synthetic_weight}

    def _check_blocks(self, data: SpeciesDataModule) -> None:
        """Raise `ValueError` for a `model.blocks` that does not fit the embeddings; a head has those of its base.

        `model.blocks=all` becomes one block.
        """
        blocks, length = self.description.get("blocks"), data.embedded.datasets["train"].embeddings.shape[1] - 1
        if blocks == ALL:
            self.description = self.description | {"blocks": [length]}
            return
        if blocks is not None and sum(blocks) != length:
            raise ValueError(
                f"model.blocks={blocks} must add up to {length}, the length of an embedding of {data.embeddings.name}"
            )

    def forward(self, segments: torch.Tensor, recordings: torch.Tensor) -> torch.Tensor:
        with torch.autocast(segments.device.type, enabled=False):
            return getattr(self, self._predicting)(segments, recordings)

    @contextmanager
    def without_validation_data(self) -> Iterator[None]:
        self._predicting = "train_only_network"
        try:
            yield
        finally:
            self._predicting = "network"

    def fit(
        self, segments: torch.Tensor, types: torch.Tensor, recordings: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        batch = (segments, types, recordings)
        data, weights = self.trainer.datamodule, self.training_weights
        self._fit(self.train_only_network, batch, weights)
        if not data.final and data.training_share is None:  # else no other recordings are for training
            (validation,) = data.val_dataloader()
            batch = _concatenate(batch, self.transfer_batch_to_device(validation, self.device, 0))
            weights = weights_with_validation(weights, int(batch[2].max()) + 1)
        self._fit(self.network, batch, weights)
        with self.without_validation_data():
            logits = self(segments, recordings).detach()
        return logits, types_of_recordings(types, recordings)

    def _fit(self, network: nn.Module, batch: Batch, weights: torch.Tensor | None = None) -> None:
        """Fit `network` to recordings of one type, of relative `weights` [recordings], and to the further ones."""
        segments, types, recordings = batch
        types = types_of_recordings(types, recordings)
        with torch.no_grad():
            if hasattr(network, "fit_statistics"):
                network.fit_statistics(segments, recordings)
            whole = network.forward_features(segments, recordings)
            network.fit_scaler(whole)
            own, rows, shares = self._with_clips(network, segments, recordings, whole)
            count = len(types) if weights is None else float(weights.sum())
            targets, weights = self.hard_targets(types, weights)
            weights = weights * self._weights_beside_synthetic().to(weights.device)
            further = self._further_parts(network, whole, count)
            parts = [(own, targets[rows], weights[rows] * shares[:, None]), *further]
            features, targets, weights = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
            network.fit_landmarks(whole, features[len(own) :] if len(parts) > 1 else None)
        Probe(network).fit(features, targets, weights, network.l2 / count)

    def _with_clips(
        self, network: nn.Module, segments: torch.Tensor, recordings: torch.Tensor, whole: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the features of whole recordings, then of clips; and the recording and the share of it of each row."""
        clip_segments, clips, of_clips = self.clips.cut(segments, recordings)
        features = network.forward_features(clip_segments, clips) if len(of_clips) else whole[:0]
        rows = torch.cat([torch.arange(len(whole), device=whole.device), of_clips])
        return torch.cat([whole, features]), rows, self.clips.weights(of_clips, len(whole))

    def _weights_beside_synthetic(self) -> torch.Tensor:
        """Factor on real recordings of each type, [types]: one without synthetic recordings weighs as much as others.

        Otherwise types with synthetic recordings (song, call, alarm) would be predicted more often than the others.
        """
        if self.synthetic_batch is None:
            return torch.ones(len(self.types))
        present = torch.bincount(self.synthetic_batch[1].cpu(), minlength=len(self.types)) > 0
        return torch.where(present, 1.0, 1.0 + self.synthetic_weight)

    def _further_parts(
        self, network: nn.Module, real: torch.Tensor, count: float
    ) -> Iterator[tuple[torch.Tensor, ...]]:
        """Features, targets and sample weights of synthetic recordings, then of recordings of several types.

        `count` is the sum of the relative weights of the real recordings, whose features are `real`.
        """
        if self.synthetic_batch is not None:
            segments, types, recordings = self.transfer_batch_to_device(self.synthetic_batch, self.device, 0)
            types = types_of_recordings(types, recordings)
            features = align(network.forward_features(segments, recordings), real)
            targets = nn.functional.one_hot(types, len(self.types)).float()
            counts = targets.sum(dim=0).clamp(min=1)  # so that every type that has any weighs the same
            yield features, targets, (self.synthetic_weight / len(self.types) / counts).expand_as(targets)
        if self.multilabel_batch is not None:
            segments, targets, recordings = self.transfer_batch_to_device(tuple(self.multilabel_batch), self.device, 0)
            weights = self.class_weights.to(targets.device) * self.multilabel_weight / count
            yield network.forward_features(segments, recordings), targets, weights.expand_as(targets)

    def validation_step(self, batch: Batch, index: int) -> None:
        segments, types, recordings = batch
        with self.without_validation_data():
            logits = self(segments, recordings)
        types = types_of_recordings(types, recordings)
        self.val_loss.update(self.val_criterion(logits, types), weight=len(types))
        self.val_metrics.update(logits, types)
        self.val_segments.append((logits.softmax(dim=1), types, torch.arange(len(types), device=types.device)))

    def predict_step(self, batch: Batch, index: int) -> tuple[torch.Tensor, ...]:
        """Probability per type, true type and recording of each segment; probability per type of each recording."""
        segments, types, recordings = batch
        alone = torch.arange(len(segments), device=segments.device)
        return self(segments, alone).softmax(dim=1), types, recordings, self(segments, recordings).softmax(dim=1)


class SegmentHead(ProbeClassifier):
    """Residual head of one species on a frozen mel CNN, fitted to the mean features of whole recordings."""

    def collect(self, batch: Batch) -> Batch:
        mel_db, types, recordings = batch
        with torch.no_grad():
            return self.network.forward_features(self.normalise(mel_db)[:, None]), types, recordings

    def fit(
        self, segments: torch.Tensor, types: torch.Tensor, recordings: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        features, types = pool_recordings(segments, recordings), types_of_recordings(types, recordings)
        if any(parameter.requires_grad for parameter in self.network.parameters()):
            self.network.fit_scaler(features)
            Probe(self.network).fit(features, *self.hard_targets(types), self.network.l2 / len(types))
        return self.network.forward_head(features).detach(), types


def weights_with_validation(weights: torch.Tensor | None, count: int) -> torch.Tensor | None:
    """Add weights of 1 for the validation recordings, which follow those for training; `count` is of both together."""
    return None if weights is None else nn.functional.pad(weights, (0, count - len(weights)), value=1.0)


def _concatenate(first: Batch, second: Batch) -> Batch:
    """Join two batches of whole recordings."""
    segments, types, recordings = first
    more_segments, more_types, more_recordings = second
    later = more_recordings + int(recordings.max()) + 1
    return torch.cat([segments, more_segments]), torch.cat([types, more_types]), torch.cat([recordings, later])
