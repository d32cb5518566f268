"""Waiting times between attempts, and log lines for troubles that last: one when they begin, one when they end."""

import logging
import time
from dataclasses import dataclass

log = logging.getLogger("birdnet_nl")
FIRST_RETRY_S, MAX_RETRY_S = 2.0, 3600.0
MAX_ATTEMPTS = 30  # to get a clip: in ten hours at least
FAST_ATTEMPTS = 10  # after which a server that asks for a short wait again and again gets a longer one
MIN_RETRY_S = 0.3
LOG_AGAIN_S = 600.0  # before the same trouble is logged once more


def retry_delay(attempts: int, retry_after_s: float | None = None) -> float:
    """Return the seconds to the next attempt after some in vain: doubled each time, or first what a server asks for."""
    if retry_after_s is None:
        return min(FIRST_RETRY_S * 2 ** min(attempts, 20), MAX_RETRY_S)
    doubled_s = retry_delay(attempts - FAST_ATTEMPTS) if attempts >= FAST_ATTEMPTS else 0.0
    return min(max(MIN_RETRY_S, retry_after_s, doubled_s), MAX_RETRY_S)


@dataclass
class Trouble:
    """Something that does not work now and is tried again, with one log line when it begins and one when it ends.

    Args:
        max_s: longest time between two attempts.
    """

    max_s: float = 60.0
    message: str = ""
    attempts: int = 0
    _began: float = 0.0
    _logged: str = ""  # the message that was logged last

    def met(self, message: str, retry_after_s: float | None = None) -> float:
        """Log a trouble that was not logged in the last minutes, and return the seconds until the next attempt."""
        message = message or "it does not work, for an unknown reason"
        if self.attempts == 0:
            self._began = time.monotonic()
        if message != self._logged and time.monotonic() - _logged.get(message, -LOG_AGAIN_S) >= LOG_AGAIN_S:
            _remember(message)
            self._logged = message
            log.warning("%s", message)
        self.message = message
        self.attempts += 1
        if retry_after_s is not None:
            return retry_delay(0, retry_after_s)
        return min(retry_delay(self.attempts - 2), self.max_s)

    def ended(self) -> None:
        """Log the end of a trouble, if there was one that was logged."""
        if self._logged:
            log.info("works again after %.0f s (%s)", time.monotonic() - self._began, self._logged)
        self.message, self.attempts, self._logged = "", 0, ""


_logged: dict[str, float] = {}  # by all threads; message -> monotonic time


def _remember(message: str) -> None:
    if len(_logged) >= 100:
        del _logged[next(iter(_logged))]
    _logged.pop(message, None)
    _logged[message] = time.monotonic()
