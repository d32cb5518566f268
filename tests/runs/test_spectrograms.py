"""`data=spectrograms` trains on the original's files without converting them."""

import json

import numpy as np
import pytest

from birdnet_nl.util.failure import explain


@pytest.fixture
def root(tmp_path):
    rng = np.random.default_rng(4)
    for kind in ("song", "call"):
        folder = tmp_path / "nas" / "spectrograms-Merel" / kind
        folder.mkdir(parents=True)
        for id in range(6):
            for number in range(2):
                np.save(folder / f"XC{kind == 'song'}{id}_seg{number:03d}.npy", rng.random((128, 282), np.float32))
    return tmp_path / "nas"


OVERRIDES = ["species=merel", "data=spectrograms", "mel.n_mels=128", "mel.hop_samples=512", "trainer.max_epochs=1"]


def test_a_run_on_spectrograms_ends_like_any_other(train_in_process, tmp_path, root):
    (root / "spectrograms-Merel/song/XCTrue0_seg000.npy").write_bytes(b"junk")
    run_dir = train_in_process(tmp_path / "run", *OVERRIDES, f"data.root={root}")
    metrics = json.loads((run_dir / "metrics.json").read_text())
    assert metrics["types"] == ["song", "call"] and metrics["synthetic"] is False
    assert sum(sum(counts.values()) for counts in metrics["counts"]["segments"].values()) == 23
    assert [path.rpartition("/")[2] for path in metrics["left_out"]["files"]] == ["XCTrue0_seg000.npy"]


def test_another_front_end_than_the_originals_is_told(train_in_process, tmp_path, root):
    with pytest.raises(Exception) as caught:
        train_in_process(tmp_path / "run", *OVERRIDES, f"data.root={root}", "mel.n_mels=64")
    assert "has the shape 128 × 282, expected 64 × 282" in explain(caught.value)


def test_a_root_without_spectrograms_is_told(train_in_process, tmp_path):
    (tmp_path / "nas").mkdir()
    with pytest.raises(Exception) as caught:
        train_in_process(tmp_path / "run", *OVERRIDES, f"data.root={tmp_path / 'nas'}")
    assert "holds no spectrograms-merel" in explain(caught.value)
