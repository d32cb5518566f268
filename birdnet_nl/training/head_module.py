"""Training the head of a species on a frozen trunk of mels, which hears each segment once."""

from typing import Any

import torch

from birdnet_nl.data.dataset import Batch
from birdnet_nl.models.residual_head import ResidualHead
from birdnet_nl.training.module import TypeClassifier, pool_recordings, types_of_recordings
from birdnet_nl.training.probe import fit, step_counter


class HeadClassifier(TypeClassifier):
    """Fits the head of a `ResidualHead` to the mean features of whole recordings; one epoch is enough."""

    network: ResidualHead

    def __init__(self, network: ResidualHead, **settings: Any) -> None:
        super().__init__(network=network, **settings)
        self.automatic_optimization = False
        self.heard: list[Batch] = []

    def training_step(self, batch: Batch, index: int) -> None:
        mel_db, types, recordings = batch
        with torch.no_grad():
            features = self.network.features(self.normalise(mel_db)[:, None])  # [batch, width]
        self.heard.append((features, types, recordings))
        if index + 1 < self.trainer.num_training_batches:
            return
        features, types, recordings = (torch.cat(parts) for parts in zip(*self.heard, strict=True))
        self.heard.clear()
        with torch.autocast(self.device.type, enabled=False):
            pooled, truth = pool_recordings(features, recordings), types_of_recordings(types, recordings)
            fit(self.network, lambda: pooled, truth, self.loss)
            logits = self.network.forward_head(pooled).detach()
        self.train_loss.update(self.loss(logits, truth), weight=len(truth))
        self.train_metrics.update(logits, truth)
        self.optimizers().step()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return step_counter(self.network)
