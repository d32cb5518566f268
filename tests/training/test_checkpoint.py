"""A checkpoint holds weights and metadata, loads without running code, and errors are one sentence."""

import pickle
import re
import zipfile

import pytest
import torch

from birdnet_nl.training.checkpoint import (
    AtomicCheckpointIO,
    DivergedError,
    check_resumable,
    finalize_checkpoint,
    load_weights,
    read_checkpoint,
)
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


@pytest.mark.parametrize(
    ("share", "damage"), [(0.0, "is empty"), (0.5, "is cut off or damaged"), (0.98, "is cut off or damaged")]
)
def test_a_truncated_checkpoint_is_reported(checkpoint, share, damage):
    content = checkpoint.read_bytes()
    checkpoint.write_bytes(content[: int(share * len(content))])
    with pytest.raises(RunError, match=rf"best\.ckpt {damage}, so it is no checkpoint; use another"):
        read_checkpoint(checkpoint)


def test_a_checkpoint_with_a_damaged_byte_is_reported(checkpoint):
    content = bytearray(checkpoint.read_bytes())
    place = content.index(torch.zeros(1000).numpy().tobytes()) + 500
    content[place] = 7
    checkpoint.write_bytes(content)
    try:
        read_checkpoint(checkpoint)  # torch checks no checksums
    except RunError as error:
        assert "is damaged" in str(error)


def zip_of_text(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", "hello")


@pytest.mark.parametrize(
    ("write", "damage"),
    [
        (lambda path: path.write_bytes(b"hello, this is text"), "is a file of another kind"),
        (lambda path: path.write_bytes(b"\x80\x02garbage"), "is a file of another kind"),
        (lambda path: path.write_bytes(b"\x08\x0a\x12\x07pytorch\x1a\x052.13"), "is a file of another kind"),  # ONNX
        (lambda path: path.write_bytes(pickle.dumps({"a": print})), "is a file of another kind"),
        (lambda path: path.mkdir(), "is a folder"),
        (zip_of_text, "is an archive of another kind"),
        (lambda path: torch.save(torch.nn.Linear(1, 1), path), "holds other objects than tensors"),
    ],
    ids=["text", "pickle magic", "onnx", "pickle", "folder", "zip", "module"],
)
def test_a_file_that_is_no_checkpoint_is_one_sentence_of_ours(tmp_path, write, damage):
    write(tmp_path / "best.ckpt")
    with pytest.raises(RunError) as caught:
        read_checkpoint(tmp_path / "best.ckpt")
    assert str(caught.value).startswith(f"{tmp_path}/best.ckpt {damage}")
    assert str(caught.value).endswith("so it is no checkpoint; use another, or train again")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda content: content["birdnet_nl"].update(version="99.1.0"),
            "was written by birdnet_nl 99.1.0 and this is",
        ),
        (lambda content: content.pop("state_dict"), "holds no weights"),
        (lambda content: content.update(state_dict=[1, 2]), "holds no weights"),
        (lambda content: content.update(birdnet_nl="?"), "is a checkpoint of another program"),
        (lambda content: content["state_dict"]["bias"].fill_(torch.nan), "its weights bias are not all finite"),
        (lambda content: content["birdnet_nl"].update(state={"w": torch.tensor(torch.inf)}), "its weights state.w are"),
    ],
    ids=["newer", "no weights", "weights of another kind", "metadata of another kind", "nan", "embedding state"],
)
def test_a_checkpoint_with_other_content_is_reported(checkpoint, change, sentence):
    content = torch.load(checkpoint, weights_only=True)
    change(content)
    torch.save(content, checkpoint)
    with pytest.raises(RunError, match=re.escape(f"{checkpoint} ") + ".*" + re.escape(sentence)):
        read_checkpoint(checkpoint)


@pytest.mark.parametrize("place", ["state_dict", "optimizer_states", "averaging"])
def test_weights_that_are_no_finite_numbers_never_replace_a_checkpoint(checkpoint, place):
    before = checkpoint.read_bytes()
    content = {"state_dict": {"w": torch.ones(3)}, "callbacks": {"best": torch.tensor(torch.inf)}, "birdnet_nl": {}}
    AtomicCheckpointIO().save_checkpoint(content, checkpoint.with_name("other.ckpt"))  # no best value yet is no fault
    content[place] = [{"w": torch.tensor([1.0, torch.nan])}]
    with pytest.raises(DivergedError, match=r"no longer finite, so best\.ckpt stays that of an earlier epoch"):
        AtomicCheckpointIO().save_checkpoint(content, checkpoint)
    assert checkpoint.read_bytes() == before


def test_a_checkpoint_of_another_program_is_reported(tmp_path):
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    with pytest.raises(RunError, match=r"other\.ckpt is a checkpoint of another program"):
        read_checkpoint(tmp_path / "other.ckpt")


def test_code_in_a_checkpoint_is_never_run(tmp_path):
    class Malicious:
        def __reduce__(self):
            return (print, ("ran",))

    torch.save({"birdnet_nl": Malicious()}, tmp_path / "bad.ckpt")
    with pytest.raises(RunError, match="which are never loaded, so it is no checkpoint"):
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


def test_a_training_resumes_only_from_its_own_state(checkpoint):
    module = torch.nn.Linear(2, 2)
    state = dict.fromkeys(("epoch", "global_step", "loops", "callbacks", "optimizer_states", "lr_schedulers"), 0)
    content = {"state_dict": module.state_dict(), "birdnet_nl": {"history": []}, **state, "callbacks": {}}
    check_resumable(checkpoint, content, module)
    with pytest.raises(RunError, match=r"belong to another network; delete .*best\.ckpt and resume again"):
        check_resumable(checkpoint, content, torch.nn.Linear(3, 2))
    for key in ("loops", "optimizer_states"):
        lacking = {name: value for name, value in content.items() if name != key}
        with pytest.raises(RunError, match="holds no state of a training; delete"):
            check_resumable(checkpoint, lacking, module)
