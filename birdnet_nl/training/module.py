"""The LightningModule: a CNN on mel spectrograms, its loss and optimizer, and the metrics after each epoch."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import lightning as L
import torch
from torch import nn
from torchmetrics import MeanMetric, MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score
from torchmetrics.functional.classification import multiclass_accuracy

from birdnet_nl import __version__
from birdnet_nl.audio.mel import Normalise
from birdnet_nl.data.datamodule import SpeciesDataModule
from birdnet_nl.data.dataset import Batch
from birdnet_nl.models.registry import build_network, check_network, describe_network
from birdnet_nl.training.checkpoint import METADATA
from birdnet_nl.training.engine import EngineState
from birdnet_nl.training.finite import FiniteSteps, diverged, overflow_explained
from birdnet_nl.training.initial_weights import check_pretrained, load_pretrained
from birdnet_nl.training.schedules import configure_scheduler


def pool_recordings(values: torch.Tensor, recordings: torch.Tensor) -> torch.Tensor:
    """Mean over the segments of each recording: [segments, columns], [segments] -> float32 [recordings, columns].

    `recordings` holds indices from 0 without gaps; the result follows them.
    """
    count = int(recordings.max()) + 1
    sums = torch.zeros(count, values.shape[1], device=values.device)
    sums.index_add_(0, recordings, values.float())
    return sums / torch.bincount(recordings, minlength=count).unsqueeze(1)


def types_of_recordings(types: torch.Tensor, recordings: torch.Tensor) -> torch.Tensor:
    """Type of each recording from the types of its segments, int64 [recordings]."""
    result = torch.empty(int(recordings.max()) + 1, dtype=types.dtype, device=types.device)
    result[recordings] = types
    return result


class SegmentClassifier(L.LightningModule):
    """CNN that classifies the vocalization type of segments, trained by gradient descent.

    The network is built in `setup`, when the DataModule knows which types the recordings suffice for; types, mel
    parameters, class weights and soft labels come from there.

    Args:
        network: factory of the network, called with `types=<number>`: [batch, 1, mels, frames] -> logits
            [batch, types]. Its keyword `pretrained` names weights to start from (`training/initial_weights.py`).
        loss: called as `loss(weight=<class weights>)`; takes logits [batch, types], and type indices [batch] or the
            share of each type [batch, types].
        augment: changes mels and targets in training only (`audio/augment.py`).
        optimizer: called with the parameters.
        scheduler: any class of `torch.optim.lr_scheduler`; None for a constant learning rate.
        seed: of the draws of `augment` and dropout, together with the epoch.
        pretrained_lr_scale: factor of the learning rate of a network that starts from pretrained weights.
        parameter_set: name of the recipe, stored in checkpoints.

    Attributes:
        engine: memory layout and speed-ups, set before `build`; None for the plain layout.
        history: one dict per finished epoch; stored in checkpoints and restored from them.
        metadata: what prediction needs beside the weights, as plain values; stored in checkpoints.
    """

    def __init__(
        self,
        network: Callable[..., nn.Module],
        loss: Callable[..., nn.Module] = nn.CrossEntropyLoss,
        augment: Callable[..., tuple[torch.Tensor, torch.Tensor]] | None = None,
        optimizer: Callable[..., torch.optim.Optimizer] | None = None,
        scheduler: Callable[..., torch.optim.lr_scheduler.LRScheduler] | None = None,
        seed: int = 1,
        pretrained_lr_scale: float = 1.0,
        parameter_set: str = "",
    ) -> None:
        super().__init__()
        if not pretrained_lr_scale > 0:
            raise ValueError(f"module.pretrained_lr_scale={pretrained_lr_scale} must be above 0")
        self.pretrained = check_pretrained(getattr(network, "keywords", {}).get("pretrained"))
        self.description = describe_network(network)
        self.check_description()
        self.make_loss, self.augment, self.make_optimizer = loss, augment, optimizer
        self.make_scheduler = scheduler if callable(scheduler) else None  # scheduler=none leaves a recipe's patience
        self.seed, self.pretrained_lr_scale = seed, pretrained_lr_scale
        self.parameter_set = parameter_set
        self.engine: EngineState | None = None
        self.network: nn.Module | None = None
        self.metadata: dict[str, Any] = {}
        self.history: list[dict[str, float]] = []
        self.val_segments: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
        self.finite_steps, self.step_loss = FiniteSteps(), torch.zeros(())

    def check_description(self) -> None:
        """Raise what building the network would raise, before anything takes time."""
        try:
            check_network(self.description)
        except TypeError as error:
            name = self.description["_target_"].rpartition(".")[2]
            raise ValueError(f"model={name} cannot be built from these values: {error}; see conf/model/") from None

    def setup(self, stage: str) -> None:
        if self.trainer.datamodule is not None:
            self.build(self.trainer.datamodule)

    def build(self, data: SpeciesDataModule) -> None:
        """Build network, losses and metrics for the types of `data`; does nothing when they are there."""
        if self.network is not None:
            return
        self.types = list(data.prepared.types)
        self.normalise = Normalise(data.mel)
        network, pretraining = self.build_network(data)
        if self.engine is not None:
            if hasattr(network, "lean"):
                network.lean = self.engine.lean_blocks
            if self.engine.channels_last:
                network = network.to(memory_format=torch.channels_last)
        self.network = network
        self.build_losses(data)
        metrics = MetricCollection(
            {
                "accuracy": MulticlassAccuracy(len(self.types), average="micro"),
                "macro_f1": MulticlassF1Score(len(self.types), average="macro"),
            }
        )
        self.train_metrics, self.val_metrics = metrics.clone(prefix="train/"), metrics.clone(prefix="val/")
        # torchmetrics leaves NaN out of a mean, and out of its weights where that is disabled
        self.train_loss, self.val_loss = MeanMetric(nan_strategy=math.inf), MeanMetric(nan_strategy=math.inf)
        self.metadata = {
            "version": __version__,
            "parameter_set": self.parameter_set,
            "seed": self.seed,
            "network": self.description | {"types": len(self.types)},
            "temperature": 1.0,
            "pretraining": pretraining,
            **data.metadata(),
        }

    def build_network(self, data: SpeciesDataModule) -> tuple[nn.Module, dict[str, Any] | None]:
        """Return the network with its first weights, and a description of the pretraining (None without)."""
        network = build_network(self.description | {"types": len(self.types)})
        return network, load_pretrained(self.pretrained, network, self.description, data)

    def build_losses(self, data: SpeciesDataModule) -> None:
        """Build the training loss, and the cross-entropy that is validated with."""
        class_weights = data.class_weights()
        self.val_criterion = nn.CrossEntropyLoss(weight=class_weights)
        try:
            self.train_criterion = self.make_loss(weight=class_weights)
        except TypeError as error:
            raise ValueError(
                f"loss={getattr(self.make_loss, 'func', self.make_loss).__name__} cannot be built from conf/loss/ and "
                f"the parameter set: {error}; remove a value that it does not take with ~loss.<name>"
            ) from None
        self.shares = data.training_shares  # float32 [recordings, types], or None where each has one type

    @property
    def starts_pretrained(self) -> bool:
        return bool(self.metadata.get("pretraining"))

    @property
    def learning_rate(self) -> float | None:
        """Learning rate that the optimizer starts with or, with one cycle, reaches; None where nothing is optimized."""
        lr = getattr(self.make_optimizer, "keywords", {}).get("lr")
        return lr * self.pretrained_lr_scale if lr and self.starts_pretrained else lr

    def forward(self, mel_db: torch.Tensor) -> torch.Tensor:
        mel = self.normalise(mel_db)  # [batch, mels, frames], dB -> 0…1
        return self.network(mel[:, None])  # -> [batch, types]

    @contextmanager
    def without_validation_data(self) -> Iterator[None]:
        """Predict, while the block runs, with a network that was not fitted to the validation recordings."""
        yield

    def on_train_epoch_start(self) -> None:
        self.epoch_started = time.perf_counter()
        seed = self.seed * 10_000 + self.current_epoch  # one for each epoch, so that a resumed run draws the same
        torch.manual_seed(seed)  # dropout
        self.draws = torch.Generator().manual_seed(seed)

    def training_step(self, batch: Batch, index: int) -> torch.Tensor:
        mel_db, types, recordings = batch
        targets = types
        if self.shares is not None:  # of several types, but for crops whose type annotations give
            targets = nn.functional.one_hot(types.clamp(min=0), len(self.types)).float()
            shares = self.shares[recordings.to(self.shares.device)].to(types.device)
            targets = torch.where((types >= 0)[:, None], targets, shares)
        if self.augment is not None and not getattr(self.augment, "is_identity", False):
            if not targets.is_floating_point():
                targets = nn.functional.one_hot(targets, len(self.types)).float()
            mel_db, targets = self.augment(mel_db, targets, self.draws)
        logits = self(mel_db)
        loss = self.train_criterion(logits.float(), targets)
        self.train_loss.update(loss.detach().clone(), weight=len(types))
        single = types >= 0  # the others are recordings of several types
        if single.any():
            self.train_metrics.update(logits.detach()[single], types[single])
        self.step_loss = loss.detach()
        return loss

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        with self.explained("the loss or a gradient"):
            self.finite_steps.add(self.step_loss, self.network.parameters())

    def optimizer_step(self, *arguments: Any, **options: Any) -> None:
        with overflow_explained("a step of the optimizer", lambda: self.remedy):
            super().optimizer_step(*arguments, **options)

    def on_validation_epoch_start(self) -> None:
        with self.explained("the loss or a gradient"):
            self.finite_steps.check()

    @contextmanager
    def explained(self, what: str) -> Iterator[None]:
        """Raise `DivergedError`, with the values to change, where the block finds `what` not finite (`ValueError`)."""
        try:
            yield
        except ValueError:
            raise diverged(f"{what} in epoch {self.current_epoch + 1}", self.remedy) from None

    @property
    def remedy(self) -> str:
        """Values to change when a training diverges; not the precision, because bf16 has the range of float32."""
        lr = getattr(self.make_optimizer, "keywords", {}).get("lr")
        return f"a smaller optimizer.lr (now {lr:g})" if lr else "other parameters"

    def validation_step(self, batch: Batch, index: int) -> None:
        mel_db, types, recordings = batch
        logits = self(mel_db).float()
        self.val_loss.update(self.val_criterion(logits, types), weight=len(types))
        self.val_metrics.update(logits, types)
        self.val_segments.append((logits.softmax(dim=1), types, recordings))

    def on_validation_epoch_end(self) -> None:
        """Log the metrics of the epoch, which validation closes, and add them to `history`."""
        probabilities, types, recordings = (torch.cat(parts) for parts in zip(*self.val_segments, strict=True))
        self.val_segments.clear()
        if not probabilities.isfinite().all():
            raise diverged(f"the prediction for validation recordings in epoch {self.current_epoch + 1}", self.remedy)
        per_recording = multiclass_accuracy(
            pool_recordings(probabilities, recordings),
            types_of_recordings(types, recordings),
            num_classes=probabilities.shape[1],
            average="macro",
        )
        values = {
            "train/loss": self.train_loss.compute(),
            **self.train_metrics.compute(),
            "val/loss": self.val_loss.compute(),
            **self.val_metrics.compute(),
            "val/recording_balanced_accuracy": per_recording,
        }
        row = {name: float(value) for name, value in values.items()}
        for name, value in row.items():
            if not math.isfinite(value):
                raise diverged(f"{name} in epoch {self.current_epoch + 1}", self.remedy)
        if self.make_optimizer is not None:
            row["learning_rate"] = self.optimizers().param_groups[0]["lr"]
        for metric in (self.train_loss, self.train_metrics, self.val_loss, self.val_metrics):
            metric.reset()
        for logger in self.loggers:
            logger.log_metrics(row, step=self.current_epoch)
        self.log_dict({name: row[name] for name in ("val/loss", "val/macro_f1")}, logger=False)  # for the callbacks
        self.history.append({"epoch": self.current_epoch, **row, "seconds": time.perf_counter() - self.epoch_started})

    def predict_step(self, batch: Batch, index: int) -> tuple[torch.Tensor, ...]:
        """Probability per type [batch, types], true type and recording of each segment."""
        mel_db, types, recordings = batch
        return self(mel_db).float().softmax(dim=1), types, recordings

    def configure_optimizers(self) -> Any:
        make_optimizer = self.make_optimizer
        if self.starts_pretrained:
            make_optimizer = partial(make_optimizer, lr=self.learning_rate)
        optimizer = make_optimizer(self.parameters())
        if self.make_scheduler is None:
            return optimizer
        steps = int(self.trainer.estimated_stepping_batches)
        return {"optimizer": optimizer, "lr_scheduler": configure_scheduler(self.make_scheduler, optimizer, steps)}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint[METADATA] = {**self.metadata, "history": list(self.history)}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.history = list(checkpoint[METADATA]["history"])
