"""From a description to a network, and to no other code."""

import pytest
import torch

from birdnet_nl.models.emsn_cnn import EmsnCnn
from birdnet_nl.models.registry import build_network, check_network
from birdnet_nl.util.errors import RunError

TINY = {
    "_target_": "birdnet_nl.models.emsn_cnn.EmsnCnn", "types": 2, "channels": [4, 8], "hidden": 6,
    "channel_dropout": 0.1, "hidden_dropout": 0.2,
}  # fmt: skip


def test_a_description_gives_its_network():
    network = build_network(TINY)
    assert isinstance(network, EmsnCnn)
    assert (network.features[0].out_channels, network.head[-1].out_features, network.head[2].p) == (4, 2, 0.2)


def test_words_of_hydra_are_not_sizes():
    assert isinstance(build_network({**TINY, "_convert_": "object", "_partial_": False}), EmsnCnn)


def test_a_look_ahead_refuses_what_building_would_and_changes_no_random_number():
    torch.manual_seed(3)
    expected = build_network(TINY).state_dict()
    torch.manual_seed(3)
    check_network({name: value for name, value in TINY.items() if name != "types"})
    for name, value in build_network(TINY).state_dict().items():
        torch.testing.assert_close(value, expected[name], atol=0, rtol=0)
    with pytest.raises(ValueError, match=r"model\.penalty=0 must be above 0"):
        bag = "birdnet_nl.models.recording_classifier.BagNetwork"
        check_network({"_target_": bag, "dimensions": [4], "pooling": ["mean"], "penalty": 0})


def test_the_description_is_left_as_it_was():
    description = dict(TINY)
    build_network(description)
    assert description == TINY


@pytest.mark.parametrize(
    "target", ["os.system", "torch.nn.Linear", "birdnet_nl.runs.train.run", "birdnet_nl.models_evil.Net", ""]
)
def test_code_from_elsewhere_is_refused(target):
    with pytest.raises(RunError, match=r"^a network must come from birdnet_nl\.models, not from"):
        build_network({**TINY, "_target_": target})


def test_the_seed_decides_the_first_weights():
    def weights(seed):
        torch.manual_seed(seed)
        return torch.cat([tensor.flatten() for tensor in build_network(TINY).parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))
