"""Waiting times between attempts, and log lines for troubles that last: one when they begin, one when they end."""

import logging
import time
from dataclasses import dataclass, field

log = logging.getLogger("birdnet_nl")
FIRST_RETRY_S, MAX_RETRY_S, MAX_ATTEMPTS = 2.0, 3600.0, 20  # of a clip: for about ten hours


def retry_delay(attempts: int, retry_after_s: float | None = None) -> float:
    """Return the seconds to the next attempt after some in vain: doubled each time, or what a server asks for."""
    if retry_after_s is not None:
        return min(max(0.5, retry_after_s), MAX_RETRY_S)
    return min(FIRST_RETRY_S * 2 ** min(attempts, 20), MAX_RETRY_S)


@dataclass
class Trouble:
    """Something that does not work now and is tried again, with one log line when it begins and one when it ends.

    Args:
        max_s: longest time between two attempts.
    """

    max_s: float = 60.0
    message: str = ""
    attempts: int = 0
    began: float = field(default=0.0)

    def met(self, message: str, retry_after_s: float | None = None) -> float:
        """Log a trouble that was not logged yet, and return the seconds to wait before the next attempt."""
        if self.attempts == 0:
            self.began = time.monotonic()
        if message != self.message:
            log.warning("%s", message)
            self.message = message
        self.attempts += 1
        delay_s = retry_delay(self.attempts - 2) if retry_after_s is None else retry_after_s
        return min(max(0.5, delay_s), self.max_s if retry_after_s is None else MAX_RETRY_S)

    def ended(self) -> None:
        """Log the end of a trouble, if there was one."""
        if self.attempts:
            log.info("works again after %.0f s: %s", time.monotonic() - self.began, self.message)
            self.message, self.attempts = "", 0
