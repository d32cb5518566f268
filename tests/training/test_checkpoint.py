"""A checkpoint holds weights and metadata, loads without running code, and errors are one sentence."""

import pytest
import torch

from birdnet_nl.training.checkpoint import finalize_checkpoint, load_weights, read_checkpoint
from birdnet_nl.util.errors import RunError


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "best.ckpt"
    content = {
        "state_dict": torch.nn.Linear(2, 2).state_dict(),
        "optimizer_states": [torch.zeros(1000)],
        "birdnet_nl": {"types": ["song", "call"], "temperature": 1.0},
    }
    torch.save(content, path)
    return path


def test_a_missing_checkpoint_is_reported(tmp_path):
    with pytest.raises(RunError, match=r"absent\.ckpt does not exist; a run writes it after its first epoch"):
        read_checkpoint(tmp_path / "absent.ckpt")


@pytest.mark.parametrize("share", [0.0, 0.5, 0.98])
def test_a_truncated_checkpoint_is_reported(checkpoint, share):
    content = checkpoint.read_bytes()
    checkpoint.write_bytes(content[: int(share * len(content))])
    with pytest.raises(RunError, match=r"best\.ckpt is not a complete checkpoint"):
        read_checkpoint(checkpoint)


@pytest.mark.parametrize("content", [b"hello, this is text", b"\x80\x02garbage"])
def test_a_file_that_is_no_checkpoint_is_reported(tmp_path, content):
    (tmp_path / "best.ckpt").write_bytes(content)
    with pytest.raises(RunError, match=r"best\.ckpt is not a complete checkpoint"):
        read_checkpoint(tmp_path / "best.ckpt")


def test_a_checkpoint_of_another_program_is_reported(tmp_path):
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    with pytest.raises(RunError, match=r"other\.ckpt is a checkpoint of another program"):
        read_checkpoint(tmp_path / "other.ckpt")


def test_code_in_a_checkpoint_is_never_run(tmp_path):
    class Malicious:
        def __reduce__(self):
            return (print, ("ran",))

    torch.save({"birdnet_nl": Malicious()}, tmp_path / "bad.ckpt")
    with pytest.raises(Exception, match=r"(?i)weights.only|not a complete checkpoint"):
        read_checkpoint(tmp_path / "bad.ckpt")


def test_decisions_join_the_metadata_and_the_training_state_is_dropped(checkpoint):
    before = checkpoint.stat().st_size
    finalize_checkpoint(checkpoint, temperature=2.5, pooling="mean")
    content = read_checkpoint(checkpoint)
    assert set(content) == {"state_dict", "birdnet_nl"} and checkpoint.stat().st_size < before
    assert content["birdnet_nl"] == {"types": ["song", "call"], "temperature": 2.5, "pooling": "mean"}
    assert not list(checkpoint.parent.glob("*.part"))


def test_weights_of_another_network_are_refused(checkpoint):
    content = read_checkpoint(checkpoint)
    module = torch.nn.Linear(2, 2)
    load_weights(module, content)
    assert torch.equal(module.weight, content["state_dict"]["weight"])
    with pytest.raises(RunError, match="belong to another network"):
        load_weights(torch.nn.Linear(3, 2), content)
