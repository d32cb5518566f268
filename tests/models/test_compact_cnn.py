"""The compact CNN: size, shapes, pooling over time, and that it can learn."""

import pytest
import torch

from birdnet_nl.models.compact_cnn import CompactCnn, layer_statistics, log_mean_exp


def compact(types: int = 3) -> CompactCnn:
    torch.manual_seed(0)
    return CompactCnn(types, channels=[32, 64, 128], dropout=0.2)


def test_it_has_at_most_350_thousand_parameters():
    assert 250_000 < sum(parameter.numel() for parameter in compact().parameters()) <= 350_000


@pytest.mark.parametrize(("mels", "frames"), [(96, 201), (128, 301), (32, 24), (17, 9)])
@pytest.mark.parametrize("types", [2, 3])
def test_any_mel_gives_one_logit_per_type(mels, frames, types):
    assert compact(types)(torch.rand(2, 1, mels, frames)).shape == (2, types)


def test_the_head_classifies_the_features():
    network, mel = compact().eval(), torch.rand(2, 1, 32, 64)
    features = network.forward_features(mel)
    assert features.shape == (2, network.num_features)
    torch.testing.assert_close(network.forward_head(features), network(mel))


def test_pooling_is_the_log_of_the_mean_exponential_over_time():
    features = torch.randn(3, 5, 7, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(log_mean_exp(features), features.exp().mean(dim=2).log())


def test_quiet_around_a_sound_hides_it_less_than_a_mean_would():
    features = torch.zeros(1, 1, 100)
    features[..., :5] = 4
    short, long = log_mean_exp(features[..., :10]), log_mean_exp(features)
    assert long / short > features.mean() / features[..., :10].mean()


def test_a_seeded_training_learns_up_from_down():
    network = compact(2)
    generator = torch.Generator().manual_seed(3)
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    types = torch.arange(16) % 2
    for _ in range(25):
        mel = 0.3 * torch.rand(16, 1, 32, 48, generator=generator)
        for index, vocalization_type in enumerate(types):
            start = int(torch.randint(0, 16, (1,), generator=generator))
            steps = torch.arange(24)
            mel[index, 0, (steps if vocalization_type else 23 - steps) + 4, start + steps] += 1
        loss = torch.nn.functional.cross_entropy(network(mel), types)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.3


@pytest.mark.parametrize("dropout", [-0.1, 1.0])
def test_an_impossible_dropout_is_refused(dropout):
    with pytest.raises(ValueError, match=r"^model\.dropout="):
        CompactCnn(3, channels=[8], dropout=dropout)


def test_layer_statistics_are_computed_per_channel():
    features = torch.zeros(2, 3, 4, 5)
    features[0, 1, 2] = torch.tensor([0.0, 1.0, 2.0, 3.0, 4.0])
    statistics = layer_statistics(features).reshape(2, 4, 3)
    expected = torch.tensor([0.5, 4.0, 0.125**0.5, 2.0])  # mean; maximum; std of 0 … 1 over time; loudest band
    torch.testing.assert_close(statistics[0, :, 1], expected, atol=1e-3, rtol=0)
    assert (statistics[1].abs() < 2e-3).all() and (statistics[0, :, [0, 2]].abs() < 2e-3).all()
