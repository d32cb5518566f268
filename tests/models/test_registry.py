"""Networks from descriptions and back, and no other code; files of tensors."""

import sys
from functools import partial

import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

from birdnet_nl.models.compact_cnn import CompactCnn
from birdnet_nl.models.emsn_cnn import EmsnCnn
from birdnet_nl.models.registry import TRUSTED, build_network, check_network, describe_network, read_tensors
from birdnet_nl.util.errors import RunError

TINY = {
    "_target_": "birdnet_nl.models.emsn_cnn.EmsnCnn", "types": 2, "channels": [4, 8], "hidden": 6,
    "channel_dropout": 0.1, "hidden_dropout": 0.2,
}  # fmt: skip
COMPACT = {"_target_": "birdnet_nl.models.compact_cnn.CompactCnn", "types": 2, "channels": [4], "dropout": 0.1}


class OwnCnn(nn.Module):
    """A network from outside the package."""

    def __init__(self, types: int, width: int) -> None:
        super().__init__()
        self.head = nn.Linear(width, types)


def test_a_description_gives_its_network_without_keys_of_hydra_and_pretrained():
    description = {**TINY, "_convert_": "object", "_partial_": True, "pretrained": "synthetic"}
    before = dict(description)
    network = build_network(description)
    assert isinstance(network, EmsnCnn) and description == before
    assert (network.features[0].out_channels, network.head[-1].out_features, network.head[2].p) == (4, 2, 0.2)


def test_a_compact_cnn_of_0_1_may_name_the_pooling_that_is_left():
    assert isinstance(build_network({**COMPACT, "pooling": "log_mean_exp"}), CompactCnn)
    with pytest.raises(TypeError, match="pooling"):
        build_network({**COMPACT, "pooling": "attention"})


def test_a_check_raises_what_building_would_and_keeps_the_random_state():
    torch.manual_seed(3)
    expected = build_network(TINY).state_dict()
    torch.manual_seed(3)
    check_network({name: value for name, value in TINY.items() if name != "types"})
    for name, value in build_network(TINY).state_dict().items():
        torch.testing.assert_close(value, expected[name], atol=0, rtol=0)
    with pytest.raises(ValueError, match=r"model\.dropout=2 must be"):
        check_network({**COMPACT, "dropout": 2})


def test_a_partial_is_described_in_plain_values_that_build_it():
    arguments = OmegaConf.create({"channels": [4], "dropout": 0.1, "pretrained": None})
    description = describe_network(partial(CompactCnn, **arguments))
    assert description == {"_target_": COMPACT["_target_"], "channels": [4], "dropout": 0.1, "pretrained": None}
    assert type(description["channels"]) is list
    assert isinstance(build_network({**description, "types": 2}), CompactCnn)


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        (partial(dict, a=1), r"^model\._target_=builtins\.dict must be a subclass of torch\.nn\.Module"),
        (partial(CompactCnn, dropout=torch.ones(1)), r"^model\.dropout is a Tensor"),
        (partial(CompactCnn, 3), "keyword arguments"),
    ],
)
def test_a_factory_that_a_checkpoint_cannot_keep_is_refused(factory, message):
    with pytest.raises(ValueError, match=message):
        describe_network(factory)


def test_a_network_from_outside_is_built_where_its_module_is_imported():
    description = describe_network(partial(OwnCnn, width=5))
    assert build_network({**description, "types": 2}).head.in_features == 5


def test_a_network_from_outside_is_imported_where_its_package_is_trusted(tmp_path, monkeypatch):
    (tmp_path / "their_package.py").write_text(
        "from torch import nn\nclass TheirCnn(nn.Linear):\n    def __init__(self, types): super().__init__(4, types)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    description = {"_target_": "their_package.TheirCnn", "types": 2}
    with pytest.raises(RunError, match=rf"their_package\.TheirCnn is not part of .* {TRUSTED}=their_package"):
        build_network(description)
    monkeypatch.setenv(TRUSTED, "another, their_package")
    try:
        assert build_network(description).out_features == 2
    finally:
        sys.modules.pop("their_package")


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("os.system", "is not a subclass of torch.nn.modules.module.Module"),
        ("birdnet_nl.models.registry.RunError", "is not a subclass of"),
        ("birdnet_nl.models.evil.Net", "does not exist here"),
        ("birdnet_nl.models_evil.Net", f"is not part of .* {TRUSTED}=birdnet_nl"),
        ("", "is not part of"),
    ],
)
def test_other_code_is_refused(target, message):
    with pytest.raises(RunError, match=message):
        build_network({**TINY, "_target_": target})


def test_the_seed_determines_the_initial_weights():
    def weights(seed):
        torch.manual_seed(seed)
        return torch.cat([tensor.flatten() for tensor in build_network(TINY).parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_files_of_tensors_are_read_without_running_code(tmp_path):
    path = tmp_path / "weights.pt"
    with pytest.raises(RunError, match="does not exist; make it with a command"):
        read_tensors(path, dict, "weights", "a command")
    for content in ({"weights": print}, {"other": torch.ones(1)}):
        torch.save(content, path)
        with pytest.raises(RunError, match="holds no weights; make it with a command"):
            read_tensors(path, lambda content: content["weights"], "weights", "a command")
