"""LightningModule that fits scikit-learn's support vector machine to the embeddings of whole recordings."""

import numpy as np
import torch
from sklearn.model_selection import StratifiedKFold
from sklearn.svm import SVC
from torch import nn

from birdnet_nl.data.dataset import Batch
from birdnet_nl.models.support_vectors import CombinedClassifier, SupportVectorClassifier
from birdnet_nl.training.module import types_of_recordings
from birdnet_nl.training.probe import EmbeddingClassifier, Probe

PARTS = 5  # for decision values of recordings that a machine was not fitted to


class SupportVectorProbe(EmbeddingClassifier):
    """Support vector machine on embeddings, and a linear layer on its out-of-fold decision values.

    The decision values of the recordings that a machine was fitted to are too good, so the linear layer is fitted to
    those of recordings left out. Both weight the types equally, and take the clips of a recording as its own.
    Synthetic and multi-label recordings are not used.
    """

    def _fit(self, network: SupportVectorClassifier, batch: Batch, weights: torch.Tensor | None = None) -> None:
        segments, types, recordings = batch
        types = types_of_recordings(types, recordings)
        with torch.no_grad():
            whole = network.forward_features(segments, recordings)
            network.fit_scaler(whole)
            features, rows, shares = self._with_clips(network, segments, recordings, whole)
        scaled, known = network.scaled(features).cpu().numpy(), types.cpu().numpy()
        relative = torch.ones(len(types)) if weights is None else weights.cpu().float()
        row_types, of_rows = types[rows].cpu().numpy(), rows.cpu().numpy()
        row_weights = (shares.cpu() * relative[of_rows]).numpy()
        values = torch.zeros(len(features), len(network.pairs), device=features.device)
        parts = min(PARTS, np.bincount(known).min())
        for fitted, _ in StratifiedKFold(parts, shuffle=True, random_state=0).split(known, known):
            own = np.isin(of_rows, fitted)  # the clips of a recording are in its part
            fit_machine(network, scaled[own], row_types[own], row_weights[own])
            values[~own] = network.decision_values(features[~own])
        fit_machine(network, scaled, row_types, row_weights)
        targets, weights = self.hard_targets(types, weights)
        head = Probe(_HeadOfDecisionValues(network))
        head.fit(values, targets[rows], weights[rows] * shares[:, None], network.l2 / float(relative.sum()))


class CombinedProbe(SupportVectorProbe):
    """Both parts of a `CombinedClassifier`; synthetic and multi-label recordings are for the first one only."""

    def _fit(self, network: CombinedClassifier, batch: Batch, weights: torch.Tensor | None = None) -> None:
        EmbeddingClassifier._fit(self, network.of_layers, batch, weights)
        super()._fit(network.machine, batch, weights)


def fit_machine(
    network: SupportVectorClassifier, scaled: np.ndarray, types: np.ndarray, weights: np.ndarray | None = None
) -> None:
    """Fit `network` to scaled features [rows, dimensions] with every type among their types [rows].

    `weights` [rows] are relative to `network.c`; the types weigh the same together. None weights all rows equally.
    """
    weights = np.ones(len(types)) if weights is None else weights
    of_types = np.bincount(types, weights)
    balanced = {index: weights.sum() / (len(of_types) * weight) for index, weight in enumerate(of_types)}
    machine = SVC(C=network.c, gamma=1 / network.num_features, class_weight=balanced)
    machine.fit(scaled, types, sample_weight=weights)
    type_of_vector = np.repeat(machine.classes_, machine.n_support_)
    coefficients = np.zeros((len(network.pairs), len(type_of_vector)), dtype=np.float32)
    for row, (first, second) in enumerate(network.pairs):
        for own, other in ((first, second), (second, first)):  # libsvm leaves out the row of a vector's own type
            chosen = type_of_vector == own
            coefficients[row, chosen] = machine.dual_coef_[other - (other > own), chosen]
    network.set_machine(*map(torch.from_numpy, (machine.support_vectors_, coefficients, machine.intercept_)))


class _HeadOfDecisionValues(nn.Module):
    """The linear layer of a `SupportVectorClassifier`, as `Probe` fits one."""

    def __init__(self, network: SupportVectorClassifier) -> None:
        super().__init__()
        self.head = network.head

    def transform(self, values: torch.Tensor) -> torch.Tensor:
        return values

    def classify(self, values: torch.Tensor) -> torch.Tensor:
        return self.head(values)

    def regularized_parameters(self) -> list[torch.Tensor]:
        return [self.head.weight]
