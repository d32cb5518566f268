"""Crops: active ones first, types and recordings evenly, in bags, the same for the same seed."""

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
import torch

from birdnet_nl.audio.cache import CachedMel
from birdnet_nl.data.crops import MULTILABEL, CropDataset, CropParams, CropSampler, training_shares

SETTINGS = {"per_epoch": 600, "choices": 3, "active_share": 1.0, "bag": 1, "several_share": 0.0}


@pytest.fixture
def make_dataset(tmp_path, small_mel) -> Callable[..., CropDataset]:
    """Five recordings of noise, the last shorter than a crop; two songs, three calls; a loud second in each."""
    rng = np.random.default_rng(0)
    frames = [400, 90, 60, 300, 3]
    mels = {}
    for index, count in enumerate(frames):
        mel = rng.normal(-60, 1, (small_mel.n_mels, count)).astype(np.float16)
        mel[:, count // 2 : count // 2 + 10] += 30
        np.save(tmp_path / f"{index}.npy", mel)
        mels[str(index)] = CachedMel(tmp_path / f"{index}.npy", count, str(index))

    def make(multilabel: tuple[str, ...] = ()) -> CropDataset:
        type_of = {"0": 0, "1": 0, "2": 1, "3": 1, "4": 1}
        of_one = {id: kind for id, kind in type_of.items() if id not in multilabel}
        shares = training_shares(["song", "call"], of_one, {id: ["song", "call"] for id in multilabel})
        return CropDataset(list(shares), mels, shares, small_mel, segment_s=0.5)

    return make


@pytest.fixture
def dataset(make_dataset) -> CropDataset:
    return make_dataset()


def sampler(dataset: CropDataset, batch_size: int = 10, seed: int = 1, **changes) -> CropSampler:
    settings = {**SETTINGS, **changes}
    return CropSampler(dataset, CropParams(**settings), batch_size, seed)


def test_types_are_drawn_evenly_and_so_are_the_recordings_of_a_type(dataset):
    drawn = Counter(recording for batch in sampler(dataset) for recording, _ in batch)
    assert drawn[0] + drawn[1] == 300 == drawn[2] + drawn[3] + drawn[4]
    assert max(drawn[0], drawn[1]) - min(drawn[0], drawn[1]) <= 1
    assert max(drawn[n] for n in (2, 3, 4)) - min(drawn[n] for n in (2, 3, 4)) <= 1


def test_active_crops_are_preferred_as_often_as_asked(dataset):
    frames = dataset.shape[1]

    def share_with_the_sound(**changes):
        starts = [start for batch in sampler(dataset, **changes) for recording, start in batch if recording == 0]
        return np.mean([start < 210 and start + frames > 200 for start in starts])

    by_chance = share_with_the_sound(active_share=0.0)
    assert by_chance < share_with_the_sound(active_share=0.5) < share_with_the_sound(active_share=1.0)
    assert share_with_the_sound(choices=1) == pytest.approx(by_chance, abs=0.1)


def test_every_crop_lies_within_its_recording(dataset):
    for batch in sampler(dataset):
        for recording, start in batch:
            assert 0 <= start < len(dataset.activity[recording])


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


def test_the_crops_of_a_bag_follow_each_other_and_bags_stay_even(dataset):
    batches = list(sampler(dataset, batch_size=12, bag=3))
    drawn: Counter[int] = Counter()
    for batch in batches:
        assert len(batch) == 12
        bags = [batch[start : start + 3] for start in range(0, 12, 3)]
        assert all(len({recording for recording, _ in bag}) == 1 for bag in bags)
        drawn.update(bag[0][0] for bag in bags)
    assert drawn.total() == 200 and drawn[0] + drawn[1] == 100
    assert len({start for batch in batches for recording, start in batch if recording == 0}) > 20


def test_a_batch_holds_whole_bags(dataset):
    batches = list(sampler(dataset, batch_size=16, bag=3))
    assert {len(batch) for batch in batches} == {15} and len(batches) == 40


def test_a_bag_says_nothing_of_how_long_its_recording_is(dataset):
    """As many crops of a short recording as of a long one, so that their number cannot give a type away."""
    bags = Counter(recording for batch in sampler(dataset, batch_size=14, bag=4) for recording, _ in batch)
    assert {count % 4 for count in bags.values()} == {0}
    assert all(start == 0 for batch in sampler(dataset, bag=2) for recording, start in batch if recording == 4)


def test_recordings_of_several_types_have_the_asked_share_and_never_one_type(make_dataset):
    dataset = make_dataset(multilabel=("3",))
    assert dataset.recording_ids == ["0", "1", "2", "4", "3"]
    assert dataset.types.tolist() == [0, 0, 1, 1, MULTILABEL]
    assert dataset.shares[-1].tolist() == [0.5, 0.5]
    drawn = Counter(recording for batch in sampler(dataset, multilabel_share=0.25) for recording, _ in batch)
    assert drawn[4] == 150 and drawn[0] + drawn[1] == 225 == drawn[2] + drawn[3]
    assert 4 not in {recording for batch in sampler(dataset) for recording, _ in batch}


def test_without_recordings_of_several_types_none_are_drawn(dataset):
    drawn = Counter(recording for batch in sampler(dataset, multilabel_share=0.5) for recording, _ in batch)
    assert drawn.total() == 600 and drawn[0] + drawn[1] == 300


@pytest.mark.parametrize(
    "change",
    [
        {"per_epoch": 0}, {"choices": 0}, {"bag": 0}, {"active_share": 1.5}, {"active_share": -0.1},
        {"several_share": -0.1}, {"several_share": 1.0},
    ],
)  # fmt: skip
def test_nonsense_is_refused(change):
    with pytest.raises(ValueError, match=rf"^data\.crops\.{next(iter(change))}="):
        CropParams(**{**SETTINGS, **change})
