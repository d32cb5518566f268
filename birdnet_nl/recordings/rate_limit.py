"""Good manners towards a server: how often to ask, how long to wait, and what not to say aloud."""

import logging
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import quote, quote_plus

DELAY_S = 1.0
HOURLY_BUDGET = 3000


class Pace:
    """One request per `delay_s` seconds and at most `hourly_budget` in any hour."""

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
        """Sleep until the next request may go."""
        now = self._clock()
        start = max(now, self._starts[-1] + self.delay_s) if self._starts else now
        if len(self._starts) == self._starts.maxlen:
            start = max(start, self._starts[0] + 3600)
        if start > now:
            self._sleep(start - now)
        self._starts.append(start)


def retry_after_s(text: str) -> float:
    """Seconds from a Retry-After header, which holds a number or a date; 0 when it holds neither."""
    if text.strip().isdecimal():
        return float(text)
    try:
        due = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    return max(0.0, (due.replace(tzinfo=due.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


class Secret(logging.Filter):
    """The key: not in `repr`, and blotted out of log records."""

    def __init__(self, value: str) -> None:
        super().__init__()
        self.value = value
        self._forms = sorted({value, quote(value, safe=""), quote_plus(value)}, key=len, reverse=True)

    def __repr__(self) -> str:
        return "<key>"

    def blot(self, text: str) -> str:
        for form in self._forms:
            text = text.replace(form, "<key>")
        return text

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = self.blot(record.getMessage()), ()
        return True
