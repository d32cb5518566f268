"""Rate limits by token buckets, one for each client and kind of request, in constant memory."""

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

MAX_CLIENTS = 1_000  # the one unused for longest is forgotten first


@dataclass(frozen=True)
class Rate:
    """`burst` requests at once, then `per_s` a second."""

    burst: float
    per_s: float


class RateLimiter:
    """Token buckets, keyed by client address."""

    def __init__(self, rate: Rate, clock=time.monotonic) -> None:
        self._rate, self._clock = rate, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # client -> tokens, time
        self._lock = threading.Lock()

    def wait_s(self, client: str) -> float:
        """Take one token and return 0; without one, return the seconds until there is one."""
        with self._lock:
            now = self._clock()
            tokens, before = self._buckets.pop(client, (self._rate.burst, now))
            tokens = min(self._rate.burst, tokens + (now - before) * self._rate.per_s)
            allowed = tokens >= 1
            self._buckets[client] = (tokens - allowed, now)
            while len(self._buckets) > MAX_CLIENTS:
                self._buckets.popitem(last=False)
            return 0.0 if allowed else (1 - tokens) / self._rate.per_s
