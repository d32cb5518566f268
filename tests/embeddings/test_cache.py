"""Features are made once, for the windows asked for, by as many workers as wanted; broken files are made anew."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from birdnet_nl.audio.cache import cache_mels
from birdnet_nl.embeddings.base import EmbeddingModel, Extract, stretch
from birdnet_nl.embeddings.cache import cache_embeddings, embeddings_key
from birdnet_nl.recordings.recording import Recording
from birdnet_nl.species.table import Species
from birdnet_nl.util.errors import SetupError

RATE_HZ, HOP_S = 8000, 0.5


class Loudness(EmbeddingModel):
    """Mean and largest sample of a second; presence is the length of the species' name."""

    name, version, sample_rate_hz, window_s, dimensions = "loudness", "1", RATE_HZ, 1.0, 2
    licence, credit = "MIT", "this test"

    def __init__(self) -> None:
        self.opened, self.extracted, self.installed = 0, 0, True

    def check(self) -> None:
        if not self.installed:
            raise SetupError("loudness is not installed")

    def open(self) -> Extract:
        self.opened += 1

        def extract(samples: np.ndarray, start: int, species: Species) -> np.ndarray:
            clip = stretch(samples, start, RATE_HZ)
            assert clip.shape == (RATE_HZ,) and clip.dtype == np.float32
            self.extracted += 1
            return np.array([len(species.slug), clip.mean(), clip.max()], dtype=np.float32)

        return extract


@pytest.fixture
def recordings(tmp_path) -> list[Recording]:
    """Two seconds and a bit of steps: half a second of 0.1, 0.2, … each."""
    made = []
    for number, steps in enumerate((5, 3)):
        samples = np.repeat(np.arange(1, steps + 1) / 10, RATE_HZ // 2).astype(np.float32)
        path = tmp_path / f"{number}.wav"
        soundfile.write(path, samples, RATE_HZ, subtype="FLOAT")
        made.append(Recording(f"XC{number}", path, "koolmees", "song", "song"))
    return made


@pytest.fixture
def features_of(recordings, small_mel, tmp_path):
    mels, unusable = cache_mels(recordings, small_mel, tmp_path / "mel", workers=1)
    assert not unusable

    def make(embedding_model: EmbeddingModel, windows=(4, 2), workers: int = 1, hop_s: float = HOP_S):
        counts = {recording.id: count for recording, count in zip(recordings, windows, strict=True)}
        return cache_embeddings(recordings, mels, counts, embedding_model, hop_s, tmp_path / "features", workers)

    return make


def files(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "features").rglob("*.npy"))


def test_a_row_holds_the_presence_and_the_features_of_its_window(features_of):
    rows = features_of(Loudness())["XC0"]
    assert rows.dtype == np.float16 and rows.shape == (4, 3)
    np.testing.assert_allclose(rows[:, 0], len("koolmees"))
    np.testing.assert_allclose(rows[:, 2], [0.2, 0.3, 0.4, 0.5], atol=1e-3)


def test_beyond_the_end_there_is_silence(features_of):
    rows = features_of(Loudness(), windows=(5, 3))["XC0"]
    np.testing.assert_allclose(rows[4, 1:], [0.25, 0.5], atol=1e-3)


def test_what_is_there_is_not_made_again(features_of):
    first, again = Loudness(), Loudness()
    made = features_of(first)
    again.installed = False  # nor is the extra needed to read it
    kept = features_of(again)
    assert (first.extracted, again.opened) == (6, 0)
    for id, rows in made.items():
        np.testing.assert_array_equal(rows, kept[id])


def test_fewer_windows_are_read_and_more_are_made(features_of):
    features_of(Loudness())
    fewer, more = Loudness(), Loudness()
    assert len(features_of(fewer, windows=(3, 2))["XC0"]) == 3 and fewer.extracted == 0
    assert len(features_of(more, windows=(5, 2))["XC0"]) == 5 and more.extracted == 5


def test_a_cut_file_is_made_anew(features_of, tmp_path):
    made = features_of(Loudness())
    for file in files(tmp_path):
        file.write_bytes(file.read_bytes()[:-5])
    again = Loudness()
    np.testing.assert_array_equal(features_of(again)["XC1"], made["XC1"])
    assert again.extracted == 6


def test_workers_do_not_change_the_result(features_of, tmp_path):
    made = features_of(Loudness())
    for file in files(tmp_path):
        file.unlink()
    multilabel = Loudness()
    for id, rows in features_of(multilabel, workers=5).items():
        np.testing.assert_array_equal(rows, made[id])
    assert multilabel.opened == 2  # no more than there are recordings to do


def test_another_version_or_distance_has_a_folder_of_its_own(features_of, tmp_path):
    newer = type("Newer", (Loudness,), {"version": "2"})()
    features_of(Loudness())
    features_of(newer)
    features_of(Loudness(), hop_s=0.25)
    assert len({file.parent for file in files(tmp_path)}) == 3
    assert embeddings_key(newer, HOP_S).startswith("loudness-")


def test_without_the_extractor_nothing_is_begun(features_of, tmp_path):
    lacking = Loudness()
    lacking.installed = False
    with pytest.raises(SetupError, match="not installed"):
        features_of(lacking)
    assert not files(tmp_path)


def test_a_worker_that_fails_says_why_and_leaves_no_half_file(features_of, recordings, tmp_path):
    recordings[1].path.unlink()
    with pytest.raises(FileNotFoundError):
        features_of(Loudness())
    assert not list(tmp_path.rglob("*.part"))
