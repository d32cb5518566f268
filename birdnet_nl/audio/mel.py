"""Log-mel spectrograms: parameters, mel filterbank, computation, and normalisation for a network."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from scipy.sparse import csr_array

from birdnet_nl.util.errors import SetupError

NORMALISATIONS = ("segment_peak", "band_median")
POWER_FLOOR = 1e-10  # librosa's amin: the smallest power that is distinguished from silence
BLOCK_FRAMES = 256  # computed at once: their spectra fit in the processor's cache, and memory stays constant


@dataclass(frozen=True)
class MelParams:
    """Parameters of the log-mel spectrogram; the checkpoint stores them, so that prediction uses those of training.

    Attributes:
        hop_samples: samples from one frame to the next.
        normalisation: input of the network. `segment_peak`: dB below the segment's peak, cut at `floor_db` and scaled
            to 0…1 per segment (the original's). `band_median`: dB above the median of each band over the recording,
            clamped to `floor_db`…`ceiling_db` and scaled to 0…1; loudness stays comparable between segments.
        floor_db, ceiling_db: see `normalisation`; `segment_peak` has its ceiling at 0.
    """

    sample_rate_hz: int
    n_fft: int
    hop_samples: int
    n_mels: int
    f_min_hz: float
    f_max_hz: float
    normalisation: str
    floor_db: float
    ceiling_db: float

    def __post_init__(self) -> None:
        for name in ("sample_rate_hz", "n_fft", "hop_samples", "n_mels"):
            if getattr(self, name) <= 0:
                raise ValueError(f"mel.{name}={getattr(self, name)} must be above 0")
        if self.f_max_hz > self.sample_rate_hz / 2:
            raise ValueError(
                f"mel.f_max_hz={self.f_max_hz} exceeds half of mel.sample_rate_hz={self.sample_rate_hz}; "
                f"choose at most {self.sample_rate_hz / 2:g}"
            )
        if not 0 <= self.f_min_hz < self.f_max_hz:
            raise ValueError(f"mel.f_min_hz={self.f_min_hz} must be at least 0 and below mel.f_max_hz={self.f_max_hz}")
        if self.hop_samples > self.n_fft:
            raise ValueError(
                f"mel.hop_samples={self.hop_samples} skips samples between frames of mel.n_fft={self.n_fft}; "
                f"choose at most {self.n_fft}"
            )
        if self.n_mels > self.n_fft // 2:
            raise ValueError(
                f"mel.n_mels={self.n_mels} is more than mel.n_fft={self.n_fft} can resolve; "
                f"choose at most {self.n_fft // 2}"
            )
        if self.normalisation not in NORMALISATIONS:
            raise ValueError(
                f"mel.normalisation={self.normalisation} is unknown; choose one of {', '.join(NORMALISATIONS)}"
            )
        if self.normalisation == "segment_peak" and self.ceiling_db != 0:
            raise ValueError(
                f"mel.ceiling_db={self.ceiling_db} must be 0 with mel.normalisation=segment_peak: the peak itself"
            )
        if self.floor_db >= self.ceiling_db:
            raise ValueError(f"mel.floor_db={self.floor_db} must be below mel.ceiling_db={self.ceiling_db}")

    @property
    def frames_per_s(self) -> float:
        return self.sample_rate_hz / self.hop_samples

    @property
    def padding_db(self) -> float:
        """Value that represents silence beyond the end of a recording."""
        return 0.0 if self.normalisation == "band_median" else 10 * math.log10(POWER_FLOOR)

    def segment_frames(self, segment_s: float) -> int:
        """Return the frames of a segment; 3 s at 48 kHz and `hop_samples=512` give 282, as in the original."""
        return 1 + round(segment_s * self.sample_rate_hz) // self.hop_samples


WIDE_COARSE = MelParams(  # equal to conf/mel/wide_coarse.yaml, which a test checks
    sample_rate_hz=32_000,
    n_fft=1024,
    hop_samples=480,
    n_mels=96,
    f_min_hz=100.0,
    f_max_hz=15_000.0,
    normalisation="band_median",
    floor_db=-10.0,
    ceiling_db=50.0,
)
"""Front end of networks trained outside a run's configuration: pretrained weights, modulation and distillation."""


@dataclass(frozen=True)
class Filterbank:
    """Mel filterbank as a sparse matrix; a bin belongs to at most two bands, so 1/60 of a dense product is computed.

    Attributes:
        bins: the part of a spectrum [1 + n_fft / 2] that any band needs.
        weights: float32 [mels, used bins]; `weights @ power[bins]` gives the bands of `power` [bins, frames].
    """

    bins: slice
    weights: csr_array


@lru_cache(maxsize=4)
def mel_filterbank(params: MelParams) -> Filterbank:
    """Build the filterbank from torchaudio's coefficients; raises `SetupError` when torchaudio cannot be imported.

    librosa's coefficients differ by at most 7e-6 of the peak, but its import takes over a second (numba).
    """
    try:
        from torchaudio.functional import melscale_fbanks
    except (OSError, ImportError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise SetupError(
            f"torchaudio cannot be imported ({reason}); beside a CPU-only torch its compiled part "
            "must be moved aside, run: python -m birdnet_nl.audio.repair_torchaudio"
        ) from error
    bands = melscale_fbanks(
        n_freqs=1 + params.n_fft // 2,
        f_min=params.f_min_hz,
        f_max=params.f_max_hz,
        n_mels=params.n_mels,
        sample_rate=params.sample_rate_hz,
        norm="slaney",  # the original used librosa, so slaney for both
        mel_scale="slaney",
    )  # [bins, mels]
    bins_per_hz = params.n_fft / params.sample_rate_hz
    used = slice(int(params.f_min_hz * bins_per_hz), int(params.f_max_hz * bins_per_hz) + 1)
    return Filterbank(used, csr_array(bands[used].T.numpy()))


def band_centres_hz(params: MelParams) -> np.ndarray:
    """Compute the centre of gravity of each band, [mels]; 0 for a band too narrow to contain a bin."""
    bands = mel_filterbank(params)
    bins = np.arange(bands.bins.start, bands.bins.start + bands.weights.shape[1])
    bins_hz = bins * params.sample_rate_hz / params.n_fft
    return (bands.weights @ bins_hz) / np.maximum(bands.weights.sum(axis=1), 1e-12)


@torch.inference_mode()
def log_mel(samples: np.ndarray, params: MelParams) -> np.ndarray:
    """Compute the mel spectrogram in dB re full scale of a whole recording: [samples] -> float32 [mels, frames].

    Frames are centred on multiples of `hop_samples`, with zeros beyond both ends (librosa's `center=True,
    pad_mode="constant"`). With `band_median` each band's median over the recording is subtracted.
    """
    bands = mel_filterbank(params)
    n_frames = 1 + len(samples) // params.hop_samples
    padded = torch.nn.functional.pad(torch.from_numpy(samples), (params.n_fft // 2, params.n_fft))
    frames = padded.unfold(0, params.n_fft, params.hop_samples)  # [frames, n_fft], a view
    window = torch.hann_window(params.n_fft)
    mel = np.empty((params.n_mels, n_frames), dtype=np.float32)
    for start in range(0, n_frames, BLOCK_FRAMES):
        block = slice(start, min(start + BLOCK_FRAMES, n_frames))
        spectrum = torch.fft.rfft(frames[block] * window)  # -> [frames, 1 + n_fft / 2]
        power = _power(spectrum[:, bands.bins])  # -> [bins, frames]
        mel[:, block] = bands.weights @ power.numpy()  # -> [mels, frames]
    np.maximum(mel, POWER_FLOOR, out=mel)
    np.log10(mel, out=mel)
    mel *= 10  # -> dB
    if params.normalisation == "band_median":
        mel -= lower_median(mel)
    return mel


def _power(spectrum: torch.Tensor) -> torch.Tensor:
    """Squared magnitude, [frames, bins] -> [bins, frames], contiguous by bin; overwrites `spectrum`."""
    squares = torch.view_as_real(spectrum).square_()
    power = torch.empty(spectrum.shape[::-1])
    return torch.add(squares[..., 0].T, squares[..., 1].T, out=power)


def lower_median(mel: np.ndarray) -> np.ndarray:
    """Compute the median of each band, [mels, 1]; of an even number of frames the lower of the two middle values."""
    middle = (mel.shape[1] - 1) // 2
    return np.partition(mel, middle, axis=1)[:, middle, None]


class Normalise(torch.nn.Module):
    """Scaling of mels to a network's input: dB [batch, mels, frames] -> 0…1, same shape; see `MelParams`."""

    def __init__(self, params: MelParams) -> None:
        super().__init__()
        self.params = params

    def forward(self, mel_db: torch.Tensor) -> torch.Tensor:
        params = self.params
        mel_db = mel_db.float()
        if params.normalisation == "band_median":
            range_db = params.ceiling_db - params.floor_db
            return (mel_db.clamp(params.floor_db, params.ceiling_db) - params.floor_db) / range_db
        peak = mel_db.amax(dim=(-2, -1), keepdim=True)
        below_peak = (mel_db - peak).clamp_(min=params.floor_db)
        lowest = below_peak.amin(dim=(-2, -1), keepdim=True)
        return (below_peak - lowest) / (-lowest).clamp_(min=1e-6)
