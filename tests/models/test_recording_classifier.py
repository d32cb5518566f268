"""A bag network decides on whole recordings: their order, their company and their number of segments do not matter."""

import pytest
import torch

from birdnet_nl.models.recording_classifier import RecordingClassifier

BLOCKS, TYPES = [4, 2], 3
DIMENSIONS = sum(BLOCKS)


@pytest.fixture
def network() -> RecordingClassifier:
    made = RecordingClassifier(TYPES, BLOCKS, ["present_mean", "maximum"], l2=1.0)
    torch.nn.init.normal_(made.head.weight, generator=torch.Generator().manual_seed(1))
    return made.eval()


def segments(*lengths: int) -> tuple[torch.Tensor, torch.Tensor]:
    recordings = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    rows = torch.randn(len(recordings), 1 + DIMENSIONS, generator=torch.Generator().manual_seed(2))
    return rows.half(), recordings


def test_before_training_nothing_is_said_for_any_type():
    logits = RecordingClassifier(TYPES, BLOCKS, ["mean"], l2=1.0)(*segments(3, 2))
    torch.testing.assert_close(logits, torch.zeros(2, TYPES))


def test_a_recording_is_answered_alike_whatever_else_is_in_the_batch(network):
    rows, recordings = segments(5, 1, 9)
    together = network(rows, recordings)
    for index in range(3):
        own = rows[recordings == index]
        torch.testing.assert_close(network(own, torch.zeros(len(own), dtype=torch.int64))[0], together[index])


def test_the_order_of_segments_does_not_matter(network):
    rows, recordings = segments(5, 1, 9)
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(network(rows[order], recordings[order]), network(rows, recordings))


def test_features_of_the_training_recordings_come_around_zero_with_squares_that_sum_to_one(network):
    features = network.features(*segments(*[3] * 40))
    network.fit_scaler(features)
    scaled = (features - network.shift) * network.scale
    assert features.shape == (40, network.num_features)
    torch.testing.assert_close(scaled.mean(dim=0), torch.zeros(network.num_features), atol=1e-5, rtol=0)
    squares = scaled.square().mean(dim=0).unflatten(0, (2, DIMENSIONS))  # [poolings, dimensions]
    assert squares[:, :4].sum() == pytest.approx(0.5, rel=1e-4)  # each block half of it, whatever its size
    assert squares[:, 4:].sum() == pytest.approx(0.5, rel=1e-4)


def test_a_feature_that_never_changes_does_no_harm(network):
    rows, recordings = segments(3, 3)
    rows[:, 2] = 1.0
    network.fit_scaler(network.features(rows, recordings))
    assert torch.isfinite(network(rows, recordings)).all()


def test_presence_is_a_block_of_its_own_where_it_is_asked_for():
    rows, recordings = segments(*[3] * 40)
    deaf, hearing = (
        RecordingClassifier(TYPES, BLOCKS, ["mean"], 1.0, species_score=wanted) for wanted in (False, True)
    )
    assert (deaf.num_features, hearing.num_features) == (DIMENSIONS, 1 + DIMENSIONS)
    features = hearing.features(rows, recordings)
    torch.testing.assert_close(features[:, 1:], deaf.features(rows, recordings))
    torch.testing.assert_close(features[:, 0], rows[:, 0].float().unflatten(0, (40, 3)).mean(dim=1))
    hearing.fit_scaler(features)
    assert ((features[:, 0] - hearing.shift[0]) * hearing.scale[0]).square().mean() == pytest.approx(1 / 3, rel=1e-4)


def test_landmarks_are_placed_among_training_recordings_and_kept_with_the_weights():
    rows, recordings = segments(*[3] * 40)
    network = RecordingClassifier(TYPES, BLOCKS, ["mean", "deviation"], 1.0, landmarks=16)
    features = network.features(rows, recordings)
    network.fit_scaler(features)
    network.fit_landmarks(features, None)
    torch.nn.init.normal_(network.head.weight, generator=torch.Generator().manual_seed(1))
    again = RecordingClassifier(TYPES, BLOCKS, ["mean", "deviation"], 1.0, landmarks=16)
    again.load_state_dict(network.state_dict())
    torch.testing.assert_close(again(rows, recordings), network(rows, recordings))
    assert network.landmarks.points.abs().sum(dim=1).gt(0).all()


def test_a_penalty_must_be_above_zero():
    with pytest.raises(ValueError, match=r"model\.penalty=0 must be above 0"):
        RecordingClassifier(TYPES, BLOCKS, ["mean"], l2=0)
