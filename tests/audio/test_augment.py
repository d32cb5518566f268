"""What augmentation does to mels and types, and that it leaves its inputs alone."""

import pytest
import torch

from birdnet_nl.audio.augment import MelAugment

NOTHING = {"mix_share": 0.0, "time_masks": 0, "longest_time_mask": 0.0, "band_masks": 0, "widest_band_mask": 0.0}


def augment(seed: int = 0, batch: int = 200, loudness: float = 1, **changes):
    """Mels of normal noise and one-hot types before and after."""
    mels = loudness * torch.randn(batch, 12, 40, generator=torch.Generator().manual_seed(9))
    targets = torch.nn.functional.one_hot(torch.arange(batch) % 3, 3).float()
    before = mels.clone(), targets.clone()
    after = MelAugment(**{**NOTHING, **changes})(mels, targets, torch.Generator().manual_seed(seed))
    assert torch.equal(mels, before[0]) and torch.equal(targets, before[1])
    return *before, *after


def test_nothing_asked_nothing_changed():
    mels, targets, new_mels, new_targets = augment()
    assert torch.equal(mels, new_mels) and torch.equal(targets, new_targets)
    assert MelAugment(**NOTHING).changes_nothing and not MelAugment(**{**NOTHING, "time_masks": 1}).changes_nothing


def test_a_mix_is_the_maximum_of_two_mels_and_half_of_each_type():
    mels, targets, new_mels, new_targets = augment(mix_share=0.5)
    changed = (new_mels != mels).any(dim=(1, 2))
    assert 0.35 < changed.float().mean() < 0.65
    assert (new_mels >= mels).all()
    for index in torch.nonzero(changed).flatten().tolist():
        partners = [
            other for other in range(200) if torch.equal(torch.maximum(mels[index], mels[other]), new_mels[index])
        ]
        assert len(partners) == 1
        assert torch.equal(new_targets[index], (targets[index] + targets[partners[0]]) / 2)
    assert torch.allclose(new_targets.sum(dim=1), torch.ones(200))


def test_masks_hide_whole_stretches_of_limited_length():
    mels, targets, new_mels, new_targets = augment(time_masks=1, longest_time_mask=0.25)
    hidden = new_mels != mels
    assert torch.equal(hidden.all(dim=1), hidden.any(dim=1))  # all bands or none
    lengths = hidden[:, 0].sum(dim=1)
    assert lengths.float().mean() > 0 and lengths.max() <= 0.25 * 40 + 1
    for row in hidden[:, 0].int():
        assert (row.diff().abs().sum() + row[0] + row[-1]) in (0, 2)  # one stretch
    assert torch.equal(targets, new_targets)


def test_bands_are_hidden_at_all_times_and_take_the_mean():
    mels, _, new_mels, _ = augment(band_masks=1, widest_band_mask=0.5)
    hidden = new_mels != mels
    assert torch.equal(hidden.all(dim=2), hidden.any(dim=2)) and hidden[:, :, 0].sum(dim=1).max() <= 0.5 * 12 + 1
    index = int(hidden.any(dim=(1, 2)).nonzero()[0])
    torch.testing.assert_close(new_mels[index][hidden[index]].mean(), mels[index].mean())


def test_voices_and_places_are_changed_when_asked_and_types_stay():
    for change in ({"tempo": 0.08}, {"pitch_bands": 1.0}, {"background_share": 1.0}):
        mels, targets, new_mels, new_targets = augment(loudness=30, **change)
        assert not torch.equal(mels, new_mels) and torch.equal(targets, new_targets)
        assert not MelAugment(**{**NOTHING, **change}).changes_nothing


def test_the_generator_decides():
    one, same, other = (augment(seed, mix_share=0.5, time_masks=2, longest_time_mask=0.3)[2] for seed in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)


@pytest.mark.parametrize(
    "change",
    [
        {"mix_share": 1.1},
        {"longest_time_mask": -0.1},
        {"widest_band_mask": 2.0},
        {"time_masks": -1},
        {"band_masks": -1},
        {"tempo": 1.5},
        {"pitch_bands": -1.0},
        {"background_share": 1.1},
    ],
)
def test_nonsense_is_refused(change):
    with pytest.raises(ValueError, match=rf"^augment\.{next(iter(change))}="):
        MelAugment(**{**NOTHING, **change})
