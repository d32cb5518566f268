"""Random crops: even over types and recordings, active ones preferred, a function of seed and epoch."""

from collections import Counter
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import pytest
import torch
from torch import nn

from birdnet_nl.audio.cache import CachedMel
from birdnet_nl.data.crops import MULTILABEL, CropDataset, CropParams, CropSampler, training_shares
from birdnet_nl.data.dataset import SegmentDataset, activity_of_segments
from birdnet_nl.data.segments import Segment, cut_segments
from birdnet_nl.evaluation.pooling import POOLINGS, pool_segments

PARAMS = {
    "enabled": True, "per_epoch": 600, "batch_size": 10, "choices": 3, "active_share": 1.0, "multilabel_share": 0.0,
}  # fmt: skip


@pytest.fixture
def make_dataset(tmp_path, small_mel) -> Callable[..., CropDataset]:
    """Five recordings of noise, the last shorter than a crop; two songs, three calls; a loud second in each."""
    rng = np.random.default_rng(0)
    mels = {}
    for index, frames in enumerate([400, 90, 60, 300, 3]):
        mel = rng.normal(-60, 1, (small_mel.n_mels, frames)).astype(np.float16)
        mel[:, frames // 2 : frames // 2 + 10] += 30
        np.save(tmp_path / f"{index}.npy", mel)
        mels[str(index)] = CachedMel(tmp_path / f"{index}.npy", frames, str(index))

    def make(
        multilabel: tuple[str, ...] = (),
        windows: dict[str, np.ndarray] | None = None,
        weights: Mapping[str, float] = MappingProxyType({}),
    ) -> CropDataset:
        type_of = {"0": 0, "1": 0, "2": 1, "3": 1, "4": 1}
        single = {id: index for id, index in type_of.items() if id not in multilabel}
        shares = training_shares(["song", "call"], single, {id: ["song", "call"] for id in multilabel})
        return CropDataset(list(shares), mels, shares, small_mel, 0.5, windows, weights)

    return make


@pytest.fixture
def dataset(make_dataset) -> CropDataset:
    return make_dataset()


def sampler(dataset: CropDataset, batch_size: int = 10, seed: int = 1, **changes) -> CropSampler:
    return CropSampler(dataset, CropParams(**{**PARAMS, **changes}), batch_size, seed)


def drawn_recordings(dataset: CropDataset, **changes) -> Counter:
    return Counter(recording for batch in sampler(dataset, **changes) for recording, _ in batch)


def test_types_and_the_recordings_of_a_type_are_drawn_evenly(dataset):
    drawn = drawn_recordings(dataset)
    assert drawn[0] + drawn[1] == 300 == drawn[2] + drawn[3] + drawn[4]
    assert abs(drawn[0] - drawn[1]) <= 1 and max(drawn[n] for n in (2, 3, 4)) - min(drawn[n] for n in (2, 3, 4)) <= 1


def test_a_recording_of_a_smaller_weight_is_drawn_in_that_share_and_types_stay_even(make_dataset):
    drawn = drawn_recordings(make_dataset(weights={"2": 0.25}))
    assert drawn[0] + drawn[1] == 300 == drawn[2] + drawn[3] + drawn[4]
    assert drawn[2] / 300 == pytest.approx(0.25 / 2.25, abs=0.04) and abs(drawn[3] - drawn[4]) <= 1


def test_weights_of_one_change_no_draw(make_dataset):
    assert list(sampler(make_dataset())) == list(sampler(make_dataset(weights={"2": 1.0})))


def test_active_crops_are_preferred_in_the_given_share_of_draws(dataset):
    frames = dataset.shape[1]

    def share_with_the_sound(**changes):
        starts = [start for batch in sampler(dataset, **changes) for recording, start in batch if recording == 0]
        return np.mean([start < 210 and start + frames > 200 for start in starts])

    by_chance = share_with_the_sound(active_share=0.0)
    assert by_chance < share_with_the_sound(active_share=0.5) < share_with_the_sound(active_share=1.0)
    assert share_with_the_sound(choices=1) == pytest.approx(by_chance, abs=0.1)


def test_every_crop_starts_within_its_recording(dataset):
    assert all(
        0 <= start < len(dataset.activity[recording]) for batch in sampler(dataset) for recording, start in batch
    )


def test_an_epoch_is_a_function_of_the_seed_and_differs_from_the_next(dataset):
    first, second, other = sampler(dataset), sampler(dataset), sampler(dataset, seed=2)
    assert list(first) == list(second) != list(other)
    second.set_epoch(1)
    assert list(first) != list(second)


def test_all_batches_have_the_batch_size_and_are_counted(dataset):
    batches = list(sampler(dataset, batch_size=16))
    assert {len(batch) for batch in batches} == {16} and len(batches) == len(sampler(dataset, batch_size=16)) == 38
    assert len(sampler(dataset, per_epoch=1)) == 1


def test_a_batch_holds_the_mels_at_the_places_padded_after_the_end_of_a_recording(dataset):
    mels, types, recordings = dataset.__getitems__([(0, 7), (4, 0)])
    frames = dataset.shape[1]
    assert types.tolist() == [0, 1] and recordings.tolist() == [0, 4]
    assert torch.equal(mels[0], torch.from_numpy(np.load(dataset.paths[0])[:, 7 : 7 + frames]))
    assert (mels[1, :, 3:] == torch.tensor(dataset.padding_db).half()).all()


def test_multilabel_recordings_have_the_given_share_and_no_type_of_their_own(make_dataset):
    dataset = make_dataset(multilabel=("3",))
    assert dataset.recording_ids == ["0", "1", "2", "4", "3"]
    assert dataset.types.tolist() == [0, 0, 1, 1, MULTILABEL]
    assert dataset.shares[-1].tolist() == [0.5, 0.5]
    drawn = drawn_recordings(dataset, multilabel_share=0.25)
    assert drawn[4] == 150 and drawn[0] + drawn[1] == 225 == drawn[2] + drawn[3]
    assert 4 not in drawn_recordings(dataset, multilabel_share=0.0)


def test_without_multilabel_recordings_their_share_goes_to_the_others(dataset):
    drawn = drawn_recordings(dataset, multilabel_share=0.5)
    assert drawn.total() == 600 and drawn[0] + drawn[1] == 300


def test_the_duration_of_a_recording_does_not_reveal_its_type(tmp_path, small_mel):
    """Noise, short recordings of one type and long ones of the other: a trained network stays at chance."""
    rng = np.random.default_rng(0)
    mels, type_of = {}, {}
    for index in range(80):
        id, frames = str(index), (48, 400)[index % 2] + int(rng.integers(0, 16))
        np.save(tmp_path / f"{id}.npy", rng.normal(-60, 6, (small_mel.n_mels, frames)).astype(np.float16))
        mels[id], type_of[id] = CachedMel(tmp_path / f"{id}.npy", frames, id), index % 2
    train, test = list(type_of)[:40], list(type_of)[40:]
    shares = training_shares(["song", "call"], {id: type_of[id] for id in train}, {})
    crops = CropDataset(train, mels, shares, small_mel, segment_s=0.5)
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 16, 5, stride=2), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(16, 2)
    )
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    for places in sampler(crops, batch_size=32, per_epoch=32 * 40, active_share=0.8):
        mel_db, types, _ = crops.__getitems__(places)
        loss = nn.functional.cross_entropy(network(mel_db.float()[:, None] / 80 + 1), types)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    duration_s = {id: mels[id].frames / small_mel.frames_per_s for id in test}
    segments = [Segment(id, start_s) for id in test for start_s in cut_segments(duration_s[id], 0.5, 0.25)]
    dataset = SegmentDataset(segments, mels, type_of, small_mel, segment_s=0.5)
    mel_db, _, recordings = dataset.__getitems__(list(range(len(dataset))))
    with torch.inference_mode():
        probabilities = network(mel_db.float()[:, None] / 80 + 1).softmax(dim=1)
    for pooling in POOLINGS:
        pooled = pool_segments(probabilities, recordings, pooling, activity_of_segments(dataset, mels, small_mel))
        correct = pooled.argmax(dim=1).numpy() == [type_of[id] for id in test]
        assert 0.25 < correct.mean() < 0.75, pooling  # three standard errors of 40 recordings


