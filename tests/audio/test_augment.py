"""Augmentation: effect on mels and targets; inputs stay unchanged."""

import pytest
import torch

from birdnet_nl.audio.augment import MelAugment

IDENTITY = {"mix_share": 0.0, "time_masks": 0, "max_time_mask": 0.0, "band_masks": 0, "max_band_mask": 0.0}


def augment(seed: int = 0, batch: int = 200, **changes):
    """Return mels of normal noise and one-hot types before and after."""
    mels = torch.randn(batch, 12, 40, generator=torch.Generator().manual_seed(9))
    targets = torch.nn.functional.one_hot(torch.arange(batch) % 3, 3).float()
    before = mels.clone(), targets.clone()
    after = MelAugment(**{**IDENTITY, **changes})(mels, targets, torch.Generator().manual_seed(seed))
    assert torch.equal(mels, before[0]) and torch.equal(targets, before[1])
    return *before, *after


def test_the_identity_changes_nothing():
    mels, targets, new_mels, new_targets = augment()
    assert torch.equal(mels, new_mels) and torch.equal(targets, new_targets)
    assert MelAugment(**IDENTITY).is_identity and not MelAugment(**{**IDENTITY, "time_masks": 1}).is_identity


def test_a_mix_is_the_maximum_of_two_mels_and_half_of_each_type():
    mels, targets, new_mels, new_targets = augment(mix_share=0.5)
    changed = (new_mels != mels).any(dim=(1, 2))
    assert 0.35 < changed.float().mean() < 0.65
    assert (new_mels >= mels).all()
    for index in torch.nonzero(changed).flatten().tolist():
        mixes = torch.maximum(mels[index], mels)  # with every other mel of the batch
        (partner,) = torch.nonzero((mixes == new_mels[index]).all(dim=(1, 2))).flatten().tolist()
        assert torch.equal(new_targets[index], (targets[index] + targets[partner]) / 2)
    assert torch.allclose(new_targets.sum(dim=1), torch.ones(200))


def test_time_masks_are_contiguous_and_of_limited_length():
    mels, targets, new_mels, new_targets = augment(time_masks=1, max_time_mask=0.25)
    masked = new_mels != mels
    assert torch.equal(masked.all(dim=1), masked.any(dim=1))  # all bands or none
    lengths = masked[:, 0].sum(dim=1)
    assert lengths.float().mean() > 0 and lengths.max() <= 0.25 * 40 + 1
    for row in masked[:, 0].int():
        assert (row.diff().abs().sum() + row[0] + row[-1]) in (0, 2)  # one stretch
    assert torch.equal(targets, new_targets)


def test_band_masks_cover_all_frames_and_take_the_mean():
    mels, _, new_mels, _ = augment(band_masks=1, max_band_mask=0.5)
    masked = new_mels != mels
    assert torch.equal(masked.all(dim=2), masked.any(dim=2)) and masked[:, :, 0].sum(dim=1).max() <= 0.5 * 12 + 1
    index = int(masked.any(dim=(1, 2)).nonzero()[0])
    torch.testing.assert_close(new_mels[index][masked[index]].mean(), mels[index].mean())


def test_draws_depend_on_the_generator_only():
    first, same, other = (augment(seed, mix_share=0.5, time_masks=2, max_time_mask=0.3)[2] for seed in (1, 1, 2))
    assert torch.equal(first, same) and not torch.equal(first, other)


@pytest.mark.parametrize(
    "change",
    [{"mix_share": 1.1}, {"max_time_mask": -0.1}, {"max_band_mask": 2.0}, {"time_masks": -1}, {"band_masks": -1}],
)
def test_invalid_parameters_raise(change):
    with pytest.raises(ValueError, match=rf"^augment\.{next(iter(change))}="):
        MelAugment(**{**IDENTITY, **change})
