"""Classifier of whole recordings: pooling by hand, scaling, and Nyström features against exact kernels."""

import numpy as np
import pytest
import torch
from sklearn.svm import SVC

from birdnet_nl.models.recording_classifier import POOLINGS, NystroemFeatures, RecordingClassifier, RecordingPooling

BLOCKS, TYPES = [4, 2], 3
DIMENSIONS = sum(BLOCKS)
TYPICAL_VARIANCE, GAMMA = 0.8, 0.5


def segments(*lengths: int) -> tuple[torch.Tensor, torch.Tensor]:
    recordings = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    rows = torch.randn(len(recordings), 1 + DIMENSIONS, generator=torch.Generator().manual_seed(2))
    return rows.half(), recordings


@pytest.fixture
def network() -> RecordingClassifier:
    network = RecordingClassifier(TYPES, BLOCKS, ["mean", "std"], l2=1.0)
    network.fit_statistics(*segments(4, 4, 4))
    torch.nn.init.normal_(network.head.weight, generator=torch.Generator().manual_seed(1))
    return network.eval()


def pooling(*kinds: str, dimensions: int = 1 + DIMENSIONS) -> RecordingPooling:
    pooling = RecordingPooling(dimensions, kinds)
    pooling.typical_variance.fill_(TYPICAL_VARIANCE)
    return pooling


