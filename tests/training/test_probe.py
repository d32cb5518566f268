"""A fit is the optimum that scikit-learn finds; a head is held to its trunk, and equals training it in place."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from birdnet_nl.models.recording_classifier import RecordingClassifier
from birdnet_nl.models.residual_head import ResidualHead
from birdnet_nl.training.probe import Beside, aligning, fit

COMPACT = {"_target_": "birdnet_nl.models.compact_cnn.CompactCnn", "types": 3, "channels": [4, 6], "dropout": 0.3}


@pytest.fixture
def bags() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Forty recordings of one to five segments; features [segments, 1 + 8], recordings, types of the recordings."""
    rng = np.random.default_rng(1)
    lengths = rng.integers(1, 6, 40)
    truth = rng.integers(0, 3, 40)
    recordings = np.repeat(np.arange(40), lengths)
    rows = rng.normal(size=(len(recordings), 9))
    rows[:, 1:4] += 1.5 * np.eye(3)[truth[recordings]]
    return torch.tensor(rows, dtype=torch.float32), torch.tensor(recordings), torch.tensor(truth)


@pytest.mark.parametrize("penalty", [0.1, 1.0, 30.0])
def test_a_fit_is_logistic_regression(bags, l2):
    segments, recordings, truth = bags
    network = RecordingClassifier(3, [8], ["mean", "maximum"], l2)
    fit(network, lambda: network.features(segments, recordings), truth, nn.CrossEntropyLoss())
    scaled = ((network.features(segments, recordings) - network.shift) * network.scale).numpy()
    theirs = LogisticRegression(C=1 / l2, tol=1e-8, max_iter=5000).fit(scaled, truth)
    ours = network(segments, recordings).softmax(dim=1).detach().numpy()
    np.testing.assert_allclose(ours, theirs.predict_proba(scaled), atol=2e-3)


def test_the_order_of_recordings_does_not_change_a_fit(bags):
    segments, recordings, truth = bags
    answers = []
    for order in (torch.arange(40), torch.randperm(40, generator=torch.Generator().manual_seed(2))):
        place = torch.empty(40, dtype=torch.int64)
        place[order] = torch.arange(40)
        network = RecordingClassifier(3, [8], ["mean"], 1.0)
        moved = place[recordings]
        fit(network, lambda: network.features(segments, moved), truth[order], nn.CrossEntropyLoss())  # noqa: B023
        answers.append(network(segments, recordings))
    torch.testing.assert_close(*answers, atol=1e-3, rtol=1e-3)


def test_attention_learns_which_segments_matter():
    """One segment of six tells the type and carries a mark; the others say something else, at random."""
    rng = np.random.default_rng(3)
    truth, recordings = np.arange(120) % 3, np.repeat(np.arange(120), 6)
    rows = np.zeros((720, 5))
    rows[:, 1:4] = np.eye(3)[rng.integers(0, 3, 720)]
    rows[::6, 1:4], rows[::6, 4] = np.eye(3)[truth], 1
    segments, recordings = torch.tensor(rows, dtype=torch.float32), torch.tensor(recordings)
    right = {}
    for kind in ("mean", "attention"):
        network = RecordingClassifier(3, [4], [kind], 0.05)
        fit(network, lambda: network.features(segments, recordings), torch.tensor(truth), nn.CrossEntropyLoss())  # noqa: B023
        right[kind] = float((network(segments, recordings).argmax(dim=1) == torch.tensor(truth)).float().mean())
    assert right["attention"] > 0.95 > right["mean"]
    weights = network.pooling.weights(segments[:, 1:], segments[:, 0], recordings)
    assert weights[::6].mean() > 0.5


