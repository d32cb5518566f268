"""Why a job failed: the state that makes it, one sentence, and whether trying again may help."""

import errno
from dataclasses import dataclass

from birdnet_nl.sweep.job_file import FORESEEN, TRANSIENT, UNFORESEEN, State
from birdnet_nl.util.errors import TooFewRecordingsError
from birdnet_nl.util.failure import explain

OUT_OF_MEMORY = ("can't allocate memory", "out of memory", "unable to allocate")
LONGEST = 600  # characters of a reason


@dataclass(frozen=True)
class Reason:
    state: State
    sentence: str
    cause: str


def reason_of(error: BaseException) -> Reason:
    if isinstance(error, KeyboardInterrupt | SystemExit):
        return Reason(State.CANCELLED, "interrupted", TRANSIENT)
    if isinstance(error, TooFewRecordingsError):
        return Reason(State.TOO_FEW, str(error), FORESEEN)
    sentence = explain(error) or f"{type(error).__name__}: {error}"
    if is_disk_full(error):
        return Reason(State.FAILED, sentence[:LONGEST], TRANSIENT)
    if isinstance(error, MemoryError) or any(words in str(error).lower() for words in OUT_OF_MEMORY):
        return Reason(State.FAILED, f"out of memory ({sentence})"[:LONGEST], TRANSIENT)
    foreseen = explain(error) is not None
    return Reason(State.FAILED, sentence[:LONGEST], FORESEEN if foreseen else UNFORESEEN)


def is_disk_full(error: object) -> bool:
    """Also of an error that came from another process, or behind another error."""
    while isinstance(error, BaseException):
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__ or error.__context__
    return False
