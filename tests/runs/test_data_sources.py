"""Runs on recordings at an address, and on the spectrograms of the original system."""

import numpy as np
import pytest

from birdnet_nl.util.failure import explain
from tests.runs.conftest import read_metrics

SPECTROGRAMS = ["species=merel", "data=spectrograms", "mel.n_mels=128", "mel.hop_samples=512", "trainer.max_epochs=1"]


@pytest.mark.slow
def test_recordings_at_an_address_train_the_same_network_as_in_a_folder(train_in_process, cache, tmp_path):
    overrides = ["species=koolmees", "trainer.max_epochs=1", "evaluation.plots=false"]
    folder = read_metrics(train_in_process(tmp_path / "folder", *overrides))
    address = read_metrics(
        train_in_process(tmp_path / "address", *overrides, "data=auto", f"data.root=file://{cache}/demo")
    )
    assert address["synthetic"] and address["data_fingerprint"] == folder["data_fingerprint"]
    assert address["results"] == folder["results"]
    assert list((cache / "remote").glob("*/xeno-canto-koolmees/song/*.mp3"))


@pytest.fixture
def spectrograms(tmp_path):
    """A root with twelve recordings of two segments each."""
    rng = np.random.default_rng(4)
    for series, vocalization_type in enumerate(("song", "call")):
        folder = tmp_path / "nas" / "spectrograms-Merel" / vocalization_type
        folder.mkdir(parents=True)
        for number in range(6):
            for segment in range(2):
                mel = rng.random((128, 282), np.float32)
                np.save(folder / f"XC{series}{number}_seg{segment:03d}.npy", mel)
    return tmp_path / "nas"


def test_a_run_on_spectrograms(train_in_process, tmp_path, spectrograms):
    (spectrograms / "spectrograms-Merel/song/XC00_seg000.npy").write_bytes(b"junk")
    metrics = read_metrics(train_in_process(tmp_path / "run", *SPECTROGRAMS, f"data.root={spectrograms}"))
    assert metrics["types"] == ["song", "call"] and metrics["synthetic"] is False
    assert sum(sum(counts.values()) for counts in metrics["counts"]["segments"].values()) == 23
    assert [path.rpartition("/")[2] for path in metrics["left_out"]["files"]] == ["XC00_seg000.npy"]


def test_spectrograms_of_another_front_end_are_refused(train_in_process, tmp_path, spectrograms):
    with pytest.raises(Exception) as caught:
        train_in_process(tmp_path / "run", *SPECTROGRAMS, f"data.root={spectrograms}", "mel.n_mels=64")
    assert "has the shape 128 × 282, expected 64 × 282" in explain(caught.value)


def test_a_root_without_spectrograms_is_an_error(train_in_process, tmp_path):
    (tmp_path / "nas").mkdir()
    with pytest.raises(Exception) as caught:
        train_in_process(tmp_path / "run", *SPECTROGRAMS, f"data.root={tmp_path / 'nas'}")
    assert "holds no spectrograms-merel" in explain(caught.value)
