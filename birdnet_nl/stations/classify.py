"""Prediction of one detection: its clip, the right seconds of it, the model of its species, and what became of it."""

import errno
import logging
import math
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from birdnet_nl.audio.decode_blocks import open_sound
from birdnet_nl.audio.decode_messages import decoder_messages
from birdnet_nl.audio.decode_mono import measure
from birdnet_nl.stations.back_off import MAX_ATTEMPTS, retry_delay
from birdnet_nl.stations.detection import State
from birdnet_nl.stations.models_of_station import StationModels
from birdnet_nl.stations.records import StoredDetection
from birdnet_nl.stations.results import Outcome, Result
from birdnet_nl.stations.station import AudioGoneError, AudioNotReadyError, Station, StationUnavailableError
from birdnet_nl.util.errors import DataError, RunError, SelectionError
from birdnet_nl.util.printed_commands import short_path

log = logging.getLogger("birdnet_nl")
MAX_DURATION_S = 1e6  # more is what a header states that does not know it
FULL = (errno.ENOSPC, errno.EDQUOT)
UNKNOWN_WINDOW_S = 15.0  # in the middle, where a station reports a window that is none


@dataclass(frozen=True)
class Window:
    """Choice of the seconds of a clip that are predicted.

    Attributes:
        fixed_s: start and end in every clip; None for the window of each detection.
        context_s: seconds that are added on both sides.
    """

    fixed_s: tuple[float, float] | None = None
    context_s: float = 0.0

    def __post_init__(self) -> None:
        if self.fixed_s is not None:
            start_s, end_s = self.fixed_s
            if not (math.isfinite(end_s) and 0 <= start_s < end_s):
                raise SelectionError(
                    f"--window-s {start_s:g},{end_s:g} is no part of a clip; give its start and end, such as "
                    "--window-s 1.5,4.5"
                )
        if not (math.isfinite(self.context_s) and self.context_s >= 0):
            raise SelectionError(f"--context-s {self.context_s:g} must be 0 or more")

    def part(self, of_station: tuple[float, float], duration_s: float) -> tuple[float, float]:
        """Return start and end in a clip of known duration; raises `DataError` if nothing is left of them."""
        start_s, end_s = self.fixed_s or of_station
        if not (math.isfinite(start_s) and math.isfinite(end_s) and start_s < end_s):
            start_s, end_s = (duration_s - UNKNOWN_WINDOW_S) / 2, (duration_s + UNKNOWN_WINDOW_S) / 2
        start_s, end_s = max(0.0, start_s - self.context_s), min(duration_s, end_s + self.context_s)
        if start_s >= end_s:
            raise DataError(f"is {duration_s:.1f} s long, and the detection would start at {start_s:.1f} s")
        return start_s, end_s


def classify(station: Station, stored: StoredDetection, models: StationModels, window: Window) -> Outcome:
    """Predict one detection.

    Raises:
        StationUnavailableError: if the station cannot be reached, or the disk for its clips is full; the detection is
            not to blame.
    """
    entry = models.choose(stored.species)
    if entry is None:
        return Outcome(stored, State.NO_MODEL, models.why_none(stored.species))
    try:
        with station.clip(stored.detection) as path:
            result = _predict(path, station, stored, models, window)
    except AudioGoneError as error:
        return Outcome(stored, State.AUDIO_GONE, str(error))
    except AudioNotReadyError as error:
        return _waiting(stored, str(error), error.retry_after_s)
    except StationUnavailableError:
        raise
    except DataError as error:
        return Outcome(stored, State.FAILED, f"the clip {error}")
    except RunError as error:
        return Outcome(stored, State.NO_MODEL, str(error))
    except OSError as error:
        if error.errno in FULL:
            raise StationUnavailableError("the disk for temporary files is full; free some space") from error
        return _waiting(stored, f"the clip cannot be read ({error.strerror or error})", None)
    except MemoryError:
        return Outcome(stored, State.FAILED, "the clip needs more memory than there is")
    except Exception as error:  # a fault of ours in one clip must not lose all others
        log.exception("%s", stored.detection.clip)
        return Outcome(stored, State.FAILED, f"unexpected error ({type(error).__name__}: {error})")
    return Outcome(stored, State.UNCERTAIN if result.is_uncertain else State.DONE, result=result)


def _waiting(stored: StoredDetection, reason: str, retry_after_s: float | None) -> Outcome:
    if stored.attempts + 1 >= MAX_ATTEMPTS:
        return Outcome(stored, State.AUDIO_GONE, f"asked for {MAX_ATTEMPTS} times: {reason}")
    return Outcome(stored, State.WAITING, reason, retry_after_s=retry_delay(stored.attempts, retry_after_s))


def _predict(path: Path, station: Station, stored: StoredDetection, models: StationModels, window: Window) -> Result:
    """Predict a clip; raises `DataError` with a reason that begins with a verb."""
    began = time.perf_counter()
    entry = models.choose(stored.species)
    model = models.model(entry)
    duration_s = clip_duration_s(path)
    start_s, end_s = window.part(station.window_s(stored.detection, duration_s), duration_s)
    prediction = model.predict_file(path, species=stored.species, part_s=(start_s, end_s))
    probabilities = prediction.recording
    if not np.isfinite(probabilities).all():
        raise DataError(f"gives numbers that are not finite with the model {model.name}")
    if prediction.silent.all():
        raise DataError(f"is silent from {start_s:.1f} to {end_s:.1f} s")
    best = int(probabilities.argmax())
    probability = float(probabilities[best])
    return Result(
        type=model.types[best],
        probability=probability,
        probabilities={name: float(value) for name, value in zip(model.types, probabilities, strict=True)},
        is_uncertain=model.threshold is None or probability < model.threshold,
        model=model.name,
        fingerprint=entry.fingerprint,
        sha256=models.sha256(entry),
        start_s=round(start_s, 3),
        end_s=round(min(end_s, start_s + prediction.duration_s), 3),
        warning=prediction.warning,
        computing_s=round(time.perf_counter() - began, 4),
    )


def clip_duration_s(path: Path) -> float:
    """Return the duration that the header states; a file whose header does not know it is read to its end.

    Raises:
        DataError: if it cannot be decoded.
    """
    with decoder_messages(path), closing(open_sound(path)) as sound:
        samples, rate_hz = sound.expected_samples, sound.sample_rate_hz
    if 0 < samples <= MAX_DURATION_S * rate_hz:
        return samples / rate_hz
    measured = measure(path)
    if measured.duration_s <= 0:
        raise DataError(measured.reason or f"{short_path(path)} contains no samples")
    return measured.duration_s
