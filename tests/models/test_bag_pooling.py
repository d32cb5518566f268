"""Segments to one vector per recording: as arithmetic by hand says, whatever the order, the number and the company."""

import pytest
import torch

from birdnet_nl.models.bag_pooling import KINDS, RecordingPooling

USUAL = 0.8
BAGS = [4, 1, 7]  # segments of three recordings, one of them with a single segment


@pytest.fixture
def bags() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    recordings = torch.repeat_interleave(torch.arange(len(BAGS)), torch.tensor(BAGS))
    segments = torch.randn(len(recordings), 5, generator=generator)
    return segments, torch.randn(len(recordings), generator=generator), recordings


def pooling(*kinds: str, dimensions: int = 5) -> RecordingPooling:
    made = RecordingPooling(dimensions, kinds)
    made.usual_variance.fill_(USUAL)
    if made.learns:
        torch.nn.init.normal_(made.score.weight, generator=torch.Generator().manual_seed(2))
    return made


def by_hand(kind: str, segments: torch.Tensor, species_score: torch.Tensor, score: torch.Tensor) -> torch.Tensor:
    """One recording by itself."""
    heard = 1 / (1 + torch.exp(-species_score)) + 0.01
    return {
        "mean": lambda: segments.mean(dim=0),
        "maximum": lambda: segments.amax(dim=0),
        "deviation": lambda: torch.sqrt(
            (((segments - segments.mean(dim=0)) ** 2).sum(dim=0) + 2 * USUAL) / (len(segments) + 1)
        ),
        "log_mean_exp": lambda: torch.log(torch.exp(segments).mean(dim=0)),
        "present_mean": lambda: (segments * heard[:, None]).sum(dim=0) / heard.sum(),
        "attention": lambda: (segments * torch.softmax(score, dim=0)[:, None]).sum(dim=0),
    }[kind]()


@pytest.mark.parametrize("kind", KINDS)
def test_each_recording_is_pooled_as_it_would_be_alone(kind, bags):
    segments, species_score, recordings = bags
    made = pooling(kind)
    score = made.score(segments)[:, 0] if made.learns else species_score
    expected = [
        by_hand(kind, *(x[recordings == index] for x in (segments, species_score, score))) for index in range(3)
    ]
    torch.testing.assert_close(made(segments, species_score, recordings), torch.stack(expected), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_segments_does_not_matter(kind, bags):
    order = torch.randperm(sum(BAGS), generator=torch.Generator().manual_seed(3))
    made = pooling(kind)
    torch.testing.assert_close(made(*bags), made(*(part[order] for part in bags)))


@pytest.mark.parametrize("kind", KINDS)
def test_a_single_segment_is_its_own_pool(kind, bags):
    segments, species_score, _ = bags
    alone = pooling(kind)(segments, species_score, torch.arange(len(segments)))
    expected = torch.full_like(segments, USUAL**0.5) if kind == "deviation" else segments
    torch.testing.assert_close(alone, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["mean", "present_mean", "deviation", "attention"])
def test_of_noise_the_pool_does_not_tell_how_many_segments_there_were(kind):
    generator = torch.Generator().manual_seed(5)
    made = pooling(kind)
    made.fit_statistics(torch.randn(3000, 5, generator=generator), torch.arange(3000) // 3)
    torch.testing.assert_close(made.usual_variance, torch.ones(5), atol=0.1, rtol=0)
    for count in (1, 2, 8):
        recordings = torch.arange(2000 * count) // count
        segments = torch.randn(len(recordings), 5, generator=generator)
        pooled = made(segments, torch.randn(len(recordings), generator=generator), recordings)
        expected = 1.0 if kind == "deviation" else 0.0
        assert pooled.mean().item() == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_finite_also_of_a_single_segment(kind):
    segments = torch.randn(3, 5, generator=torch.Generator().manual_seed(4), requires_grad=True)
    made = pooling(kind)
    made(segments, torch.zeros(3), torch.tensor([0, 1, 1])).sum().backward()
    assert torch.isfinite(segments.grad).all()


def test_kinds_stand_side_by_side_in_their_order(bags):
    both = pooling("maximum", "mean")
    assert both.num_features == 10
    torch.testing.assert_close(both(*bags), torch.cat([pooling("maximum")(*bags), pooling("mean")(*bags)], dim=1))


def test_weights_tell_where_the_species_was_heard(bags):
    segments, species_score, recordings = bags
    weights = pooling("present_mean", "maximum").weights(segments, species_score, recordings)
    torch.testing.assert_close(torch.zeros(3).index_add(0, recordings, weights), torch.ones(3))
    assert weights[:4].argmax() == species_score[:4].argmax()
    torch.testing.assert_close(pooling("mean").weights(segments, species_score, recordings)[4:5], torch.ones(1))


@pytest.mark.parametrize("kinds", ["mean", [], ["mean", "median"]])
def test_other_poolings_are_refused(kinds):
    with pytest.raises(ValueError, match="must be a list of some of mean, present_mean, maximum"):
        RecordingPooling(5, kinds)
