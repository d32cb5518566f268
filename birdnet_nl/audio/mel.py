"""The log-mel spectrogram of a recording: parameters, computation, and what a network sees of a segment."""

import math
from dataclasses import dataclass

import numpy as np
import torch

from birdnet_nl.audio.filterbank import mel_filterbank

NORMALISATIONS = ("segment_peak", "band_median")
POWER_FLOOR = 1e-10  # librosa's amin: the quietest power that is told apart from silence
BLOCK_FRAMES = 256  # computed at once: their spectra stay in cache, and memory does not grow with duration


@dataclass(frozen=True)
class MelParams:
    """Everything that shapes a mel; saved in the checkpoint, so that prediction hears what training heard.

    Attributes:
        hop_samples: samples from one frame to the next.
        normalisation: what a network sees. `segment_peak`: dB below the segment's loudest point, cut at `floor_db` and
            stretched to 0…1 per segment (the original's). `band_median`: dB above the median of each band over the
            recording, cut to `floor_db`…`ceiling_db` and scaled to 0…1; loudness stays comparable between segments.
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
            raise ValueError(f"mel.f_min_hz={self.f_min_hz} must lie between 0 and mel.f_max_hz={self.f_max_hz}")
        if self.hop_samples > self.n_fft:
            raise ValueError(
                f"mel.hop_samples={self.hop_samples} skips sound between frames of mel.n_fft={self.n_fft}; "
                f"choose at most {self.n_fft}"
            )
        if self.n_mels > self.n_fft // 2:
            raise ValueError(
                f"mel.n_mels={self.n_mels} is more than mel.n_fft={self.n_fft} can tell apart; "
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
        """The value that stands for silence beyond the end of a recording."""
        return 0.0 if self.normalisation == "band_median" else 10 * math.log10(POWER_FLOOR)

    def segment_frames(self, segment_s: float) -> int:
        """Frames of a segment; 3 s at 48 kHz and hop 512 give 282, as in the original."""
        return 1 + round(segment_s * self.sample_rate_hz) // self.hop_samples


WIDE_COARSE = MelParams(  # as in conf/mel/wide_coarse.yaml, which a test compares
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
"""The front end of what is trained outside a run's configuration: practised weights, modulation, students."""


@torch.inference_mode()
def log_mel(samples: np.ndarray, params: MelParams) -> np.ndarray:
    """Mel in dB re full scale of a whole recording: [samples] -> float32 [mels, frames].

    Frames are centred on multiples of `hop_samples`, with zeros beyond both ends (librosa's `center=True,
    pad_mode="constant"`). With `band_median` each band's median over the recording is subtracted.
    """
    bands = mel_filterbank(params.sample_rate_hz, params.n_fft, params.n_mels, params.f_min_hz, params.f_max_hz)
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
    _to_decibels(mel)
    if params.normalisation == "band_median":
        mel -= lower_median(mel)
    return mel


def _power(spectrum: torch.Tensor) -> torch.Tensor:
    """Squared magnitude, [frames, bins] -> [bins, frames], bin by bin in memory; `spectrum` is used up."""
    squares = torch.view_as_real(spectrum).square_()
    power = torch.empty(spectrum.shape[::-1])
    return torch.add(squares[..., 0].T, squares[..., 1].T, out=power)


def _to_decibels(power: np.ndarray) -> None:
    """In place."""
    np.maximum(power, POWER_FLOOR, out=power)
    np.log10(power, out=power)
    np.multiply(power, 10, out=power)


def lower_median(mel: np.ndarray) -> np.ndarray:
    """Of each band, [mels, 1]; of an even number of frames the lower of the two in the middle."""
    middle = (mel.shape[1] - 1) // 2
    return np.partition(mel, middle, axis=1)[:, middle, None]


class Normalise(torch.nn.Module):
    """What a network sees: dB [batch, mels, frames] -> 0…1, same shape, as `MelParams.normalisation` says."""

    def __init__(self, params: MelParams) -> None:
        super().__init__()
        self.params = params

    def forward(self, mel_db: torch.Tensor) -> torch.Tensor:
        params = self.params
        mel_db = mel_db.float()
        if params.normalisation == "band_median":
            return (mel_db.clamp(params.floor_db, params.ceiling_db) - params.floor_db) / (
                params.ceiling_db - params.floor_db
            )
        peak = mel_db.amax(dim=(-2, -1), keepdim=True)
        below_peak = (mel_db - peak).clamp_(min=params.floor_db)
        lowest = below_peak.amin(dim=(-2, -1), keepdim=True)
        return (below_peak - lowest) / (-lowest).clamp_(min=1e-6)
