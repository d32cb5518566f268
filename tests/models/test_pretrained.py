"""Weights that have practised: written and read alike, given to networks they fit, else refused with the reason."""

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from birdnet_nl.models.pretrained import SHIPPED, read_pretrained, write_pretrained
from birdnet_nl.models.registry import build_network
from birdnet_nl.training.practising import MEL, NETWORK, SEGMENT_S
from birdnet_nl.util.errors import RunError

SMALL = {"_target_": "birdnet_nl.models.compact_cnn.CompactCnn", "types": 3, "channels": [4, 6], "dropout": 0.0}
TYPES = ["song", "call", "alarm"]


@pytest.fixture
def written(tmp_path, small_mel):
    from dataclasses import asdict

    torch.manual_seed(1)
    network = build_network(SMALL).eval()
    path = tmp_path / "practised.pt"
    write_pretrained(path, network, {"network": SMALL, "mel": asdict(small_mel), "segment_s": 3.0, "types": TYPES})
    return network, path


def test_what_is_read_answers_as_what_was_written(written):
    network, path = written
    other = build_network({**SMALL, "dropout": 0.5}).eval()
    read_pretrained(path).give_to(other, TYPES)
    mel = torch.rand(5, 1, 32, 40, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(other(mel), network(mel), atol=5e-3, rtol=5e-3)


def test_a_network_of_two_types_gets_the_rows_of_these(written):
    network, path = written
    two = build_network({**SMALL, "types": 2}).eval()
    read_pretrained(path).give_to(two, ["alarm", "song"])
    mel = torch.rand(5, 1, 32, 40, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(two(mel), network(mel)[:, [2, 0]], atol=5e-3, rtol=5e-3)


def test_a_misfit_is_named(written, small_mel):
    pretrained = read_pretrained(written[1])
    assert pretrained.misfit({**SMALL, "dropout": 0.4, "pooling": "log_mean_exp"}, small_mel, 3.0, ["call"]) is None
    assert "CompactCnn of other sizes" in pretrained.misfit({**SMALL, "channels": [4, 8]}, small_mel, 3.0, TYPES)
    assert "front end" in pretrained.misfit(SMALL, MEL, 3.0, TYPES)
    assert "length of segments" in pretrained.misfit(SMALL, small_mel, 2.0, TYPES)
    assert "do not know drumming" in pretrained.misfit(SMALL, small_mel, 3.0, ["song", "drumming"])


def test_a_file_that_is_not_such_weights_is_refused(tmp_path):
    with pytest.raises(RunError, match="is not there"):
        read_pretrained(tmp_path / "none.pt")
    (tmp_path / "cut.pt").write_bytes(SHIPPED.read_bytes()[:4000])
    with pytest.raises(RunError, match="does not hold practised weights"):
        read_pretrained(tmp_path / "cut.pt")
    torch.save({"state_dict": {}}, tmp_path / "other.pt")
    with pytest.raises(RunError, match="does not hold practised weights"):
        read_pretrained(tmp_path / "other.pt")


def test_the_weights_that_come_along_fit_our_parameter_set(compose_config):
    cfg = compose_config("trainer=turbo", "species=koolmees")
    network, mel = {**OmegaConf.to_container(cfg.model), "types": 3}, instantiate(cfg.mel)
    assert (mel, cfg.data.segment_s) == (MEL, SEGMENT_S)
    assert network == NETWORK
    shipped = read_pretrained(SHIPPED)
    assert shipped.misfit(network, mel, cfg.data.segment_s, TYPES) is None
    assert shipped.card["judged_right"] > 0.65  # of invented recordings that they did not learn from; chance is 0.33
