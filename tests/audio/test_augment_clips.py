"""Augmentation towards clips: random lengths with padding after them, and medians of the clip alone."""

from dataclasses import replace

import pytest
import torch

from birdnet_nl.audio.augment_clips import ClipAugment
from birdnet_nl.audio.mel import WIDE_COARSE

PEAK = replace(WIDE_COARSE, normalisation="segment_peak", ceiling_db=0.0, floor_db=-80.0)


def augment(mel=WIDE_COARSE, seed=0, then=None, **shares):
    """Return mels whose values tell their frame, and what became of them."""
    mels = torch.arange(1, 41).float().expand(200, 6, 40) + torch.rand(
        200, 6, 1, generator=torch.Generator().manual_seed(5)
    )
    before, targets = mels.clone(), torch.eye(3)[torch.arange(200) % 3]
    settings = {"shorten_share": 0.0, "min_length": 0.5, "own_median_share": 0.0} | shares
    after, new_targets = ClipAugment(mel, **settings, then=then)(mels, targets, torch.Generator().manual_seed(seed))
    assert torch.equal(mels, before) and torch.equal(targets, new_targets)
    return before, after


def test_without_shares_nothing_changes():
    before, after = augment()
    assert torch.equal(before, after)


@pytest.mark.parametrize("mel", [WIDE_COARSE, PEAK])
def test_a_shortened_mel_is_one_stretch_at_the_start_and_padding_after_it(mel):
    before, after = augment(mel, shorten_share=0.5)
    lengths = (after != mel.padding_db).all(dim=1).sum(dim=1)
    assert lengths.min() >= 20 and 0.35 < (lengths < 40).float().mean() < 0.65 and lengths.unique().numel() > 10
    starts = set()
    for old, new, length in zip(before, after, lengths.tolist(), strict=True):
        start = round(float(new[0, 0] - old[0, 0]))
        starts.add(start)
        assert torch.equal(new[:, :length], old[:, start : start + length])
        assert (new[:, length:] == mel.padding_db).all()
    assert len(starts) > 5


def test_the_median_of_the_own_frames_is_subtracted_before_the_padding():
    _, after = augment(own_median_share=1.0, shorten_share=1.0)
    lengths = (after != 0).any(dim=1).sum(dim=1)
    for new, length in zip(after, lengths.tolist(), strict=True):
        median = new[:, : length + 1].median(dim=1).values
        assert median.abs().max() <= 1.0  # a frame is 1 dB; the frame that equals the median is 0 as the padding is
    untouched = augment(PEAK, own_median_share=1.0)
    assert torch.equal(*untouched)
    half = augment(own_median_share=0.5)[1]
    assert 0.35 < (half.median(dim=2).values.abs() < 0.5).all(dim=1).float().mean() < 0.65


def test_another_augmentation_follows_and_draws_depend_on_the_generator_only():
    shares = {"shorten_share": 0.5, "own_median_share": 0.5}
    _, first = augment(**shares)
    assert torch.equal(first, augment(**shares)[1]) and not torch.equal(first, augment(seed=1, **shares)[1])
    assert torch.equal(augment(**shares, then=lambda mel, targets, draws: (mel + 1, targets))[1], first + 1)


@pytest.mark.parametrize("change", [{"shorten_share": 1.5}, {"own_median_share": -0.1}, {"min_length": 0.0}])
def test_invalid_shares_are_refused(change):
    with pytest.raises(ValueError, match=f"augment.{next(iter(change))}="):
        augment(**change)
