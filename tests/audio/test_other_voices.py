"""Another pace, another pitch, another place: by hand on a single tone and a single click."""

import torch

from birdnet_nl.audio.other_voices import QUIETER_DB, add_background, change_voice


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_without_a_change_a_mel_stays_as_it_is():
    mels = torch.randn(5, 12, 40, generator=generator(1))
    torch.testing.assert_close(change_voice(mels, 0.0, 0.0, generator()), mels, atol=1e-4, rtol=1e-4)


def test_a_tone_moves_by_at_most_the_bands_asked_for_and_keeps_its_time():
    mels = torch.zeros(400, 20, 30)
    mels[:, 10] = 30.0  # a tone in band 10
    bands = torch.arange(20.0)[:, None]
    moved = change_voice(mels, 0.0, 2.0, generator())
    places = (moved * bands).sum(dim=1) / moved.sum(dim=1)  # [mels, frames]
    assert (places - places[:, :1]).abs().max() < 1e-3
    assert places.min() >= 8 - 1e-3 and places.max() <= 12 + 1e-3
    assert places[:, 0].std() > 0.8  # 2 / sqrt(3) = 1.15 when evenly drawn


def test_the_distance_between_two_clicks_changes_by_the_tempo_and_bands_stay():
    mels = torch.zeros(300, 6, 201)
    mels[:, :, 50], mels[:, :, 150] = 30.0, 30.0
    moved = change_voice(mels, 0.1, 0.0, generator())
    torch.testing.assert_close(moved[:, :1].expand_as(moved), moved, atol=1e-3, rtol=1e-3)
    frames = torch.arange(201.0)
    row = moved[:, 0]
    left, right = row[:, :100], row[:, 101:]
    gap = (right * frames[101:]).sum(1) / right.sum(1) - (left * frames[:100]).sum(1) / left.sum(1)
    assert 100 / 1.1 - 0.6 <= gap.min() < 94 and 106 < gap.max() <= 100 / 0.9 + 0.6


def test_a_background_is_another_mel_of_the_batch_far_below():
    mels = torch.stack([torch.full((3, 4), float(10 * index)) for index in range(8)])
    quieter = add_background(mels, 1.0, generator())
    assert (quieter >= mels).all()
    changed = (quieter > mels).any(dim=(1, 2))
    assert changed.any()
    for row in torch.nonzero(changed).flatten().tolist():
        value = float(quieter[row, 0, 0])
        assert any(10 * other - QUIETER_DB[1] <= value <= 10 * other - QUIETER_DB[0] for other in range(8))
    assert torch.equal(add_background(mels, 0.0, generator()), mels)


def test_half_precision_stays_half_precision():
    mels = torch.randn(4, 8, 20, generator=generator(1)).half()
    assert change_voice(mels, 0.05, 1.0, generator()).dtype == torch.float16
    assert add_background(mels, 0.5, generator()).dtype == torch.float16
