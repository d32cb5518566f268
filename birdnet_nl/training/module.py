"""The LightningModule: a network, its loss and optimiser, and what is measured after each epoch."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import lightning as L
import torch
from torch import nn
from torchmetrics import MeanMetric, MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score
from torchmetrics.functional.classification import multiclass_accuracy

from birdnet_nl.audio.augment import MelAugment
from birdnet_nl.audio.mel import MelParams, Normalise
from birdnet_nl.data.dataset import Batch
from birdnet_nl.training.checkpoint import CARD
from birdnet_nl.training.losses import LossSettings, Objective
from birdnet_nl.training.teacher import Lesson
from birdnet_nl.util.errors import RunError


def pool_recordings(probabilities: torch.Tensor, recordings: torch.Tensor) -> torch.Tensor:
    """Mean probability over the segments of each recording: [segments, types], [segments] -> [recordings, types].

    `recordings` holds indices from 0 on without gaps; the result follows them.
    """
    count = int(recordings.max()) + 1
    sums = torch.zeros(count, probabilities.shape[1], device=probabilities.device)
    sums.index_add_(0, recordings, probabilities.float())
    return sums / torch.bincount(recordings, minlength=count).unsqueeze(1)


def types_of_recordings(types: torch.Tensor, recordings: torch.Tensor) -> torch.Tensor:
    """The type of each recording from those of its segments, int64 [recordings]."""
    found = torch.empty(int(recordings.max()) + 1, dtype=types.dtype, device=types.device)
    found[recordings] = types
    return found


class TypeClassifier(L.LightningModule):
    """Trains a network to tell the vocalization types of a species apart.

    Args:
        network: [batch, 1, mels, frames] -> logits [batch, types].
        class_weights: of the cross-entropy, float32 [types].
        optimizer: takes the parameters; scheduler the optimiser and the number of steps (`training/schedules.py`).
        augment: changes mels in training only.
        loss: how answers are judged in training.
        bag: crops of a recording that follow each other in a training batch and answer together.
        shares: of each type in each training recording, float32 [recordings, types]; None where each has one type.
        lesson: of a teacher for each training recording; then the network must show its features.
        practised: whether the network starts from weights that have learned before.
        seed: of what `augment` and dropout draw, together with the epoch.
        card: what prediction needs beside the weights; plain values only, written into every checkpoint.
        channels_last: memory layout of the convolutions.
        lean_blocks: let a network that can do so compute its blocks in less memory.

    `history` holds one dict per finished epoch, and survives in the checkpoint.
    """

    def __init__(
        self,
        network: nn.Module,
        mel: MelParams,
        types: Sequence[str],
        class_weights: torch.Tensor,
        optimizer: Callable[..., torch.optim.Optimizer],
        scheduler: Callable[..., dict[str, Any]],
        augment: MelAugment,
        loss: LossSettings,
        seed: int,
        card: dict[str, Any],
        channels_last: bool,
        lean_blocks: bool,
        bag: int = 1,
        shares: torch.Tensor | None = None,
        lesson: Lesson | None = None,
        pretrained: bool = False,
    ) -> None:
        super().__init__()
        self.normalise = Normalise(mel)
        self.network = network.to(memory_format=torch.channels_last) if channels_last else network
        if hasattr(network, "lean"):
            network.lean = lean_blocks
        self.loss = nn.CrossEntropyLoss(weight=class_weights)
        self.train_criterion = Objective(loss, class_weights)
        self.bag, self.shares, self.lesson, self.pretrained = bag, shares, lesson, pretrained
        if lesson is not None:
            if not hasattr(network, "answer"):  # from `features`, which the teacher's embeddings are compared with
                raise RunError(f"{type(network).__name__} cannot be a student; take model=compact_cnn, or no teacher")
            self.to_teacher = nn.Linear(network.num_features, lesson.embeddings.shape[1])
        self.augment, self.seed = augment, seed
        self.make_optimizer, self.make_scheduler = optimizer, scheduler
        self.card = card
        self.history: list[dict[str, float]] = []
        self.n_types = n_types = len(types)
        metrics = MetricCollection(
            {
                "accuracy": MulticlassAccuracy(n_types, average="micro"),
                "macro_f1": MulticlassF1Score(n_types, average="macro"),
            }
        )
        self.train_metrics, self.val_metrics = metrics.clone(prefix="train/"), metrics.clone(prefix="val/")
        self.train_loss, self.val_loss = MeanMetric(), MeanMetric()
        self.val_segments: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []

    def forward(self, mel_db: torch.Tensor) -> torch.Tensor:
        mel = self.normalise(mel_db)  # [batch, mels, frames], dB -> 0…1
        return self.network(mel[:, None])  # -> [batch, types]

    @contextmanager
    def as_validated(self) -> Iterator[None]:
        """While the block runs, answers come from a network that has not learned from the validation recordings."""
        yield

    def on_train_epoch_start(self) -> None:
        self.epoch_started = time.perf_counter()
        seed = self.seed * 10_000 + self.current_epoch  # each epoch's own, so that a resumed run draws the same
        torch.manual_seed(seed)  # dropout
        self.draws = torch.Generator().manual_seed(seed)

    def training_step(self, batch: Batch, index: int) -> torch.Tensor:
        mel_db, types, recordings = batch
        targets = self._targets(types[:: self.bag], recordings[:: self.bag])
        if not self.augment.changes_nothing:
            shares = targets if targets.is_floating_point() else nn.functional.one_hot(targets, self.n_types).float()
            mel_db, targets = self.augment(mel_db, shares, self.draws)
        if self.lesson is None:
            logits = self(mel_db)
            loss = self.train_criterion(logits.float(), targets)
        else:
            logits, loss = self._learn_from_teacher(mel_db, targets)
        self.train_loss.update(loss.detach(), weight=len(types))
        plain = types >= 0  # the others are of several types
        if plain.any():
            self.train_metrics.update(logits.detach()[plain], types[plain])
        return loss

    def _targets(self, types: torch.Tensor, recordings: torch.Tensor) -> torch.Tensor:
        """Types [bags], or their shares [bags, types]; of a student the teacher's embeddings stand beside these."""
        if self.shares is None and self.lesson is None:
            return types
        one_type = self.shares is None
        own = nn.functional.one_hot(types, self.n_types).float() if one_type else self._of(self.shares, recordings)
        if self.lesson is None:
            return own
        teacher = self._of(self.lesson.probabilities, recordings)
        answers = own + self.train_criterion.settings.teacher_share * (teacher - own)
        return torch.cat([answers, self._of(self.lesson.embeddings, recordings)], dim=1)

    @staticmethod
    def _of(table: torch.Tensor, recordings: torch.Tensor) -> torch.Tensor:
        return table[recordings.to(table.device)].to(recordings.device)

    def _learn_from_teacher(self, mel_db: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits of the crops [batch, types], and the loss of answers and embeddings [bags, types + dims]."""
        features = self.network.features(self.normalise(mel_db)[:, None])  # -> [batch, channels]
        logits = self.network.forward_head(features)
        loss = self.train_criterion(logits.float(), targets[:, : self.n_types])
        pooled = features.float().unflatten(0, (-1, self.bag)).mean(dim=1)  # -> [bags, channels]
        distance = nn.functional.mse_loss(self.to_teacher(pooled).float(), targets[:, self.n_types :])
        return logits, loss + self.train_criterion.settings.embedding_weight * distance

    def validation_step(self, batch: Batch, index: int) -> None:
        mel_db, types, recordings = batch
        logits = self(mel_db).float()
        self.val_loss.update(self.loss(logits, types), weight=len(types))
        self.val_metrics.update(logits, types)
        self.val_segments.append((logits.softmax(dim=1), types, recordings))

    def on_validation_epoch_end(self) -> None:
        """Validation closes an epoch: its numbers go to the logger, to the callbacks and into `history`."""
        probabilities, types, recordings = (torch.cat(parts) for parts in zip(*self.val_segments, strict=True))
        self.val_segments.clear()
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
        row["learning_rate"] = self.optimizers().param_groups[0]["lr"]
        for metric in (self.train_loss, self.train_metrics, self.val_loss, self.val_metrics):
            metric.reset()
        if self.logger is not None:
            self.logger.log_metrics(row, step=self.current_epoch)
        self.log_dict({name: row[name] for name in ("val/loss", "val/macro_f1")}, logger=False)  # for the callbacks
        self.history.append({"epoch": self.current_epoch, **row, "seconds": time.perf_counter() - self.epoch_started})

    def predict_step(self, batch: Batch, index: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Probability per type, true type and recording of each segment."""
        mel_db, types, recordings = batch
        return self(mel_db).float().softmax(dim=1), types, recordings

    def configure_optimizers(self) -> dict[str, Any]:
        optimizer = self.make_optimizer(self.parameters())
        steps = int(self.trainer.estimated_stepping_batches)
        return {"optimizer": optimizer, "lr_scheduler": self.make_scheduler(optimizer, total_steps=steps)}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint[CARD] = {**self.card, "history": list(self.history)}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.history = list(checkpoint[CARD]["history"])
