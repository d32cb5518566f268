"""Rate limit for requests, the Retry-After header, and an API key that stays out of logs."""

import logging
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import quote, quote_plus

DELAY_S = 1.0
HOURLY_BUDGET = 3000


class RateLimit:
    """At most one request per `delay_s` seconds and `hourly_budget` requests in any hour."""

    def __init__(
        self,
        delay_s: float,
        hourly_budget: int,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if delay_s < 0 or hourly_budget < 1:
            raise ValueError(f"delay_s={delay_s}, hourly_budget={hourly_budget}: choose at least 0 and at least 1")
        self.delay_s = delay_s
        self._starts: deque[float] = deque(maxlen=hourly_budget)
        self._clock, self._sleep = clock, sleep

    def wait(self) -> None:
        """Sleep until the next request is allowed."""
        now = self._clock()
        start = max(now, self._starts[-1] + self.delay_s) if self._starts else now
        if len(self._starts) == self._starts.maxlen:
            start = max(start, self._starts[0] + 3600)
        if start > now:
            self._sleep(start - now)
        self._starts.append(start)


def retry_after_s(text: str) -> float:
    """Parse a Retry-After header (seconds or a date) to seconds from now; 0 for other texts."""
    if text.strip().isdecimal():
        return float(text)
    try:
        due = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    return max(0.0, (due.replace(tzinfo=due.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


class Secret(logging.Filter):
    """A secret text: hidden in `repr` and replaced in log records."""

    def __init__(self, value: str) -> None:
        super().__init__()
        self.value = value
        self._forms = sorted({value, quote(value, safe=""), quote_plus(value)}, key=len, reverse=True)

    def __repr__(self) -> str:
        return "<key>"

    def redact(self, text: str) -> str:
        for form in self._forms:
            text = text.replace(form, "<key>")
        return text

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = self.redact(record.getMessage()), ()
        return True