def right_by_length(pooling: list[str]) -> float:
    """Balanced accuracy on new recordings of noise, where songs are long and alarms are short."""
    generator = torch.Generator().manual_seed(6)
    longest = torch.tensor([20, 8, 2])

    def noise(per_type: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        truth = torch.arange(3 * per_type) % 3
        lengths = 1 + (torch.rand(len(truth), generator=generator) * longest[truth]).long()
        recordings = torch.arange(len(truth)).repeat_interleave(lengths)
        return torch.randn(len(recordings), 9, generator=generator), recordings, truth

    segments, recordings, truth = noise(60)
    network = RecordingClassifier(3, [8], pooling, 0.3)
    network.fit_statistics(segments, recordings)
    fit(network, lambda: network.features(segments, recordings), truth, nn.CrossEntropyLoss())
    segments, recordings, truth = noise(200)
    return float((network(segments, recordings).argmax(dim=1) == truth).float().mean())


def test_the_length_of_a_recording_does_not_give_its_type_away():
    assert right_by_length(["present_mean", "deviation"]) < 0.40
    assert right_by_length(["maximum"]) > 0.50  # that such a leak would be seen here


def headed(l2: float) -> ResidualHead:
    torch.manual_seed(4)
    network = ResidualHead(3, COMPACT, sharpness=0.5, l2=l2)
    nn.init.normal_(network.base.head.weight)
    return network.train()


@pytest.fixture
def mels() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    truth = torch.arange(30) % 3
    return torch.randn(30, 1, 16, 32, generator=generator) + truth[:, None, None, None], truth


def test_a_new_head_changes_nothing_but_the_trunks_temperature(mels):
    network = headed(1.0)
    with torch.no_grad():
        torch.testing.assert_close(network(mels[0]), 0.5 * network.base(mels[0]))


def test_a_head_that_is_kept_still_answers_as_its_trunk(mels):
    network = headed(0.01)
    network.head.requires_grad_(False)
    fit(network, lambda: network.features(mels[0]), mels[1], nn.CrossEntropyLoss())
    with torch.no_grad():
        torch.testing.assert_close(network(mels[0]), 0.5 * network.base(mels[0]))


def test_the_larger_the_penalty_the_closer_the_answer_stays_to_the_trunks(mels):
    distances = []
    for l2 in (0.01, 1.0, 100.0, 1e6):
        network = headed(l2)
        fit(network, lambda: network.features(mels[0]), mels[1], nn.CrossEntropyLoss())  # noqa: B023
        with torch.no_grad():
            distances.append(float((network(mels[0]) - 0.5 * network.base(mels[0])).abs().mean()))
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] < 1e-4 < distances[0]


def test_a_head_on_kept_features_equals_training_it_in_place(mels):
    """In place: every step goes through the frozen trunk again, by plain gradient descent."""
    kept, in_place = headed(1.0), headed(1.0)
    fit(kept, lambda: kept.features(mels[0]), mels[1], nn.CrossEntropyLoss())
    trunk_before = {name: value.clone() for name, value in in_place.base.state_dict().items()}
    in_place.fit_scaler(in_place.features(mels[0]))
    solver = torch.optim.SGD([weights for weights in in_place.parameters() if weights.requires_grad], lr=0.5)
    for _ in range(3000):
        solver.zero_grad()
        squares = sum(weights.square().sum() for weights in in_place.penalised())
        loss = nn.functional.cross_entropy(in_place(mels[0]), mels[1]) + in_place.l2 * squares / (2 * len(mels[1]))
        loss.backward()
        solver.step()
    torch.testing.assert_close(kept(mels[0]), in_place(mels[0]), atol=1e-3, rtol=1e-3)
    for name, value in in_place.base.state_dict().items():
        torch.testing.assert_close(value, trunk_before[name], msg=f"{name} of the frozen trunk changed")


def test_a_penalty_must_be_above_zero():
    with pytest.raises(ValueError, match=r"model\.penalty=0 must be above 0"):
        ResidualHead(3, COMPACT, sharpness=1.0, l2=0)


