"""A probe is the optimum that scikit-learn finds; a head is held to its base, and equals training it in place."""

from functools import partial

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from birdnet_nl.models.recording_classifier import RecordingClassifier
from birdnet_nl.models.residual_head import ResidualHead
from birdnet_nl.training.checkpoint import DivergedError
from birdnet_nl.training.probe import EmbeddingClassifier, Probe, align

COMPACT = {"_target_": "birdnet_nl.models.compact_cnn.CompactCnn", "types": 3, "channels": [4, 6], "dropout": 0.3}


@pytest.fixture
def bags() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Forty recordings of one to five segments: embeddings [segments, 1 + 8], recordings, types of the segments."""
    rng = np.random.default_rng(1)
    lengths, types = rng.integers(1, 6, 40), rng.integers(0, 3, 40)
    recordings = np.repeat(np.arange(40), lengths)
    rows = rng.normal(size=(len(recordings), 9))
    rows[:, 1:4] += 1.5 * np.eye(3)[types[recordings]]
    return torch.tensor(rows, dtype=torch.float32), torch.tensor(types[recordings]), torch.tensor(recordings)


def of_recordings(types: torch.Tensor, recordings: torch.Tensor) -> torch.Tensor:
    return torch.stack([types[recordings == index][0] for index in range(int(recordings.max()) + 1)])


def classifier(
    class_weights=(1.0, 1.0, 1.0), synthetic=None, synthetic_weight=1.0, multilabel=None, multilabel_weight=1.0
) -> EmbeddingClassifier:
    """The LightningModule with what it otherwise reads from its DataModule."""
    network = partial(RecordingClassifier, blocks=[8], pooling=["mean"], l2=1.0)
    module = EmbeddingClassifier(network, synthetic_weight=synthetic_weight)
    module.types, module.class_weights = ["song", "call", "alarm"], torch.tensor(class_weights)
    module.synthetic_batch, module.multilabel_batch = synthetic, multilabel
    module.multilabel_weight = multilabel_weight
    return module


def scaled(network: RecordingClassifier, features: torch.Tensor) -> np.ndarray:
    return network.transform(features).numpy()


@pytest.mark.parametrize("l2", [0.1, 1.0, 30.0])
def test_a_fit_is_logistic_regression(bags, l2):
    segments, types, recordings = bags
    network = RecordingClassifier(3, [8], ["mean", "std"], l2)
    classifier()._fit(network, bags)
    rows = scaled(network, network.forward_features(segments, recordings))
    reference = LogisticRegression(C=1 / l2, tol=1e-8, max_iter=5000).fit(rows, of_recordings(types, recordings))
    probabilities = network(segments, recordings).softmax(dim=1).detach().numpy()
    np.testing.assert_allclose(probabilities, reference.predict_proba(rows), atol=2e-3)


def test_a_recording_of_half_the_weight_twice_is_a_recording(bags):
    segments, types, recordings = bags
    count = int(recordings.max()) + 1
    again = recordings < 3
    twice = (
        torch.cat([segments, segments[again]]),
        torch.cat([types, types[again]]),
        torch.cat([recordings, recordings[again] + count]),
    )
    weights = torch.ones(count + 3)
    weights[:3] = weights[count:] = 0.5
    (once_targets, once), (targets, weighted) = (
        classifier(class_weights=(1.0, 2.0, 3.0)).hard_targets(of_recordings(*batch[1:]), relative)
        for batch, relative in ((bags, None), (twice, weights))
    )
    torch.testing.assert_close(weighted[:3] + weighted[count:], once[:3])
    torch.testing.assert_close(weighted[3:count], once[3:])
    assert torch.equal(targets[:count], once_targets)
    networks = [RecordingClassifier(3, [8], ["mean"], 1.0) for _ in range(2)]
    classifier()._fit(networks[0], bags)
    classifier()._fit(networks[1], bags, torch.full((count,), 0.1))  # all alike: less against the penalty
    assert networks[1].head.weight.norm() < networks[0].head.weight.norm()


def test_the_order_of_recordings_does_not_change_a_fit(bags):
    segments, types, recordings = bags
    logits = []
    for order in (torch.arange(40), torch.randperm(40, generator=torch.Generator().manual_seed(2))):
        place = torch.empty(40, dtype=torch.int64)
        place[order] = torch.arange(40)
        network = RecordingClassifier(3, [8], ["mean"], 1.0)
        classifier()._fit(network, (segments, types, place[recordings]))
        logits.append(network(segments, recordings))
    torch.testing.assert_close(*logits, atol=1e-3, rtol=1e-3)


def test_the_length_of_a_recording_does_not_reveal_its_type():
    """Balanced accuracy on new recordings of noise, where songs are long and alarms are short."""
    generator, longest = torch.Generator().manual_seed(6), torch.tensor([20, 8, 2])

    def noise(per_type: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        types = torch.arange(3 * per_type) % 3
        lengths = 1 + (torch.rand(len(types), generator=generator) * longest[types]).long()
        recordings = torch.arange(len(types)).repeat_interleave(lengths)
        return torch.randn(len(recordings), 9, generator=generator), types[recordings], recordings

    network = RecordingClassifier(3, [8], ["mean", "std"], 0.3)
    classifier()._fit(network, noise(60))
    segments, types, recordings = noise(200)
    right = network(segments, recordings).argmax(dim=1) == of_recordings(types, recordings)
    assert float(right.float().mean()) < 0.40


def test_synthetic_recordings_are_weighted_rows_of_the_same_regression(bags):
    segments, types, recordings = bags
    rng = np.random.default_rng(5)
    synthetic_types = torch.arange(90) % 3
    rows = rng.normal(3.0, 5.0, size=(90, 9))  # another location and scale than the real ones
    rows[:, 1:4] += 9 * np.eye(3)[synthetic_types]
    synthetic = (torch.tensor(rows, dtype=torch.float32), synthetic_types, torch.arange(90))
    network = RecordingClassifier(3, [8], ["mean"], 0.5)
    classifier(synthetic=synthetic, synthetic_weight=2.0)._fit(network, bags)
    real = network.forward_features(segments, recordings)
    aligned = align(network.forward_features(synthetic[0], synthetic[2]), real)
    weights = np.concatenate([np.ones(40), np.full(90, 2.0 * 40 / 90)])
    reference = LogisticRegression(C=1 / 0.5, tol=1e-8, max_iter=5000)
    reference.fit(
        scaled(network, torch.cat([real, aligned])),
        np.concatenate([of_recordings(types, recordings), synthetic_types]),
        sample_weight=weights,
    )
    probabilities = network(segments, recordings).softmax(dim=1).detach().numpy()
    np.testing.assert_allclose(probabilities, reference.predict_proba(scaled(network, real)), atol=2e-3)


def test_a_type_without_synthetic_recordings_weighs_as_much_as_the_others(bags):
    """As in scikit-learn with weights that sum to the same for each type, which is no song, call or alarm."""
    segments, types, recordings = bags
    rng = np.random.default_rng(5)
    synthetic_types = torch.arange(60) % 2  # none of the third type, and of the others not equally many
    synthetic_types[:20] = 0
    synthetic = (torch.tensor(rng.normal(size=(60, 9)), dtype=torch.float32), synthetic_types, torch.arange(60))
    single = of_recordings(types, recordings)
    counts = torch.bincount(single).float()
    network = RecordingClassifier(3, [8], ["mean"], 0.5)
    balanced = (40 / (3 * counts)).tolist()
    classifier(balanced, synthetic=synthetic)._fit(network, bags)
    real = network.forward_features(segments, recordings)
    aligned = align(network.forward_features(synthetic[0], synthetic[2]), real)
    of_real = torch.tensor([1.0, 1.0, 2.0])[single] / counts[single]
    of_synthetic = 1 / torch.bincount(synthetic_types)[synthetic_types].float()
    reference = LogisticRegression(C=1 / 0.5, tol=1e-8, max_iter=5000)
    reference.fit(
        scaled(network, torch.cat([real, aligned])),
        np.concatenate([single, synthetic_types]),
        sample_weight=(torch.cat([of_real, of_synthetic]) * 40 / 3).numpy(),
    )
    probabilities = network(segments, recordings).softmax(dim=1).detach().numpy()
    np.testing.assert_allclose(probabilities, reference.predict_proba(scaled(network, real)), atol=2e-3)


def test_recordings_of_several_types_are_a_share_of_each(bags):
    """As in scikit-learn with a row for each type that a recording names, of half the weight."""
    segments, types, recordings = bags
    weights, later = torch.tensor([1.0, 2.0, 0.5]), recordings >= 30
    shares = torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.5, 0.5]] * 5)
    multilabel = (segments[later], shares, recordings[later] - 30)
    batch = (segments[~later], types[~later], recordings[~later])
    network = RecordingClassifier(3, [8], ["mean"], 0.5)
    classifier(weights.tolist(), multilabel=multilabel, multilabel_weight=0.7)._fit(network, batch)
    rows = scaled(network, network.forward_features(batch[0], batch[2]))
    others = scaled(network, network.forward_features(multilabel[0], multilabel[2]))
    first, second = shares.argmax(dim=1), 2 - shares.flip(1).argmax(dim=1)
    single = of_recordings(batch[1], batch[2])
    of_rows = weights[single] * 30 / weights[single].sum()  # torch divides by the sum of the weights of type indices
    reference = LogisticRegression(C=1 / 0.5, tol=1e-8, max_iter=5000)
    reference.fit(
        np.concatenate([rows, others, others]),
        torch.cat([single, first, second]).numpy(),
        sample_weight=torch.cat([of_rows, 0.35 * weights[first], 0.35 * weights[second]]).numpy(),
    )
    probabilities = network(batch[0], batch[2]).softmax(dim=1).detach().numpy()
    np.testing.assert_allclose(probabilities, reference.predict_proba(rows), atol=2e-3)


def test_nystroem_features_separate_what_no_plane_does():
    """Songs in the middle, calls around them."""
    rows = torch.randn(240, 3, generator=torch.Generator().manual_seed(7))
    types, alone, right = (rows[:, 1:3].norm(dim=1) > 1.2).long(), torch.arange(120), {}
    for landmarks in (0, 60):
        network = RecordingClassifier(3, [2], ["mean"], 0.05, landmarks=landmarks, gamma=1.0)
        classifier()._fit(network, (rows[:120], types[:120], alone))
        right[landmarks] = float((network(rows[120:], alone).argmax(dim=1) == types[120:]).float().mean())
    assert right[60] > 0.85 > right[0]


def test_a_constant_column_of_the_synthetic_recordings_stays_finite():
    real = torch.tensor([[1.0, 2.0], [3.0, 6.0]])
    aligned = align(torch.tensor([[7.0, 5.0], [7.0, 9.0], [7.0, 7.0]]), real)
    assert torch.isfinite(aligned).all()
    torch.testing.assert_close(aligned[:, 0], torch.full((3,), 2.0))
    torch.testing.assert_close(aligned.mean(dim=0), real.mean(dim=0))
    torch.testing.assert_close(aligned[:, 1].std(correction=0), real[:, 1].std(correction=0))


def head(l2: float) -> ResidualHead:
    torch.manual_seed(4)
    network = ResidualHead(3, COMPACT, logit_scale=0.5, l2=l2)
    nn.init.normal_(network.base.head.weight)
    return network.train()


def fit_head(network: ResidualHead, mel: torch.Tensor, types: torch.Tensor) -> None:
    with torch.no_grad():
        features = network.forward_features(mel)
        network.fit_scaler(features)
    targets = nn.functional.one_hot(types, 3).float()
    Probe(network).fit(features, targets, torch.tensor(1 / len(types)), network.l2 / len(types))


@pytest.fixture
def mels() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    types = torch.arange(30) % 3
    return torch.randn(30, 1, 16, 32, generator=generator) + types[:, None, None, None], types


@pytest.mark.parametrize("trainable", [True, False])
def test_a_head_without_a_fit_predicts_as_its_base(mels, trainable):
    network = head(0.01)
    if not trainable:
        network.head.requires_grad_(False)
        fit_head(network, *mels)
    with torch.no_grad():
        torch.testing.assert_close(network(mels[0]), 0.5 * network.base(mels[0]))


def test_the_larger_l2_the_closer_a_head_stays_to_its_base(mels):
    distances = []
    for l2 in (0.01, 1.0, 100.0, 1e6):
        network = head(l2)
        fit_head(network, *mels)
        with torch.no_grad():
            distances.append(float((network(mels[0]) - 0.5 * network.base(mels[0])).abs().mean()))
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] < 1e-4 < distances[0]


def test_a_head_on_features_equals_training_it_in_place(mels):
    """In place: every step goes through the frozen base again, by plain gradient descent."""
    fitted, in_place = head(1.0), head(1.0)
    fit_head(fitted, *mels)
    before = {name: value.clone() for name, value in in_place.base.state_dict().items()}
    in_place.fit_scaler(in_place.forward_features(mels[0]))
    solver = torch.optim.SGD([weights for weights in in_place.parameters() if weights.requires_grad], lr=0.5)
    for _ in range(600):
        solver.zero_grad()
        squares = sum(weights.square().sum() for weights in in_place.regularized_parameters())
        loss = nn.functional.cross_entropy(in_place(mels[0]), mels[1]) + in_place.l2 * squares / (2 * len(mels[1]))
        loss.backward()
        solver.step()
    torch.testing.assert_close(fitted(mels[0]), in_place(mels[0]), atol=1e-3, rtol=1e-3)
    for name, value in in_place.base.state_dict().items():
        torch.testing.assert_close(value, before[name], msg=f"{name} of the frozen base changed")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_features_that_are_no_finite_numbers_are_not_fitted(bags, value):
    segments, types, recordings = bags
    segments = segments.clone()
    segments[7, 3] = value
    network = RecordingClassifier(3, [8], ["mean"], 1.0)
    with pytest.raises(DivergedError, match="a feature of the classifier on embeddings is no longer a finite number"):
        classifier()._fit(network, (segments, types, recordings))


@pytest.mark.parametrize("landmarks", [0, 16])
def test_constant_features_give_finite_weights(bags, landmarks):
    _, types, recordings = bags
    network = RecordingClassifier(3, [8], ["mean", "std"], 1.0, landmarks=landmarks)
    constant = torch.ones(len(types), 9)
    classifier()._fit(network, (constant, types, recordings))
    assert network(constant, recordings).isfinite().all()


def test_a_fit_that_diverges_is_one_sentence(bags):
    module = classifier(class_weights=(1e38, 1e38, 1e38))
    network = RecordingClassifier(3, [8], ["mean"], 1.0)
    module.hard_targets = lambda types, weights: (torch.full((40, 3), 1e30), torch.full((40, 3), 1e30))
    with pytest.raises(DivergedError, match=r"(weight|step) of the classifier on embeddings is no"):
        module._fit(network, bags)