@pytest.mark.parametrize(
    "change",
    [
        {"enabled": "yes"}, {"per_epoch": 0}, {"batch_size": 0}, {"choices": 0}, {"active_share": 1.5},
        {"active_share": -0.1}, {"multilabel_share": -0.1}, {"multilabel_share": 1.0},
    ],
)  # fmt: skip
def test_impossible_parameters_raise(change):
    with pytest.raises(ValueError, match=rf"^data\.crops\.{next(iter(change))}="):
        CropParams(**{**PARAMS, **change})


def test_crops_of_annotated_recordings_are_drawn_where_their_type_is(make_dataset):
    windows = {"3": np.full(len(make_dataset().activity[3]), -1)}
    windows["3"][10:20], windows["3"][40:50] = 0, 1
    dataset = make_dataset(multilabel=("3",), windows=windows)
    annotated = dataset.recording_ids.index("3")
    batches = list(sampler(dataset, multilabel_share=0.2))
    starts = {start for batch in batches for recording, start in batch if recording == annotated}
    assert starts <= {*range(10, 20), *range(40, 50)} and min(starts) < 20 < max(starts)
    for batch in batches:
        recordings, firsts, types = dataset.places(batch)
        for recording, first, type_index in zip(recordings.tolist(), firsts.tolist(), types.tolist(), strict=True):
            own = int(first >= 40) if recording == annotated else dataset.types[recording].item()
            assert type_index == own >= 0
    counts = Counter(type_index for batch in batches for type_index in dataset.places(batch)[2].tolist())
    assert counts[0] == counts[1] == 300
