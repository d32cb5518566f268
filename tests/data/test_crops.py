"""Crops: loud ones first, types and recordings evenly, the same for the same seed."""

from collections import Counter

import numpy as np
import pytest
import torch

from birdnet_nl.audio.cache import CachedMel
from birdnet_nl.data.crops import CropDataset, CropSampler, CropSettings, crop_loudness


@pytest.fixture
def dataset(tmp_path, small_mel) -> CropDataset:
    """Five recordings of noise, the last shorter than a crop; two songs, three calls; a loud second in each."""
    rng = np.random.default_rng(0)
    frames = [400, 90, 60, 300, 3]
    mels = {}
    for index, count in enumerate(frames):
        mel = rng.normal(-60, 1, (small_mel.n_mels, count)).astype(np.float16)
        mel[:, count // 2 : count // 2 + 10] += 30
        np.save(tmp_path / f"{index}.npy", mel)
        mels[str(index)] = CachedMel(tmp_path / f"{index}.npy", count, str(index))
    type_of = {"0": 0, "1": 0, "2": 1, "3": 1, "4": 1}
    return CropDataset(list(type_of), mels, type_of, small_mel, segment_s=0.5)


def sampler(dataset: CropDataset, batch_size: int = 10, seed: int = 1, **changes) -> CropSampler:
    settings = {"per_epoch": 600, "choices": 3, "loud_share": 1.0, **changes}
    return CropSampler(dataset, CropSettings(**settings), batch_size, seed)


def test_types_are_drawn_evenly_and_so_are_the_recordings_of_a_type(dataset):
    drawn = Counter(recording for batch in sampler(dataset) for recording, _ in batch)
    assert drawn[0] + drawn[1] == 300 == drawn[2] + drawn[3] + drawn[4]
    assert max(drawn[0], drawn[1]) - min(drawn[0], drawn[1]) <= 1
    assert max(drawn[n] for n in (2, 3, 4)) - min(drawn[n] for n in (2, 3, 4)) <= 1


def test_loud_crops_are_preferred_as_often_as_asked(dataset):
    frames = dataset.shape[1]

    def share_with_the_sound(**changes):
        starts = [start for batch in sampler(dataset, **changes) for recording, start in batch if recording == 0]
        return np.mean([start < 210 and start + frames > 200 for start in starts])

    by_chance = share_with_the_sound(loud_share=0.0)
    assert by_chance < share_with_the_sound(loud_share=0.5) < share_with_the_sound(loud_share=1.0)
    assert share_with_the_sound(choices=1) == pytest.approx(by_chance, abs=0.1)


def test_every_crop_lies_within_its_recording(dataset):
    for batch in sampler(dataset):
        for recording, start in batch:
            assert 0 <= start < len(dataset.loudness[recording])


def test_an_epoch_is_the_same_for_the_same_seed_and_another_each_time(dataset):
    first, again, other = sampler(dataset), sampler(dataset), sampler(dataset, seed=2)
    assert list(first) == list(again) != list(other)
    again.set_epoch(1)
    assert list(first) != list(again)


def test_batches_are_whole_and_counted(dataset):
    batches = list(sampler(dataset, batch_size=16))
    assert {len(batch) for batch in batches} == {16} and len(batches) == len(sampler(dataset, batch_size=16)) == 38
    assert len(sampler(dataset, per_epoch=1)) == 1


def test_a_batch_holds_the_mels_at_the_places_padded_where_a_recording_ends(dataset):
    mels, types, recordings = dataset.__getitems__([(0, 7), (4, 0)])
    frames = dataset.shape[1]
    assert types.tolist() == [0, 1] and recordings.tolist() == [0, 4]
    assert torch.equal(mels[0], torch.from_numpy(np.load(dataset.paths[0])[:, 7 : 7 + frames]))
    assert (mels[1, :, 3:] == torch.tensor(dataset.padding_db).half()).all()


def test_loudness_is_the_mean_excess_over_each_bands_median():
    mel = np.random.default_rng(1).normal(0, 5, (7, 50)).astype(np.float32)
    excess = np.maximum(mel - np.median(mel, axis=1, keepdims=True), 0)
    expected = [excess[:, start : start + 20].sum() / (7 * 20) for start in range(31)]
    np.testing.assert_allclose(crop_loudness(mel, 20), expected, rtol=1e-5)
    assert crop_loudness(mel, 80).shape == (1,)


@pytest.mark.parametrize("change", [{"per_epoch": 0}, {"choices": 0}, {"loud_share": 1.5}, {"loud_share": -0.1}])
def test_nonsense_is_refused(change):
    with pytest.raises(ValueError, match=rf"^data\.crops\.{next(iter(change))}="):
        CropSettings(**{"per_epoch": 10, "choices": 3, "loud_share": 0.8, **change})
