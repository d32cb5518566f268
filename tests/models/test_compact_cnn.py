"""Our small network: its size, its shapes, and that it can learn."""

import pytest
import torch

from birdnet_nl.models.compact_cnn import CompactCnn


def compact(types: int = 3) -> CompactCnn:
    torch.manual_seed(0)
    return CompactCnn(types, channels=[32, 64, 128], dropout=0.2)


def test_it_has_at_most_350_thousand_parameters():
    assert 250_000 < sum(parameter.numel() for parameter in compact().parameters()) <= 350_000


@pytest.mark.parametrize(("mels", "frames"), [(96, 201), (128, 282), (128, 301), (32, 24), (17, 9)])
@pytest.mark.parametrize("types", [2, 3])
def test_any_mel_gives_one_logit_per_type(mels, frames, types):
    assert compact(types)(torch.rand(2, 1, mels, frames)).shape == (2, types)


def test_a_longer_quiet_does_not_hide_a_sound_as_a_mean_would():
    network = compact().eval()
    loud, quiet = torch.zeros(1, 1, 32, 64), torch.zeros(1, 1, 32, 64)
    loud[..., 20:30] = 1
    with torch.inference_mode():
        alone, twice = network(loud), network(torch.cat([loud, quiet, quiet, quiet], dim=3))
        features = [
            network.blocks(network.stem(mel)).mean(2) for mel in (loud, torch.cat([loud, quiet, quiet, quiet], dim=3))
        ]
    kept = (twice - network(quiet)).abs().sum() / (alone - network(quiet)).abs().sum()
    of_mean = (features[1].mean(2) - features[1][..., -1]).norm() / (features[0].mean(2) - features[1][..., -1]).norm()
    assert kept > of_mean


def test_a_seeded_training_learns_up_from_down():
    network = compact(2)
    generator = torch.Generator().manual_seed(3)
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    types = torch.arange(16) % 2
    for _ in range(25):
        mel = 0.3 * torch.rand(16, 1, 32, 48, generator=generator)
        for index, kind in enumerate(types):
            start = int(torch.randint(0, 16, (1,), generator=generator))
            steps = torch.arange(24)
            mel[index, 0, (steps if kind else 23 - steps) + 4, start + steps] += 1
        loss = torch.nn.functional.cross_entropy(network(mel), types)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.3


@pytest.mark.parametrize("dropout", [-0.1, 1.0])
def test_nonsense_is_refused(dropout):
    with pytest.raises(ValueError, match=r"^model\.dropout="):
        CompactCnn(3, channels=[8], dropout=dropout)