def test_pooling_gives_mean_and_shrunken_std_of_each_recording():
    rows, recordings = segments(4, 1, 7)
    rows = rows.float()
    pooled = pooling("std", "mean")(rows, recordings)
    for index in range(3):
        own = rows[recordings == index]
        squares = ((own - own.mean(dim=0)) ** 2).sum(dim=0)
        std = torch.sqrt((squares + 2 * TYPICAL_VARIANCE) / (len(own) + 1))
        torch.testing.assert_close(pooled[index], torch.cat([std, own.mean(dim=0)]), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", POOLINGS)
def test_the_pool_of_noise_does_not_depend_on_the_number_of_segments(kind):
    generator = torch.Generator().manual_seed(5)
    made = pooling(kind, dimensions=5)
    made.fit_statistics(torch.randn(3000, 5, generator=generator), torch.arange(3000) // 3)
    torch.testing.assert_close(made.typical_variance, torch.ones(5), atol=0.1, rtol=0)
    for count in (1, 2, 8):
        recordings = torch.arange(2000 * count) // count
        pooled = made(torch.randn(len(recordings), 5, generator=generator), recordings)
        assert pooled.mean().item() == pytest.approx(1.0 if kind == "std" else 0.0, abs=0.1)


@pytest.mark.parametrize("kinds", ["mean", [], ["mean", "median"]])
def test_other_poolings_are_refused(kinds):
    with pytest.raises(ValueError, match=r"^model\.pooling=.* must be a list with one or more of mean, std"):
        RecordingPooling(5, kinds)


def test_before_training_all_logits_are_zero():
    logits = RecordingClassifier(TYPES, BLOCKS, ["mean"], l2=1.0)(*segments(3, 2))
    torch.testing.assert_close(logits, torch.zeros(2, TYPES))


def test_a_prediction_depends_on_no_other_recording_of_the_batch_and_not_on_the_order_of_segments(network):
    rows, recordings = segments(5, 1, 9)
    together = network(rows, recordings)
    for index in range(3):
        own = rows[recordings == index]
        torch.testing.assert_close(network(own, torch.zeros(len(own), dtype=torch.int64))[0], together[index])
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(network(rows[order], recordings[order]), together)


def test_scaled_training_features_have_mean_zero_and_squares_that_sum_to_one(network):
    features = network.forward_features(*segments(*[3] * 40))
    network.fit_scaler(features)
    scaled = network.transform(features)
    assert features.shape == (40, network.num_features)
    torch.testing.assert_close(scaled.mean(dim=0), torch.zeros(network.num_features), atol=1e-5, rtol=0)
    squares = scaled.square().mean(dim=0).unflatten(0, (2, DIMENSIONS))  # [poolings, dimensions]
    assert squares[:, :4].sum() == pytest.approx(0.5, rel=1e-4)  # each block half of it, whatever its size
    assert squares[:, 4:].sum() == pytest.approx(0.5, rel=1e-4)


def test_a_constant_feature_gives_finite_logits(network):
    rows, recordings = segments(3, 3)
    rows[:, 2] = 1.0
    network.fit_scaler(network.forward_features(rows, recordings))
    assert torch.isfinite(network(rows, recordings)).all()


def test_the_species_score_is_a_block_of_its_own_where_it_is_asked_for():
    rows, recordings = segments(*[3] * 40)
    without, with_score = (
        RecordingClassifier(TYPES, BLOCKS, ["mean"], 1.0, species_score=used) for used in (False, True)
    )
    assert (without.num_features, with_score.num_features) == (DIMENSIONS, 1 + DIMENSIONS)
    features = with_score.forward_features(rows, recordings)
    torch.testing.assert_close(features[:, 1:], without.forward_features(rows, recordings))
    torch.testing.assert_close(features[:, 0], rows[:, 0].float().unflatten(0, (40, 3)).mean(dim=1))
    with_score.fit_scaler(features)
    assert with_score.transform(features)[:, 0].square().mean() == pytest.approx(1 / 3, rel=1e-4)


def test_landmarks_are_chosen_among_training_recordings_and_stored_with_the_weights():
    rows, recordings = segments(*[3] * 40)
    network, loaded = (RecordingClassifier(TYPES, BLOCKS, ["mean", "std"], 1.0, landmarks=16) for _ in range(2))
    features = network.forward_features(rows, recordings)
    network.fit_scaler(features)
    network.fit_landmarks(features, None)
    torch.nn.init.normal_(network.head.weight, generator=torch.Generator().manual_seed(1))
    loaded.load_state_dict(network.state_dict())
    torch.testing.assert_close(loaded(rows, recordings), network(rows, recordings))
    assert network.landmarks.points.abs().sum(dim=1).gt(0).all()


def test_an_l2_of_zero_is_refused():
    with pytest.raises(ValueError, match=r"model\.l2=0 must be above 0"):
        RecordingClassifier(TYPES, BLOCKS, ["mean"], l2=0)


@pytest.fixture
def rows() -> torch.Tensor:
    return torch.randn(30, 6, generator=torch.Generator().manual_seed(1)).half().float() / 6**0.5


def nystroem(rows: torch.Tensor, count: int, others: torch.Tensor | None = None) -> NystroemFeatures:
    features = NystroemFeatures(rows.shape[1], count, GAMMA)
    features.fit(rows, others)
    return features


def test_with_every_recording_as_landmark_products_are_the_kernel(rows):
    features = nystroem(rows, 40)(rows)
    assert features.shape == (30, 40)
    kernel = (-GAMMA * torch.cdist(rows, rows) ** 2).exp()
    torch.testing.assert_close(features @ features.T, kernel, atol=1e-3, rtol=0)


def test_a_linear_machine_on_the_features_is_scikit_learns_kernel_machine(rows):
    new = torch.randn(20, 6, generator=torch.Generator().manual_seed(2)) / 6**0.5
    truth = (rows.square().sum(dim=1) > rows.square().sum(dim=1).median()).numpy()  # not linearly separable
    features = nystroem(rows, 30)
    ours = SVC(kernel="linear", C=10).fit(features(rows).numpy(), truth).decision_function(features(new).numpy())
    theirs = SVC(kernel="rbf", gamma=GAMMA, C=10).fit(rows.numpy(), truth).decision_function(new.numpy())
    np.testing.assert_allclose(ours, theirs, atol=2e-2)


def test_the_approximation_improves_with_the_number_of_landmarks(rows):
    error = {count: float((nystroem(rows, count)(rows).square().sum(1) - 1).abs().mean()) for count in (5, 15, 25)}
    assert error[5] > error[15] > error[25] and error[25] < 0.05


def test_the_order_of_recordings_does_not_change_products_of_features(rows):
    order = torch.randperm(30, generator=torch.Generator().manual_seed(3))
    first, second = nystroem(rows, 12)(rows), nystroem(rows[order], 12)(rows)
    torch.testing.assert_close(first @ first.T, second @ second.T, atol=1e-3, rtol=0)


@pytest.mark.parametrize(("real", "others", "expected"), [(30, 100, 20), (8, 100, 8), (30, 6, 30), (30, 0, 30)])
def test_at_least_half_of_the_landmarks_are_real_where_there_are_so_many(rows, real, others, expected):
    distant = torch.full((others, 6), 9.0) + torch.arange(others)[:, None] if others else None
    points = nystroem(rows[:real], 40, distant).points.float()
    used = points[points.abs().sum(dim=1) > 0]
    assert int((used[:, 0] < 8).sum()) == expected
    assert len(used) == min(40, real + others)


@pytest.mark.parametrize("rows", [torch.ones(1, 6), torch.ones(5, 6)])
def test_one_recording_and_identical_recordings_give_finite_features(rows):
    assert torch.isfinite(nystroem(rows, 8)(rows)).all()


@pytest.mark.parametrize(
    ("count", "gamma", "key"), [(1, 0.3, "landmarks=1"), (2.5, 0.3, "landmarks=2.5"), (8, 0, "gamma=0")]
)
def test_impossible_landmarks_are_refused(count, gamma, key):
    with pytest.raises(ValueError, match=f"model\\.{key} must be"):
        NystroemFeatures(6, count, gamma)
