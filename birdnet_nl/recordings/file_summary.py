"""Account of every file below the folders of a species: used, left out with the reason, hidden, or not audio.

`birdnet-nl data`, `birdnet-nl import` and training report these counts.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from birdnet_nl.recordings.folder import FolderContent, classify
from birdnet_nl.recordings.labels import MULTILABEL
from birdnet_nl.recordings.listing import FolderListing, printable_path
from birdnet_nl.recordings.recording import Recording
from birdnet_nl.recordings.type_set import TypeSet
from birdnet_nl.util.words import counted

SAME_FILE = "another path to the same file"
SAME_RECORDING = "the same recording as another file"
TOO_FEW = "too few recordings of its type"
NAMED = re.compile(  # reasons that name another file
    r"(has the same content as|holds the same sound as|the same recording as|another sound with the same name as) .*"
    r"|(the same sound has two types|another file is in its place)\b.*"
)
MAX_NAMES = 4
MAX_COUNTS = 8  # suffixes or reasons in a line


@dataclass(frozen=True)
class FileSummary:
    """Counts of files, and of the manifest's rows; `files` is the sum of used, left out, not audio and hidden.

    Attributes:
        left_out: names of files by reason, for sound files that are not used and for files that cannot be read.
        not_audio: number of files by suffix.
        rows_without_file, files_without_row: rows of a manifest and files that do not fit each other.
        ambiguous_rows: rows that fit several files.
    """

    used: int
    left_out: Mapping[str, Sequence[str]]
    not_audio: Counter[str] = field(default_factory=Counter)
    hidden: int = 0
    rows_without_file: Sequence[str] = ()
    files_without_row: Sequence[str] = ()
    ambiguous_rows: Sequence[str] = ()

    @property
    def files(self) -> int:
        return self.used + sum(map(len, self.left_out.values())) + self.not_audio.total() + self.hidden

    def to_dict(self) -> dict[str, Any]:
        """Return the counts as plain values, for JSON."""
        return {
            "files": self.files,
            "used": self.used,
            "left_out": {reason: len(names) for reason, names in self.left_out.items()},
            "not_audio": dict(self.not_audio.most_common()),
            "hidden": self.hidden,
            "rows_without_file": len(self.rows_without_file),
            "files_without_row": len(self.files_without_row),
            "ambiguous_rows": len(self.ambiguous_rows),
        }

    def line(self) -> str:
        """Return all counts of files in one line."""
        left_out = Counter({reason: len(names) for reason, names in self.left_out.items()})
        parts = [f"{self.used} used"]
        parts += [f"{left_out.total()} left out ({format_counts(left_out)})"] * bool(left_out)
        parts += [f"{self.not_audio.total()} not audio ({format_counts(self.not_audio)})"] * bool(self.not_audio)
        parts += [f"{self.hidden} hidden"] * bool(self.hidden)
        return f"{counted(self.files, 'file')}: {', '.join(parts)}"

    def manifest_lines(self) -> list[str]:
        """Return a line for each way in which files and rows of the manifest do not fit, with a few names."""
        texts = [
            (counted(len(self.rows_without_file), "row"), "without a file", self.rows_without_file),
            (counted(len(self.files_without_row), "file"), "without a row", self.files_without_row),
            (
                counted(len(self.ambiguous_rows), "row that fits", "rows that fit"),
                "several files, not used",
                self.ambiguous_rows,
            ),
        ]
        return [f"recordings.csv: {count} {text} ({format_names(names)})" for count, text, names in texts if names]


def format_counts(counts: Counter[str]) -> str:
    shown = counts.most_common(MAX_COUNTS)
    more = counts.total() - sum(count for _, count in shown)
    return ", ".join([f"{name} {count}" for name, count in shown] + [f"others {more}"] * bool(more))


def format_names(names: Sequence[str]) -> str:
    more = len(names) - MAX_NAMES
    return ", ".join(map(printable_path, names[:MAX_NAMES])) + (f" and {more} more" if more > 0 else "")


def summarize_files(contents: Iterable[FolderContent], reasons: Mapping[Path, str]) -> FileSummary:
    """Count the files of some species; `reasons` holds the sound files, by path, that are left out for another reason.

    Every other sound file counts as used.
    """
    contents = list(contents)
    summary = count_listings((listing for content in contents for listing in content.listings), {
        **{path: SAME_RECORDING for content in contents for path in content.same_recording},
        **reasons,
    })  # fmt: skip
    return FileSummary(
        summary.used,
        summary.left_out,
        summary.not_audio,
        summary.hidden,
        rows_without_file=[name for content in contents for name in content.rows_without_file],
        files_without_row=[name for content in contents for name in content.files_without_row],
        ambiguous_rows=[name for content in contents for name in content.ambiguous_rows],
    )


def join_summaries(summaries: Sequence[FileSummary]) -> FileSummary:
    """Return the counts of several species together."""
    left_out: dict[str, list[str]] = {}
    for reason, names in (item for summary in summaries for item in summary.left_out.items()):
        left_out.setdefault(reason, []).extend(names)
    lists = ("rows_without_file", "files_without_row", "ambiguous_rows")
    return FileSummary(
        sum(summary.used for summary in summaries),
        left_out,
        sum((summary.not_audio for summary in summaries), Counter()),
        sum(summary.hidden for summary in summaries),
        **{name: [text for summary in summaries for text in getattr(summary, name)] for name in lists},
    )


def type_reason(recording: Recording, types: Sequence[str], type_set: TypeSet) -> str:
    """Return why a recording of readable sound is left out because of its type: not understood, other or several."""
    kind = recording.vocalization_type or classify(recording.type_text, type_set)
    if kind in types:
        return TOO_FEW
    return f"{kind} types" if kind == MULTILABEL else f"{kind} type"


def _kind(reason: str) -> str:
    """Return a reason without the names of other files."""
    match = NAMED.fullmatch(reason)
    return reason if match is None else f"{match[1]} another file" if match[1] else match[2]


def count_listings(listings: Iterable[FolderListing], reasons: Mapping[Path, str]) -> FileSummary:
    """Count the files of some folders, of which those in `reasons` are left out."""
    used, hidden = 0, 0
    left_out: dict[str, list[str]] = {}
    not_audio: Counter[str] = Counter()
    for listing in listings:
        hidden += listing.hidden
        not_audio += listing.not_audio
        for path in listing.sounds:
            reason = SAME_FILE if path in listing.same_file else reasons.get(path)
            if reason is None:
                used += 1
            else:
                left_out.setdefault(_kind(reason), []).append(printable_path(path.relative_to(listing.folder)))
        for path, reason in listing.left_out_below:
            left_out.setdefault(reason, []).append(path)
    return FileSummary(used, dict(sorted(left_out.items(), key=lambda item: -len(item[1]))), not_audio, hidden)
