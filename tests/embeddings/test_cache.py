"""Cached embeddings: computed once, for the windows asked for, by any number of workers; damaged files are replaced."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from birdnet_nl.audio.cache import cache_mels
from birdnet_nl.embeddings.base import EmbeddingModel
from birdnet_nl.embeddings.cache import check_demo, check_windows, embed_recordings, embeddings_key
from birdnet_nl.embeddings.frozen_cnn import FrozenCnn
from birdnet_nl.recordings.recording import Recording
from birdnet_nl.util.errors import DataError, SetupError

RATE_HZ, HOP_S = 8000, 0.5


@pytest.fixture
def recordings(tmp_path) -> list[Recording]:
    """Recordings of half a second of 0.1, half a second of 0.2, and so on."""
    recordings = []
    for number, steps in enumerate((5, 3)):
        samples = np.repeat(np.arange(1, steps + 1) / 10, RATE_HZ // 2).astype(np.float32)
        path = tmp_path / f"{number}.wav"
        soundfile.write(path, samples, RATE_HZ, subtype="FLOAT")
        recordings.append(Recording(f"XC{number}", path, "koolmees", "song", "song"))
    return recordings


@pytest.fixture
def embed(recordings, small_mel, tmp_path):
    mels, unusable = cache_mels(recordings, small_mel, tmp_path / "mel", workers=1)
    assert not unusable

    def embed(model: EmbeddingModel, windows=(4, 2), workers: int = 1, hop_s: float = HOP_S):
        counts = {recording.id: count for recording, count in zip(recordings, windows, strict=True)}
        return embed_recordings(recordings, mels, counts, model, hop_s, tmp_path / "embeddings", workers)

    return embed


def files(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "embeddings").rglob("*.npy"))


def test_a_row_holds_the_species_score_and_the_embedding_of_its_window(embed, loudness):
    rows = embed(loudness(), windows=(5, 3))["XC0"]
    assert rows.dtype == np.float16 and rows.shape == (5, 3)
    np.testing.assert_allclose(rows[:, 0], len("koolmees"))
    np.testing.assert_allclose(rows[:, 2], [0.2, 0.3, 0.4, 0.5, 0.5], atol=1e-3)
    np.testing.assert_allclose(rows[4, 1], 0.25, atol=1e-3)  # half of the last window is beyond the end


def test_concatenated_embeddings_follow_without_their_species_score(embed, loudness):
    model = loudness()
    model.concatenated_with = type("Other", (loudness,), {"version": "2"})()
    rows = embed(model)["XC0"]
    assert len(model.parts) == 2 and rows.shape == (4, 5)
    np.testing.assert_array_equal(rows[:, 3:], rows[:, 1:3])


def test_cached_embeddings_are_not_computed_again(embed, loudness):
    first, second = loudness(), loudness()
    computed = embed(first)
    second.installed = False  # reading needs no extra package
    cached = embed(second)
    assert (first.embedded, second.loaded) == (6, 0)
    for id, rows in computed.items():
        np.testing.assert_array_equal(rows, cached[id])


@pytest.mark.parametrize(("windows", "embedded"), [((3, 2), 0), ((5, 2), 5)])
def test_fewer_windows_are_read_and_more_are_computed(embed, loudness, windows, embedded):
    embed(loudness())
    second = loudness()
    assert len(embed(second, windows=windows)["XC0"]) == windows[0]
    assert second.embedded == embedded


def test_a_cut_file_is_computed_again(embed, loudness, tmp_path):
    expected = embed(loudness())
    for file in files(tmp_path):
        file.write_bytes(file.read_bytes()[:-5])
    second = loudness()
    np.testing.assert_array_equal(embed(second)["XC1"], expected["XC1"])
    assert second.embedded == 6


def test_workers_do_not_change_the_result(embed, loudness, tmp_path):
    expected = embed(loudness())
    for file in files(tmp_path):
        file.unlink()
    parallel = loudness()
    for id, rows in embed(parallel, workers=5).items():
        np.testing.assert_array_equal(rows, expected[id])
    assert parallel.loaded == 2  # no more than there are recordings to embed


def test_another_version_or_distance_has_another_folder(embed, loudness, tmp_path):
    newer = type("Newer", (loudness,), {"version": "2"})()
    embed(loudness())
    embed(newer)
    embed(loudness(), hop_s=0.25)
    assert len({file.parent for file in files(tmp_path)}) == 3
    assert embeddings_key(newer, HOP_S).startswith("loudness-")


def test_without_the_package_nothing_is_computed(embed, loudness, tmp_path):
    missing = loudness()
    missing.installed = False
    with pytest.raises(SetupError, match="not installed"):
        embed(missing)
    assert not files(tmp_path)


def test_a_worker_that_fails_raises_and_leaves_no_partial_file(embed, recordings, loudness, tmp_path):
    recordings[1].path.unlink()
    with pytest.raises(DataError, match=r"1\.wav cannot be embedded: it does not exist; start again"):
        embed(loudness())
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize(
    ("segment_s", "source", "message"),
    [
        (5.0, "demo", r"data\.segment_s=5\.0 must be 1\.0 with embeddings of loudness"),
        (1.0, "spectrograms", "data=spectrograms has no sound, which loudness needs"),
    ],
)
def test_segments_that_a_model_cannot_embed_are_refused(loudness, segment_s, source, message):
    with pytest.raises(ValueError, match=message):
        check_windows(loudness(), segment_s, source)


def test_a_model_pretrained_on_synthetic_recordings_is_refused_for_the_demo():
    check_demo(FrozenCnn(), synthetic=False)
    with pytest.raises(ValueError, match="embeddings of frozen cannot be evaluated on the demo"):
        check_demo(FrozenCnn(), synthetic=True)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e6], ids=["nan", "inf", "beyond half precision"])
def test_a_recording_whose_embeddings_are_not_finite_is_missing_and_the_others_are_kept(
    embed, recordings, loudness, value, tmp_path
):
    expected = embed(loudness())
    for path in files(tmp_path):
        path.unlink()
    model = loudness()
    load = model.load

    def load_broken():
        inner = load()
        return lambda samples, start, species: (
            inner(samples, start, species) * (value if start and len(samples) > 2 * RATE_HZ else 1)
        )

    model.load = load_broken
    rows = embed(model, workers=2)
    assert list(rows) == ["XC1"] and len(files(tmp_path)) == 1  # nothing that is not finite is stored
    np.testing.assert_array_equal(rows["XC1"], expected["XC1"])
    model.concatenated_with = type("Other", (loudness,), {"version": "2"})()
    assert list(embed(model)) == ["XC1"]


def test_a_cached_file_with_values_that_are_not_finite_is_computed_again(embed, loudness, tmp_path):
    expected = embed(loudness())["XC0"]
    for path in files(tmp_path):
        damaged = np.load(path)
        damaged[-1, -1] = np.nan
        np.save(path, damaged)
    np.testing.assert_array_equal(embed(loudness())["XC0"], expected)
