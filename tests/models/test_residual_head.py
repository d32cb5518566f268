"""Residual head: it starts at the base's prediction, and only the head is trained."""

import pytest
import torch

from birdnet_nl.models.residual_head import ResidualHead

BASES = {
    "compact_cnn": (
        {"_target_": "birdnet_nl.models.compact_cnn.CompactCnn", "types": 3, "channels": [4, 6], "dropout": 0.5},
        (torch.rand(5, 1, 32, 40),),
    ),
    "recording_classifier": (
        {
            "_target_": "birdnet_nl.models.recording_classifier.RecordingClassifier",
            "types": 3, "blocks": [6], "pooling": ["mean"], "l2": 1.0, "landmarks": 4,
        },
        (torch.randn(10, 7), torch.arange(10) // 2),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("base", "inputs"), BASES.values(), ids=BASES)
def test_it_starts_at_the_scaled_logits_of_the_base_and_keeps_the_base_frozen(base, inputs):
    network = ResidualHead(3, base, logit_scale=0.5, l2=1.0).train()
    torch.testing.assert_close(network(*inputs), 0.5 * network.base(*inputs))
    assert torch.equal(network(*inputs), network(*inputs))  # no dropout in the base
    trainable = [name for name, parameter in network.named_parameters() if parameter.requires_grad]
    assert trainable == ["head.weight", "head.bias"]
    assert {id(parameter) for parameter in network.regularized_parameters()} == {
        id(p) for p in network.head.parameters()
    }


def test_scaled_features_have_mean_zero_and_a_mean_squared_norm_of_one():
    base, inputs = BASES["compact_cnn"]
    network = ResidualHead(3, base, logit_scale=1.0, l2=1.0)
    features = network.forward_features(*inputs)
    network.fit_scaler(features)
    _, scaled = network.transform(features)
    torch.testing.assert_close(scaled.mean(dim=0), torch.zeros(6), atol=1e-5, rtol=0)
    assert float(scaled.square().sum(dim=1).mean()) == pytest.approx(1, rel=1e-4)

    with pytest.raises(ValueError, match=r"model\.l2=0 must be above 0"):
        ResidualHead(3, base, 1.0, 0)
