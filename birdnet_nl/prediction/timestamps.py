"""Date and time of the start of a recording, from WAV metadata or the names that recorders give to files."""

import re
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

LOCAL = ""  # time zone of a name that does not give one: that of the recorder
NAME = re.compile(  # 20260501_060000, 2026-05-01-birdnet-RTSP_1-06:00:00, 20260501T060000Z, 20260501$060000
    r"(?<!\d)(?P<year>(?:19|20)\d\d)(?P<sep>[-_.]?)(?P<month>\d\d)(?P=sep)(?P<day>\d\d)"
    r"(?:[T_ $-]|-birdnet-(?:RTSP_\d+-)?)(?P<hour>\d\d)(?P<sep2>[-_.:h꞉]?)(?P<minute>\d\d)(?:[-_.:m꞉]?)(?P<second>\d\d)"
    r"(?P<zone>Z|[+-]\d\d:?\d\d(?!\d))?(?!\d)",
    re.IGNORECASE,
)
HEXADECIMAL = re.compile(r"[0-9A-F]{8}")  # of the first AudioMoths: seconds since 1970
FIRST_HEXADECIMAL, LAST_HEXADECIMAL = datetime(2017, 1, 1, tzinfo=UTC), datetime(2036, 1, 1, tzinfo=UTC)
COMMENT = re.compile(r"Recorded at (\d\d:\d\d:\d\d) (\d\d/\d\d/\d{4}) \(UTC([+-]\d+(?::\d+)?)?\)")
MAX_CHUNK_BYTES = 1 << 20  # of a text chunk
MAX_CHUNKS = 64


@dataclass(frozen=True)
class RecordedAt:
    """Local date and time of the first sample; `zone` is `UTC`, an offset such as `+02:00`, or empty."""

    start: datetime
    zone: str

    def columns(self, offset_s: float) -> tuple[str, str, str]:
        """Return date, time (to the second) and zone at `offset_s`."""
        moment = self.start + timedelta(seconds=offset_s)
        return f"{moment:%Y-%m-%d}", f"{moment:%H:%M:%S}", self.zone


def recorded_at(path: Path) -> RecordedAt | None:
    """Return the start of a recording: GUANO or AudioMoth metadata, else the file's name; None without either."""
    return _from_metadata(path) or recorded_at_in_name(path.name)


def recorded_at_in_name(name: str) -> RecordedAt | None:
    """Return the start of a recording as its file name gives it; nothing is read."""
    stem, _, suffix = name.rpartition(".")
    for match in NAME.finditer(stem or name):
        values = [int(match[part]) for part in ("year", "month", "day", "hour", "minute", "second")]
        try:
            start = datetime(*values)
        except ValueError:
            continue
        zone = _zone(match["zone"] or "")
        is_audiomoth = match[0] == stem and suffix == "WAV" and match["sep"] == ""
        return RecordedAt(start, "UTC" if is_audiomoth and not zone else zone)
    if HEXADECIMAL.fullmatch(stem) and not stem.isdigit() and suffix.upper() == "WAV":
        start = datetime.fromtimestamp(int(stem, 16), UTC)
        if FIRST_HEXADECIMAL <= start < LAST_HEXADECIMAL:
            return RecordedAt(start.replace(tzinfo=None), "UTC")
    return None


def _zone(text: str) -> str:
    if text.upper() in ("Z", "+00:00", "+0000"):
        return "UTC"
    return f"{text[:3]}:{text[-2:]}" if text else LOCAL


def _from_metadata(path: Path) -> RecordedAt | None:
    if path.suffix.lower() not in (".wav", ".wave", ".bwf"):
        return None
    try:
        texts = _text_chunks(path)
    except (OSError, struct.error):
        return None
    if match := re.search(r"^Timestamp:\s*(\S.*?)\s*$", texts.get(b"guan", ""), re.MULTILINE):
        try:
            moment = datetime.fromisoformat(match[1])
        except ValueError:
            return None
        zone = _zone(f"{moment:%z}") if moment.tzinfo else LOCAL
        return RecordedAt(moment.replace(tzinfo=None), zone)
    if match := COMMENT.search(texts.get(b"LIST", "")):
        start = datetime.strptime(f"{match[1]} {match[2]}", "%H:%M:%S %d/%m/%Y")
        hours, _, minutes = (match[3] or "").partition(":")
        return RecordedAt(start, f"{int(hours):+03d}:{minutes or '00'}" if hours and int(hours) else "UTC")
    return None


def _text_chunks(path: Path) -> dict[bytes, str]:
    """Read the chunks `guan` and `LIST` of a RIFF file; sound is skipped, not read."""
    texts: dict[bytes, str] = {}
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(12)
        if start[:4] not in (b"RIFF", b"RF64") or start[8:12] != b"WAVE":
            return texts
        for _ in range(MAX_CHUNKS):
            header = file.read(8)
            if len(header) < 8:
                break
            name, length = struct.unpack("<4sI", header)
            position = file.tell()
            if name in (b"guan", b"LIST") and length <= MAX_CHUNK_BYTES:
                texts.setdefault(name, file.read(length).decode("utf-8", "replace"))
            if position + length >= size:  # the last chunk, or a length that was never filled in
                break
            file.seek(position + length + length % 2)
    return texts
