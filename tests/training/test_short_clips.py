"""Clips of training recordings: successive segments of each recording, which share its weight."""

from functools import partial

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from birdnet_nl.models.recording_classifier import RecordingClassifier
from birdnet_nl.training.probe import EmbeddingClassifier
from birdnet_nl.training.short_clips import ShortClips

LENGTHS = {2: 1, 0: 4, 1: 12}  # segments of each recording, in the order of the batch


@pytest.fixture
def bags() -> tuple[torch.Tensor, torch.Tensor]:
    """Segments with their recording and their place in it as columns, and the recording of each."""
    recordings = torch.tensor(list(LENGTHS)).repeat_interleave(torch.tensor(list(LENGTHS.values())))
    places = torch.cat([torch.arange(length) for length in LENGTHS.values()])
    return torch.stack([recordings, places], dim=1).float(), recordings


def test_clips_are_successive_segments_of_one_recording(bags):
    segments, clips, of_clips = ShortClips([1, 3, 9], per_length=2).cut(*bags)
    found = []
    for clip, owner in enumerate(of_clips.tolist()):
        own, places = segments[clips == clip].long().T.tolist()
        assert set(own) == {owner} and places == list(range(places[0], places[0] + len(places)))
        found.append((owner, len(places), places[0]))
    assert found == [
        *[(0, 1, 1), (0, 1, 2), (0, 3, 0), (0, 3, 1)],
        *[(1, 1, 4), (1, 1, 7), (1, 3, 3), (1, 3, 6), (1, 9, 1), (1, 9, 2)],
    ]


def test_a_recording_without_shorter_clips_keeps_its_weight_and_others_share_theirs(bags):
    clips = ShortClips([1, 3], share=0.4)
    _, _, of_clips = clips.cut(*bags)
    weights = clips.weights(of_clips, recordings=3)
    torch.testing.assert_close(weights[:3], torch.tensor([0.6, 0.6, 1.0]))
    totals = weights[:3] + torch.zeros(3).index_add(0, of_clips, weights[3:])
    torch.testing.assert_close(totals, torch.ones(3))


def test_without_lengths_there_are_no_clips(bags):
    segments, clips, of_clips = ShortClips([]).cut(*bags)
    assert len(segments) == len(clips) == len(of_clips) == 0


def test_a_fit_with_clips_is_the_regression_with_their_rows():
    rng = np.random.default_rng(3)
    types = rng.integers(0, 3, 30)
    recordings = torch.arange(30).repeat_interleave(torch.from_numpy(rng.integers(1, 7, 30)))
    segments = torch.tensor(rng.normal(size=(len(recordings), 9)), dtype=torch.float32)
    segments[:, 1:4] += torch.eye(3)[types[recordings]]
    clips = ShortClips([1, 3], per_length=2, share=0.5)
    module = EmbeddingClassifier(partial(RecordingClassifier, blocks=[8], pooling=["mean"], l2=1.0), clips=clips)
    module.types, module.class_weights = ["song", "call", "alarm"], torch.ones(3)
    module.synthetic_batch = module.multilabel_batch = None
    network = RecordingClassifier(3, [8], ["mean"], 0.5)
    module._fit(network, (segments, torch.from_numpy(types)[recordings], recordings))

    of_segments, index, of_clips = clips.cut(segments, recordings)
    rows = torch.cat([network.forward_features(segments, recordings), network.forward_features(of_segments, index)])
    scaled = network.transform(rows).numpy()
    truth = np.concatenate([types, types[of_clips]])
    reference = LogisticRegression(C=1 / 0.5, tol=1e-8, max_iter=5000)
    reference.fit(scaled, truth, sample_weight=clips.weights(of_clips, 30).numpy())
    probabilities = network.forward_head(rows).softmax(dim=1).detach().numpy()
    np.testing.assert_allclose(probabilities, reference.predict_proba(scaled), atol=2e-3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"segments": [0]}, r"module\.clips\.segments=\[0\] must be a list of lengths of at least 1 segment"),
        ({"segments": 3}, r"module\.clips\.segments=3 must be a list"),
        ({"segments": [1.5]}, r"module\.clips\.segments=\[1\.5\] must be a list"),
        ({"per_length": 0}, r"module\.clips\.per_length=0 must be an integer of at least 1"),
        ({"share": 1.0}, r"module\.clips\.share=1\.0 must be above 0 and below 1"),
    ],
)
def test_impossible_values_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        ShortClips(**{"segments": [1]} | settings)
