"""The support vector machine of scikit-learn in torch, and the linear layer on its decision values."""

import numpy as np
import pytest
import torch
from sklearn.svm import SVC

from birdnet_nl.models.recording_classifier import RecordingClassifier
from birdnet_nl.models.support_vectors import CombinedClassifier, SupportVectorClassifier
from birdnet_nl.training.probe import EmbeddingClassifier
from birdnet_nl.training.short_clips import ShortClips
from birdnet_nl.training.support_vectors import CombinedProbe, SupportVectorProbe, fit_machine


def bags(types: int, count: int = 60) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Recordings of three segments; only the segment with a high species score has the type's mean."""
    rng = np.random.default_rng(types)
    of_recording = np.arange(count) % types
    segments = rng.normal(size=(count, 3, 7))
    segments[:, :, 0] = -9
    segments[:, 1, 0] = 9
    segments[np.arange(count), 1, 1 + of_recording] += 3
    recordings = torch.arange(count).repeat_interleave(3)
    return (
        torch.tensor(segments, dtype=torch.float32).reshape(-1, 7),
        torch.tensor(of_recording)[recordings],
        recordings,
    )


def probe(types: int, kind: type[EmbeddingClassifier] = SupportVectorProbe) -> EmbeddingClassifier:
    module = kind.__new__(kind)
    torch.nn.Module.__init__(module)
    module.synthetic_batch, module.multilabel_batch, module.clips = None, None, ShortClips(segments=[])
    module.types, module.class_weights = [str(index) for index in range(types)], torch.ones(types)
    return module


@pytest.mark.parametrize("types", [2, 3, 4])
def test_decision_values_are_those_of_scikit_learn(types):
    rng = np.random.default_rng(1)
    features = rng.normal(size=(50, 6)).astype(np.float32)
    known = rng.integers(types, size=50)
    known[:types] = np.arange(types)
    network = SupportVectorClassifier(types, [2, 4])
    network.fit_scaler(torch.from_numpy(features))
    scaled = network.scaled(torch.from_numpy(features)).numpy()
    fit_machine(network, scaled, known)
    machine = SVC(C=2, class_weight="balanced", gamma="scale", decision_function_shape="ovo").fit(scaled, known)
    expected = machine.decision_function(scaled).reshape(50, -1)
    np.testing.assert_allclose(network.decision_values(torch.from_numpy(features)).numpy(), expected, atol=1e-3)


def test_a_recording_of_half_the_weight_twice_is_a_recording():
    rng = np.random.default_rng(2)
    scaled, known = rng.normal(size=(40, 6)).astype(np.float32), np.arange(40) % 3
    once, twice = SupportVectorClassifier(3, [6]), SupportVectorClassifier(3, [6])
    fit_machine(once, scaled, known)
    weights = np.append(np.ones(30), np.full(20, 0.5))
    fit_machine(twice, np.append(scaled, scaled[30:], axis=0), np.append(known, known[30:]), weights)
    values = (network.decision_values(torch.from_numpy(scaled)) for network in (once, twice))
    torch.testing.assert_close(*values, atol=5e-3, rtol=0)


@pytest.mark.parametrize("types", [2, 3])
def test_it_learns_from_the_segments_of_the_species(types):
    segments, of_segments, recordings = bags(types)
    network = SupportVectorClassifier(types, [6])
    probe(types)._fit(network, (segments, of_segments, recordings))
    predicted = network(segments, recordings).argmax(dim=1)
    assert float((predicted == of_segments[::3]).float().mean()) > 0.9


def test_clips_are_further_rows_that_share_the_weight_of_their_recording():
    segments, of_segments, recordings = bags(3)
    module, network = probe(3), SupportVectorClassifier(3, [6])
    module.clips = ShortClips([1, 2], per_length=2, share=0.4)
    module._fit(network, (segments, of_segments, recordings))
    rows, clips, of_clips = module.clips.cut(segments, recordings)
    features = torch.cat([network.forward_features(segments, recordings), network.forward_features(rows, clips)])
    known = of_segments[::3][torch.cat([torch.arange(60), of_clips])].numpy()
    scaled = network.scaled(features).numpy()
    machine = SVC(C=2, class_weight=dict.fromkeys(range(3), 1.0), gamma=1 / 6, decision_function_shape="ovo")
    machine.fit(scaled, known, sample_weight=module.clips.weights(of_clips, 60).numpy())
    values = network.decision_values(features).numpy()
    np.testing.assert_allclose(values, machine.decision_function(scaled), atol=1e-3)


def test_the_mean_is_weighted_by_the_species_score():
    segments = torch.tensor([[9.0, 1.0], [-9.0, 5.0], [0.0, 2.0]])
    features = SupportVectorClassifier(3, [1]).forward_features(segments, torch.tensor([0, 0, 1]))
    weights = 1 / (1 + np.exp([-9.0, 9.0])) + 1e-3
    np.testing.assert_allclose(features[:, 0], [(weights @ [1.0, 5.0]) / weights.sum(), 2.0], rtol=1e-5)


def test_weights_load_with_any_number_of_support_vectors():
    segments, of_segments, recordings = bags(3)
    trained, loaded = SupportVectorClassifier(3, [6]), SupportVectorClassifier(3, [6])
    probe(3)._fit(trained, (segments, of_segments, recordings))
    loaded.load_state_dict(trained.state_dict())
    torch.testing.assert_close(loaded(segments, recordings), trained(segments, recordings))


def test_a_combination_is_the_product_of_its_parts_on_their_columns():
    segments, of_segments, recordings = bags(3)
    other = torch.cat([segments[:, :1], torch.randn(len(segments), 4, generator=torch.Generator().manual_seed(1))], 1)
    settings = {"pooling": ["mean", "std"], "l2": 0.05, "species_score": True, "landmarks": 8}
    combined, of_layers = CombinedClassifier(3, [4, 6], **settings), RecordingClassifier(3, [4], **settings)
    machine = SupportVectorClassifier(3, [6])
    both = torch.cat([other, segments[:, 1:]], dim=1)
    probe(3, CombinedProbe)._fit(combined, (both, of_segments, recordings))
    probe(3, EmbeddingClassifier)._fit(of_layers, (other, of_segments, recordings))
    probe(3)._fit(machine, (segments, of_segments, recordings))
    expected = of_layers(other, recordings).softmax(dim=1) * machine(segments, recordings).softmax(dim=1)
    expected = expected / expected.sum(dim=1, keepdim=True)
    torch.testing.assert_close(combined(both, recordings).softmax(dim=1), expected, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(("name", "value"), [("c", 0), ("c", True), ("l2", 0)])
def test_impossible_values_are_refused(name, value):
    with pytest.raises(ValueError, match=rf"model\.{name}={value} must be above 0"):
        SupportVectorClassifier(3, [6], **{name: value})
