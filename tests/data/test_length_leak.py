"""Bags can leak where segments did not: how long a recording is must not tell its type."""

from functools import partial

import numpy as np
import pytest
import torch

from birdnet_nl.audio.cache import CachedMel
from birdnet_nl.data.crops import CropDataset, CropParams, CropSampler, training_shares
from birdnet_nl.data.dataset import SegmentDataset
from birdnet_nl.data.segment_activity import activity_of_segments
from birdnet_nl.data.segments import Segment
from birdnet_nl.evaluation.pooling import POOLINGS, pool_segments
from birdnet_nl.models.compact_cnn import CompactCnn
from birdnet_nl.training.bags import POOLINGS as BAGS
from birdnet_nl.training.bags import pool_bags

pytestmark = pytest.mark.usefixtures("one_thread")

LENGTHS = {0: 48, 1: 400}  # frames of a recording by type; a crop has 32
COUNT = 40


@pytest.fixture
def noise(tmp_path, small_mel) -> tuple[dict[str, CachedMel], dict[str, int]]:
    """Recordings of nothing but noise, short ones of one type and long ones of the other: mels and types by id."""
    rng = np.random.default_rng(0)
    mels, type_of = {}, {}
    for index in range(2 * COUNT):
        frames = LENGTHS[index % 2] + int(rng.integers(0, 16))
        np.save(tmp_path / f"{index}.npy", rng.normal(-60, 6, (small_mel.n_mels, frames)).astype(np.float16))
        mels[str(index)] = CachedMel(tmp_path / f"{index}.npy", frames, str(index))
        type_of[str(index)] = index % 2
    return mels, type_of


@pytest.mark.parametrize("pooling", POOLINGS)
def test_noise_of_a_type_dependent_length_stays_at_chance(noise, small_mel, pooling):
    mels, type_of = noise
    ids = list(type_of)
    learned, judged = ids[:COUNT], ids[COUNT:]
    shares = training_shares(["song", "call"], {id: type_of[id] for id in learned}, {})
    crops = CropDataset(learned, mels, shares, small_mel, segment_s=0.5)
    settings = CropParams(per_epoch=32 * 40, choices=3, active_share=0.8, bag=4, multilabel_share=0.0)
    torch.manual_seed(0)
    network = CompactCnn(types=2, channels=[8, 16], dropout=0.1)
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    scaled = partial(torch.add, torch.tensor(1.0))
    for places in CropSampler(crops, settings, batch_size=32, seed=1):
        mel_db, types, _ = crops.__getitems__(places)
        answers = pool_bags(network(scaled(mel_db.float() / 80)[:, None]), 4, pooling if pooling in BAGS else "mean")
        loss = torch.nn.functional.nll_loss(answers, types[::4])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    segments = [
        Segment(id, start / small_mel.frames_per_s) for id in judged for start in range(0, mels[id].frames - 31, 16)
    ]
    dataset = SegmentDataset(segments, mels, type_of, small_mel, segment_s=0.5)
    mel_db, _, recordings = dataset.__getitems__(list(range(len(dataset))))
    with torch.inference_mode():
        answers = network.eval()(scaled(mel_db.float() / 80)[:, None]).softmax(dim=1)
    pooled = pool_segments(answers, recordings, pooling, activity_of_segments(dataset, mels, small_mel))
    right = pooled.argmax(dim=1).numpy() == [type_of[id] for id in judged]
    assert 0.25 < right.mean() < 0.75  # three standard errors of 40 recordings
