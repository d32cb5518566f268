"""Pretrained weights: written and read, loaded into networks that they fit, otherwise refused with the reason."""

from dataclasses import asdict

import pytest
import torch
from hydra.utils import instantiate

from birdnet_nl.models.pretrained import SHIPPED, read_pretrained, write_pretrained
from birdnet_nl.models.registry import build_network, describe_network
from birdnet_nl.training.pretrain import MEL
from birdnet_nl.util.errors import RunError

SMALL = {"_target_": "birdnet_nl.models.compact_cnn.CompactCnn", "types": 3, "channels": [4, 6], "dropout": 0.0}
TYPES = ["song", "call", "alarm"]


@pytest.fixture
def written(tmp_path, small_mel):
    torch.manual_seed(1)
    network, path = build_network(SMALL).eval(), tmp_path / "pretrained.pt"
    made = {"generator": "2", "recordings": 60, "steps": 1, "seed": 1}
    metadata = {"network": SMALL, "mel": asdict(small_mel), "segment_s": 3.0, "types": TYPES, **made}
    write_pretrained(path, network, metadata)
    return network, path


@pytest.mark.parametrize("types", [TYPES, ["alarm", "song"]])
def test_a_network_predicts_its_types_as_the_written_one_did(written, types):
    network, path = written
    loaded = build_network({**SMALL, "dropout": 0.5, "types": len(types)}).eval()
    read_pretrained(path).load_into(loaded, types)
    mel = torch.rand(5, 1, 32, 40, generator=torch.Generator().manual_seed(2))
    expected = network(mel)[:, [TYPES.index(name) for name in types]]
    torch.testing.assert_close(loaded(mel), expected, atol=5e-3, rtol=5e-3)


def test_a_mismatch_is_described(written, small_mel):
    pretrained = read_pretrained(written[1])
    same = {**SMALL, "dropout": 0.4, "pretrained": "synthetic", "_partial_": True}
    assert pretrained.mismatch(same, small_mel, 3.0) is None
    other_sizes = pretrained.mismatch({**SMALL, "channels": [4, 8]}, small_mel, 3.0)
    assert other_sizes == "they are for a CompactCnn with channels=[4, 6]"
    assert "mel front end" in pretrained.mismatch(SMALL, MEL, 3.0)
    assert "segment length" in pretrained.mismatch(SMALL, small_mel, 2.0)


def test_types_that_the_weights_were_not_trained_on_keep_their_initial_outputs(written):
    """The rest of the network is pretrained, whatever the types are."""
    network, path = written
    loaded = build_network({**SMALL, "types": 3}).eval()
    initial = {name: value.clone() for name, value in loaded.state_dict().items()}
    read_pretrained(path).load_into(loaded, ["drumming", "alarm", "begging"])
    pretrained, state = network.state_dict(), loaded.state_dict()
    for name, value in state.items():
        if not name.startswith("head."):
            torch.testing.assert_close(value, pretrained[name], atol=5e-3, rtol=5e-3)
            continue
        torch.testing.assert_close(value[1], pretrained[name][2], atol=5e-3, rtol=5e-3)
        torch.testing.assert_close(value[[0, 2]], initial[name][[0, 2]])


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "weights.pt"
    with pytest.raises(RunError, match="does not exist; make it with birdnet-nl pretrain"):
        read_pretrained(path)
    path.write_bytes(SHIPPED.read_bytes()[:4000])
    with pytest.raises(RunError, match="is cut off or damaged, so it holds no pretrained weights"):
        read_pretrained(path)
    torch.save({"state_dict": {}}, path)
    with pytest.raises(RunError, match="holds no pretrained weights"):
        read_pretrained(path)


def test_weights_that_are_no_finite_numbers_are_refused(written):
    _, path = written
    content = torch.load(path, weights_only=True)
    next(value for value in content["weights"].values() if value.is_floating_point()).view(-1)[0] = torch.inf
    torch.save(content, path)
    with pytest.raises(RunError, match="are not all finite numbers"):
        read_pretrained(path)


def test_weights_that_do_not_fit_their_own_description_are_refused(written):
    network, path = written
    content = torch.load(path, weights_only=True)
    name = next(iter(content["weights"]))
    content["weights"][name] = content["weights"][name][:1]
    torch.save(content, path)
    with pytest.raises(RunError, match="are not those of a CompactCnn"):
        read_pretrained(path).load_into(network, TYPES)


def test_weights_of_0_1_are_refused(tmp_path):
    torch.save({"practised": {}, "weights": {}}, tmp_path / "old.pt")
    with pytest.raises(RunError, match=r"made by birdnet_nl 0\.1 .*; make it again with birdnet-nl pretrain"):
        read_pretrained(tmp_path / "old.pt")


def test_the_shipped_weights_fit_trainer_turbo(compose_config):
    cfg = compose_config("trainer=turbo", "species=koolmees")
    shipped = read_pretrained(SHIPPED)
    description = {**describe_network(instantiate(cfg.model)), "types": 3}
    assert shipped.mismatch(description, instantiate(cfg.mel), cfg.data.segment_s) is None
    assert shipped.metadata["accuracy"] > 0.65  # on further synthetic recordings; chance is 0.33
