"""The bands are librosa's, and nothing is lost by looking at the used bins only."""

import librosa
import numpy as np

from birdnet_nl.audio.filterbank import mel_filterbank
from birdnet_nl.audio.mel import MelParams


def filterbank_of(params: MelParams):
    return mel_filterbank(params.sample_rate_hz, params.n_fft, params.n_mels, params.f_min_hz, params.f_max_hz)


def test_the_bands_are_librosas(emsn_mel, wide_mel, small_mel):
    for params in (emsn_mel, wide_mel, small_mel):
        bands = filterbank_of(params)
        ours = np.zeros((params.n_mels, 1 + params.n_fft // 2), dtype=np.float32)
        ours[:, bands.bins] = bands.weights.toarray()
        theirs = librosa.filters.mel(
            sr=params.sample_rate_hz,
            n_fft=params.n_fft,
            n_mels=params.n_mels,
            fmin=params.f_min_hz,
            fmax=params.f_max_hz,
        )
        np.testing.assert_allclose(ours, theirs, atol=2e-4 * theirs.max())


def test_a_bin_belongs_to_two_bands_at_most_so_that_the_product_is_small(emsn_mel, wide_mel):
    for params in (emsn_mel, wide_mel):
        weights = filterbank_of(params).weights
        assert weights.dtype == np.float32
        assert (weights.toarray() > 0).sum(axis=0).max() <= 2
        assert weights.nnz <= 2 * weights.shape[1]


def test_up_to_the_highest_possible_frequency_every_bin_is_there():
    assert mel_filterbank(48000, 2048, 64, 0.0, 24000.0).bins == slice(0, 1025)