def test_invented_recordings_are_weighed_rows_of_the_same_regression(bags):
    segments, recordings, truth = bags
    rng = np.random.default_rng(5)
    invented_truth = np.arange(90) % 3
    invented = rng.normal(3.0, 5.0, size=(90, 17))  # another place and spread than those of the real ones
    invented[:, :3] += 9 * np.eye(3)[invented_truth]
    invented = torch.tensor(invented[:, :16], dtype=torch.float32)
    network = RecordingClassifier(3, [8], ["mean", "maximum"], 0.5)
    practice = Beside(lambda: invented, torch.tensor(invented_truth), 2.0, aligned=True)
    fit(network, lambda: network.features(segments, recordings), truth, nn.CrossEntropyLoss(), [practice])
    real = network.features(segments, recordings)
    moved = (invented - invented.mean(0)) / invented.std(0, correction=0) * real.std(0, correction=0) + real.mean(0)
    rows = ((torch.cat([real, moved]) - network.shift) * network.scale).numpy()
    weights = np.concatenate([np.ones(40), np.full(90, 2.0 * 40 / 90)])
    theirs = LogisticRegression(C=1 / 0.5, tol=1e-8, max_iter=5000)
    theirs.fit(rows, np.concatenate([truth, invented_truth]), sample_weight=weights)
    ours = network(segments, recordings).softmax(dim=1).detach().numpy()
    np.testing.assert_allclose(ours, theirs.predict_proba(rows[:40]), atol=2e-3)


def test_recordings_of_several_types_are_learned_as_a_share_of_each(bags):
    """As scikit-learn has it with a row for each type that a recording names, of half the weight."""
    segments, recordings, truth = bags
    own, weights = (segments[recordings >= 30], recordings[recordings >= 30] - 30), torch.tensor([1.0, 2.0, 0.5])
    segments, recordings, truth = segments[recordings < 30], recordings[recordings < 30], truth[:30]
    shares = torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.5, 0.5]] * 5)
    network = RecordingClassifier(3, [8], ["mean"], 0.5)
    multilabel = Beside(lambda: network.features(*own), shares, 0.7 * 10 / 30, aligned=False)
    loss = nn.CrossEntropyLoss(weight=weights)
    fit(network, lambda: network.features(segments, recordings), truth, loss, [multilabel])
    scale = lambda rows: ((rows - network.shift) * network.scale).numpy()  # noqa: E731
    rows, others = scale(network.features(segments, recordings)), scale(network.features(*own))
    first, second = shares.argmax(dim=1), 2 - shares.flip(1).argmax(dim=1)
    of_rows = (
        weights[truth] * 30 / weights[truth].sum()
    )  # torch divides by the sum of the weights, where types are given
    theirs = LogisticRegression(C=1 / 0.5, tol=1e-8, max_iter=5000)
    theirs.fit(
        np.concatenate([rows, others, others]),
        torch.cat([truth, first, second]).numpy(),
        sample_weight=torch.cat([of_rows, 0.35 * weights[first], 0.35 * weights[second]]).numpy(),
    )
    ours = network(segments, recordings).softmax(dim=1).detach().numpy()
    np.testing.assert_allclose(ours, theirs.predict_proba(rows), atol=2e-3)


def test_landmarks_learn_what_no_plane_tells_apart():
    """Songs in the middle, calls around them."""
    rows = torch.randn(240, 3, generator=torch.Generator().manual_seed(7))
    truth = (rows[:, 1:3].norm(dim=1) > 1.2).long()
    alone, right = torch.arange(120), {}
    for landmarks in (0, 60):
        network = RecordingClassifier(2, [2], ["mean"], 0.05, landmarks=landmarks, gamma=1.0)
        fit(network, lambda: network.features(rows[:120], alone), truth[:120], nn.CrossEntropyLoss())  # noqa: B023
        right[landmarks] = float((network(rows[120:], alone).argmax(dim=1) == truth[120:]).float().mean())
    assert right[60] > 0.85 > right[0]


def test_a_column_that_never_changes_among_invented_ones_says_nothing():
    real = torch.tensor([[1.0, 2.0], [3.0, 6.0]])
    invented = torch.tensor([[7.0, 5.0], [7.0, 9.0], [7.0, 7.0]])
    moved = aligning(invented, real)(invented)
    assert torch.isfinite(moved).all()
    torch.testing.assert_close(moved[:, 0], torch.full((3,), 2.0))
    torch.testing.assert_close(moved.mean(dim=0), real.mean(dim=0))
    torch.testing.assert_close(moved[:, 1].std(correction=0), real[:, 1].std(correction=0))
