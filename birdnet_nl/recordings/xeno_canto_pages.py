"""Responses of Xeno-canto's API: pages of a query, what they announce and what arrived, and error messages."""

import json
import re
from dataclasses import dataclass, field
from typing import Any

from birdnet_nl.util.errors import BirdnetNlError

Entry = dict[str, Any]
MAX_PAGES_WITHOUT_NEWS = 3


@dataclass(frozen=True)
class Page:
    """Recordings of one response; `recordings_total` and `pages` are None where it does not state them."""

    entries: list[Entry]
    recordings_total: int | None
    pages: int | None


def parse_page(text: bytes) -> Page:
    """Parse a response; raise `ValueError` if it is not an object with recordings, as a list or by number."""
    body = json.loads(text)
    if not isinstance(body, dict) or "error" in body:
        raise ValueError("no object with recordings")
    total = parse_count(body.get("numRecordings"))
    entries = body.get("recordings")
    if isinstance(entries, dict):
        entries = [entries] if "id" in entries else list(entries.values())
    if entries is None and total == 0:
        entries = []
    if not isinstance(entries, list):
        raise ValueError("no recordings")
    entries = [entry for entry in entries if isinstance(entry, dict) and str(entry.get("id") or "").strip()]
    return Page(entries, total, parse_count(body.get("numPages")))


def parse_count(value: object) -> int | None:
    """Return a count that is a number or a text, with or without a thousands separator; None for anything else."""
    text = "" if isinstance(value, bool) else str(value).strip()
    if re.fullmatch(r"\d{1,3}([,.\s'’]\d{3})+", text):
        return int(re.sub(r"\D", "", text))
    return int(text.partition(".")[0]) if re.fullmatch(r"\d+(\.0*)?", text) else None


@dataclass
class Reading:
    """One reading of all pages of a query.

    Attributes:
        entries: recordings by id.
        delivered: number of recordings including repeated ids.
        totals: all totals that the pages announced.
        failure: error of a page after the first one; the pages before it are kept.
    """

    entries: dict[str, Entry] = field(default_factory=dict)
    delivered: int = 0
    totals: list[int] = field(default_factory=list)
    pages: int = 1
    pages_read: int = 0
    pages_without_news: int = 0
    failure: BirdnetNlError | None = None

    def add(self, page: Page) -> None:
        before = len(self.entries)
        self.entries |= {str(entry["id"]).strip(): entry for entry in page.entries}
        self.delivered += len(page.entries)
        self.totals += [page.recordings_total] if page.recordings_total is not None else []
        self.pages = self.pages if page.pages is None else page.pages
        self.pages_read += 1
        self.pages_without_news = 0 if len(self.entries) > before else self.pages_without_news + 1

    @property
    def is_complete(self) -> bool:
        """Whether everything that the last page announced has arrived; False if no page announced a total."""
        return bool(self.totals) and max(self.delivered, len(self.entries)) >= self.totals[-1]

    @property
    def is_exact(self) -> bool:
        """Whether all pages announced the same total and exactly so many recordings arrived, none twice."""
        if not self.totals:
            return self.failure is None
        return set(self.totals) == {self.delivered} and len(self.entries) == self.delivered

    def missing(self) -> str:
        """Return a text about the recordings that did not arrive; empty if everything announced did."""
        if self.is_complete or (self.failure is None and not self.totals):
            return ""
        announced = f" of {self.totals[-1]}" if self.totals else ""
        reason = f" ({getattr(self.failure, 'reason', '') or self.failure})" if self.failure else ""
        return (
            f"only {len(self.entries)}{announced} announced recordings arrived{reason}; "
            "these are used, run the command again later for the others"
        )

    def has_next(self) -> bool:
        """Return whether there may be another page: one is announced, or recordings are missing."""
        if self.pages_without_news >= MAX_PAGES_WITHOUT_NEWS:
            return False
        if self.pages_read < self.pages:
            return True
        return bool(self.totals) and not self.is_complete and self.pages_without_news == 0


def error_message(text: bytes, default: str) -> str:
    """Extract the message from {"error": …, "message": …}, {"error": {"code", "message"}}, or plain text."""
    try:
        body = json.loads(text)
    except ValueError:
        return default or "no reason given"
    if not isinstance(body, dict):
        return str(body)[:200]
    error = body.get("error")
    message = body.get("message") or (error.get("message") if isinstance(error, dict) else error)
    return str(message or "no reason given")[:200]
