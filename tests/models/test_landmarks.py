"""Nearness to landmarks is a Gaussian kernel machine, whatever the order of the recordings."""

import numpy as np
import pytest
import torch
from sklearn.svm import SVC

from birdnet_nl.models.landmarks import NystroemFeatures

RATE = 0.5


@pytest.fixture
def rows() -> torch.Tensor:
    return torch.randn(30, 6, generator=torch.Generator().manual_seed(1)).half().float() / 6**0.5


def kernel(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    return (-RATE * torch.cdist(first, second) ** 2).exp()


def placed(rows: torch.Tensor, count: int, others: torch.Tensor | None = None) -> NystroemFeatures:
    landmarks = NystroemFeatures(rows.shape[1], count, RATE)
    landmarks.place(rows, others)
    return landmarks


def test_where_every_recording_is_a_landmark_products_are_the_kernel(rows):
    near = placed(rows, 40)(rows)
    assert near.shape == (30, 40)
    torch.testing.assert_close(near @ near.T, kernel(rows, rows), atol=1e-3, rtol=0)


def test_a_machine_on_them_is_that_of_scikit_learn(rows):
    new = torch.randn(20, 6, generator=torch.Generator().manual_seed(2)) / 6**0.5
    truth = (rows.square().sum(dim=1) > rows.square().sum(dim=1).median()).numpy()  # no plane tells these apart
    landmarks = placed(rows, 30)
    ours = SVC(kernel="linear", C=10).fit(landmarks(rows).numpy(), truth).decision_function(landmarks(new).numpy())
    theirs = SVC(kernel="rbf", gamma=RATE, C=10).fit(rows.numpy(), truth).decision_function(new.numpy())
    np.testing.assert_allclose(ours, theirs, atol=2e-2)


def test_fewer_landmarks_than_recordings_come_near_the_kernel(rows):
    exact = kernel(rows, rows)
    error = {count: float((placed(rows, count)(rows).square().sum(1) - 1).abs().mean()) for count in (5, 15, 25)}
    assert error[5] > error[15] > error[25]
    assert error[25] < 0.05 < float((exact - torch.eye(30)).abs().mean())


def test_the_order_of_recordings_makes_no_difference_to_products(rows):
    order = torch.randperm(30, generator=torch.Generator().manual_seed(3))
    first, second = placed(rows, 12)(rows), placed(rows[order], 12)(rows)
    torch.testing.assert_close(first @ first.T, second @ second.T, atol=1e-3, rtol=0)


@pytest.mark.parametrize(("real", "others", "of_real"), [(30, 100, 20), (8, 100, 8), (30, 6, 34), (30, 0, 30)])
def test_at_least_half_of_the_landmarks_are_real_where_there_are_so_many(rows, real, others, of_real):
    beside = torch.full((others, 6), 9.0) + torch.arange(others)[:, None] if others else None
    points = placed(rows[:real], 40, beside).points.float()
    used = points[points.abs().sum(dim=1) > 0]
    assert int((used[:, 0] < 8).sum()) == min(real, of_real)
    assert len(used) == min(40, real + others)


def test_one_recording_and_recordings_all_alike_are_finite():
    for rows in (torch.ones(1, 6), torch.ones(5, 6)):
        assert torch.isfinite(placed(rows, 8)(rows)).all()


@pytest.mark.parametrize(
    ("count", "rate", "words"), [(1, 0.3, "landmarks=1"), (2.5, 0.3, "landmarks=2.5"), (8, 0, "kernel_rate=0")]
)
def test_what_is_no_number_of_landmarks_is_refused(count, rate, words):
    with pytest.raises(ValueError, match=f"model\\.{words} must be"):
        NystroemFeatures(6, count, rate)
