import errno

import pytest

from birdnet_nl.sweep.failure_reasons import is_disk_full, reason_of
from birdnet_nl.sweep.job_file import FORESEEN, TRANSIENT, UNFORESEEN, State
from birdnet_nl.util.errors import DataError, TooFewRecordingsError


@pytest.mark.parametrize(
    ("error", "state", "cause", "words"),
    [
        (TooFewRecordingsError("merel: only 2"), State.TOO_FEW, FORESEEN, "merel: only 2"),
        (DataError("none of the 3 files can be used"), State.FAILED, FORESEEN, "none of the 3 files"),
        (MemoryError(), State.FAILED, TRANSIENT, "out of memory"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
            State.FAILED,
            TRANSIENT,
            "out of memory",
        ),
        (OSError(errno.ENOSPC, "No space left on device"), State.FAILED, TRANSIENT, "the disk is full"),
        (KeyError("a bug"), State.FAILED, UNFORESEEN, "KeyError"),
        (KeyboardInterrupt(), State.CANCELLED, TRANSIENT, "interrupted"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_every_failure_has_a_state_a_sentence_and_a_chance(error, state, cause, words):
    reason = reason_of(error)
    assert (reason.state, reason.cause) == (state, cause) and words in reason.sentence


def test_a_full_disk_is_seen_behind_another_error():
    try:
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            raise RuntimeError("could not save") from error
    except RuntimeError as error:
        assert is_disk_full(error)
    assert not is_disk_full(RuntimeError("x")) and not is_disk_full(None)
