"""The log-mel spectrogram of a recording: parameters, computation, and what a network sees of a segment."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from birdnet_nl.errors import SetupError

NORMALISATIONS = ("segment_peak", "band_median")
POWER_FLOOR = 1e-10  # librosa's amin: the quietest power that is told apart from silence
BLOCK_FRAMES = (
    256  # frames computed at once: the spectra of a block stay in cache, and memory does not grow with duration
)


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


def _torchaudio_mel(params: MelParams) -> torch.nn.Module:
    try:
        from torchaudio.transforms import MelSpectrogram
    except (OSError, ImportError) as error:
        raise SetupError(
            f"torchaudio cannot be imported ({_first_line(error)}); beside a CPU-only torch its compiled part "
            "must be moved aside, run: python -m birdnet_nl.audio.repair_torchaudio"
        ) from error
    return MelSpectrogram(
        sample_rate=params.sample_rate_hz,
        n_fft=params.n_fft,
        hop_length=params.hop_samples,
        n_mels=params.n_mels,
        f_min=params.f_min_hz,
        f_max=params.f_max_hz,
        power=2.0,
        center=False,  # `log_mel` pads the whole recording once and hands over blocks of it
        norm="slaney",  # the original used librosa, so slaney for both
        mel_scale="slaney",
    )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


_mel_transform = lru_cache(maxsize=4)(_torchaudio_mel)


@torch.inference_mode()
def log_mel(samples: np.ndarray, params: MelParams) -> np.ndarray:
    """Mel in dB re full scale of a whole recording: [samples] -> float32 [mels, frames].

    Frames are centred on multiples of `hop_samples`, with zeros beyond both ends (librosa's `center=True,
    pad_mode="constant"`). With `band_median` each band's median over the recording is subtracted.
    """
    transform = _mel_transform(params)
    n_frames = 1 + len(samples) // params.hop_samples
    padded = torch.nn.functional.pad(torch.from_numpy(samples), (params.n_fft // 2, params.n_fft))
    mel = torch.empty(params.n_mels, n_frames)
    for start in range(0, n_frames, BLOCK_FRAMES):
        stop = min(start + BLOCK_FRAMES, n_frames)
        block = padded[start * params.hop_samples : (stop - 1) * params.hop_samples + params.n_fft]
        mel[:, start:stop] = transform(block)
    mel = mel.clamp_(min=POWER_FLOOR).log10_().mul_(10)  # power -> dB
    if params.normalisation == "band_median":
        mel -= mel.median(dim=1, keepdim=True).values
    return mel.numpy()


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
