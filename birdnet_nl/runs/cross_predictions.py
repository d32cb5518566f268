"""Predictions for the training and validation recordings of a run, each by a network that was not fitted to it.

Temperature and threshold are chosen on them. A classifier on embeddings is fitted again for each part, which takes
seconds. A CNN would have to be trained again, so that only its validation recordings are predicted.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from sklearn.model_selection import StratifiedGroupKFold

from birdnet_nl.data.datamodule import SpeciesDataModule
from birdnet_nl.data.dataset import Batch
from birdnet_nl.data.multilabel import MultilabelBatch
from birdnet_nl.data.splits import group_of
from birdnet_nl.evaluation.metrics import Predictions
from birdnet_nl.models.registry import build_network
from birdnet_nl.training.module import SegmentClassifier, types_of_recordings
from birdnet_nl.training.probe import EmbeddingClassifier, weights_with_validation

PARTS = 5
MIN_OF_TYPE = 2  # recordings that a network is fitted to
FITTED = ("train", "val")  # splits that the network of the run is fitted to


def cross_predictions(module: SegmentClassifier, data: SpeciesDataModule) -> Predictions | None:
    """Predict the recordings of the train and val splits in parts, recordists apart; None where that is not possible.

    Extra recordings are fitted to and not predicted. A head has no such predictions, because its base was trained on
    the same recordings; neither has a network of another kind than `EmbeddingClassifier`.
    """
    if not isinstance(module, EmbeddingClassifier) or hasattr(module, "inherited_decision"):
        return None
    if data.split_by != "recording":
        return None
    batch = tuple(tensor.to(module.device) for tensor in _joined_batch(data))
    by_id = {recording.id: recording for recording in data.prepared.recordings}
    recordings = [by_id[id] for split in FITTED for id in data.embedded.datasets[split].recording_ids]
    groups = np.array([group_of(recording) for recording in recordings])
    types = types_of_recordings(*batch[1:]).cpu().numpy()
    if len(np.unique(groups)) < PARTS or np.bincount(types, minlength=len(module.types)).min() < PARTS:
        return None
    scored = np.array([recording.id not in data.prepared.extra for recording in recordings])
    splitter = StratifiedGroupKFold(PARTS, shuffle=True, random_state=data.seed % 2**32)
    parts = list(splitter.split(types, types, groups))
    if any(np.bincount(types[fitted], minlength=len(module.types)).min() < MIN_OF_TYPE for fitted, _ in parts):
        return None
    weights = weights_with_validation(data.training_weights, len(recordings))
    predicted, order = [], []
    for fitted, held_out in parts:
        held_out = held_out[scored[held_out]]
        if not len(held_out):
            continue
        with _multilabel_by_others(module, data, set(groups[held_out])):
            segments, of_types, of_recordings, whole = _predict_part(module, batch, weights, fitted, held_out)
        predicted.append((segments, of_types, of_recordings + len(order), whole))
        order += held_out.tolist()
    chosen = [recordings[index] for index in order]
    return Predictions.join(predicted, [recording.id for recording in chosen], [r.species for r in chosen])


def _joined_batch(data: SpeciesDataModule) -> Batch:
    """Embeddings, types and recording indices of all segments of train and val, the recordings of val later."""
    train, val = (data.embedded.datasets[split] for split in FITTED)
    return (
        torch.cat([train.embeddings, val.embeddings]),
        torch.cat([train.types, val.types]),
        torch.cat([train.recordings, val.recordings + len(train.recording_ids)]),
    )


def _predict_part(
    module: EmbeddingClassifier, batch: Batch, weights: torch.Tensor | None, fitted: np.ndarray, held_out: np.ndarray
) -> tuple[torch.Tensor, ...]:
    """Fit a network to the recordings `fitted` and predict `held_out`, as `EmbeddingClassifier.predict_step` does."""
    network = build_network(module.description | {"types": len(module.types)}).to(module.device)
    with torch.autocast(module.device.type, enabled=False):
        module._fit(network, _select(batch, fitted), None if weights is None else weights[fitted])
        network.eval()
        segments, types, recordings = _select(batch, held_out)
        with torch.no_grad():
            alone = network(segments, torch.arange(len(segments), device=segments.device)).softmax(dim=1)
            return alone, types, recordings, network(segments, recordings).softmax(dim=1)


def _select(batch: Batch, chosen: np.ndarray) -> Batch:
    """Take the segments of the chosen recordings, whose indices become their positions in `chosen`."""
    segments, types, recordings = batch
    position = torch.full((int(recordings.max()) + 1,), -1, device=recordings.device)
    position[torch.from_numpy(chosen).to(recordings.device)] = torch.arange(len(chosen), device=recordings.device)
    own = position[recordings] >= 0
    return segments[own], types[own], position[recordings[own]]


@contextmanager
def _multilabel_by_others(module: EmbeddingClassifier, data: SpeciesDataModule, groups: set[str]) -> Iterator[None]:
    """Leave out, while the block runs, the recordings of several types by recordists that are predicted."""
    before = module.multilabel_batch
    if before is not None:
        others = [group_of(recording) not in groups for recording in data.multilabel.recordings]
        kept = torch.tensor(others).nonzero().flatten()
        segments, shares, recordings = before
        own = torch.isin(recordings, kept)
        renumbered = torch.searchsorted(kept, recordings[own])
        module.multilabel_batch = MultilabelBatch(segments[own], shares[kept], renumbered) if len(kept) else None
    try:
        yield
    finally:
        module.multilabel_batch = before
