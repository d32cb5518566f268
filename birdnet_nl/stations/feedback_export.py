"""Export of corrected detections as recordings to train on: `xeno-canto-<slug>/<type>/…`, with a manifest per species.

The folder follows the database at each export: new corrections are added, a changed one moves its file, and the file of
a withdrawn or wrong one moves to `set_aside`, because the station may have deleted its clip since. The identity in a
file's name decides, so that an export that was stopped at any moment is completed by the next one.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from birdnet_nl.audio.inspection import inspect_file
from birdnet_nl.recordings.listing import MANIFEST
from birdnet_nl.recordings.manifest import read_rows, sha256_of, write_rows
from birdnet_nl.recordings.row_matching import Row
from birdnet_nl.stations.corrected import CorrectedDetection
from birdnet_nl.stations.corrections import WITHDRAWN, WRONG, is_type
from birdnet_nl.stations.excerpt import CONTEXT_S, copy_excerpt
from birdnet_nl.stations.station import AudioGoneError, AudioNotReadyError, Station, StationUnavailableError
from birdnet_nl.util.errors import DataError

FOLDER = "xeno-canto-"
SET_ASIDE = "set_aside"
EXPORTED_NAME = re.compile(r"\d{4}-\d\d-\d\dT\d{6}-(?P<identity>[0-9a-f]{16})\.\w+")
NO_SPECIES = "no species is known"
OF_THE_FILE = ("duration_s", "sample_rate_hz", "sha256", "window_start_s", "window_end_s")  # columns


@dataclass
class ExportReport:
    """Result of an export.

    Attributes:
        added, moved, unchanged, set_aside: files in the folder.
        counts: exported recordings by species and type.
        wrong: detections that are not this species, by species; left out.
        withdrawn: number of withdrawn corrections; left out.
        gone, unusable: clip and reason, for corrections without a recording.
        not_now: clip and reason, for corrections whose clip could not be fetched now.
        others: files of detections of another database, left as they are.
    """

    added: int = 0
    moved: int = 0
    unchanged: int = 0
    set_aside: int = 0
    counts: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    wrong: Counter[str] = field(default_factory=Counter)
    withdrawn: int = 0
    gone: list[tuple[str, str]] = field(default_factory=list)
    unusable: list[tuple[str, str]] = field(default_factory=list)
    not_now: list[tuple[str, str]] = field(default_factory=list)
    others: int = 0


def export_corrections(
    corrected: Iterable[CorrectedDetection],
    out: Path,
    station_of: Callable[[str], Station],
    since: str = "",
    until: str = "",
    context_s: float = CONTEXT_S,
) -> ExportReport:
    """Bring a folder up to date with corrections, and return what was done.

    Args:
        corrected: every detection that was ever corrected.
        station_of: returns the station of a name, which finds the clips; they are only read.
        since, until: days (`2026-11-01`), both included; corrections of other days are not added.
        context_s: seconds of the clip to keep on both sides of the detection.
    """
    export = _Export(out, station_of, context_s)
    for detection in corrected:
        day = f"{detection.detection.recorded_at:%Y-%m-%d}"
        export.follow(detection, may_add=(not since or day >= since) and (not until or day <= until))
    export.finish()
    return export.report


class _Export:
    """State of one export: the files that exist, and the rows of the manifests to write."""

    def __init__(self, out: Path, station_of: Callable[[str], Station], context_s: float) -> None:
        self.out, self.station_of, self.context_s = out, station_of, context_s
        self.report = ExportReport()
        self.files = _exported_files(out)
        self.old_rows = {_file_name(row): row for folder in _manifest_folders(out) for row in read_rows(folder)}
        self.rows: dict[Path, list[Row]] = defaultdict(list)
        self.known: set[str] = set()  # identities of the detections in this database
        self.unavailable: dict[str, str] = {}  # reason by station

    def follow(self, corrected: CorrectedDetection, may_add: bool) -> None:
        self.known.add(corrected.identity)
        file = self.files.get(corrected.identity)
        if not is_type(corrected.type) or not corrected.slug:
            self._leave_out(corrected, file)
            return
        folder = self.out / f"{FOLDER}{corrected.slug}"
        if file is not None:
            target = folder / corrected.type / file.name
            if file == target:
                self.report.unchanged += 1
            else:
                self._move(file, target)
                self.report.moved += 1
            row = self._row_of_file(target)
        elif may_add and (excerpt := self._copy(corrected, folder)) is not None:
            target, row = excerpt
            self.report.added += 1
        else:
            return
        self._add_row(folder, target, corrected, row)
        self.report.counts[corrected.slug][corrected.type] += 1

    def finish(self) -> None:
        """Write all manifests; rows of detections of another database stay."""
        for folder in {*_manifest_folders(self.out), *self.rows}:
            others = [row for row in read_rows(folder) if not self._is_known(row)]
            self.report.others += len(others)
            rows = [*others, *sorted(self.rows[folder], key=_file_name)]
            if rows or (folder / MANIFEST).is_file():
                write_rows(folder, rows)

    def _is_known(self, row: Row) -> bool:
        match = EXPORTED_NAME.fullmatch(_file_name(row))
        return match is not None and match["identity"] in self.known

    def _add_row(self, folder: Path, file: Path, corrected: CorrectedDetection, row: Row) -> None:
        name = file.relative_to(folder).as_posix()
        self.rows[folder].append({**self.old_rows.get(file.name, {}), "file": name, **corrected.row(), **row})

    def _leave_out(self, corrected: CorrectedDetection, file: Path | None) -> None:
        if file is not None:
            folder = self.out / SET_ASIDE
            target = folder / file.name
            if file != target:
                self._move(file, target)
                self.report.set_aside += 1
            self._add_row(folder, target, corrected, self._row_of_file(target))
        if corrected.type == WRONG:
            self.report.wrong[corrected.slug] += 1
        elif corrected.type == WITHDRAWN:
            self.report.withdrawn += 1
        else:
            reason = NO_SPECIES if is_type(corrected.type) else f"{corrected.type!r} is no type"
            self.report.unusable.append((corrected.detection.clip, reason))

    def _copy(self, corrected: CorrectedDetection, folder: Path) -> tuple[Path, Row] | None:
        detection, station_name = corrected.detection, corrected.station
        if reason := self.unavailable.get(station_name):
            self.report.not_now.append((detection.clip, reason))
            return None
        target = folder / corrected.type / corrected.stem
        try:
            station = self.station_of(station_name)
            with station.clip(detection) as clip:
                window = detection.window_s
                window_of = (lambda duration_s: window) if window else (lambda s: station.window_s(detection, s))
                excerpt = copy_excerpt(clip, target, window_of, self.context_s)
        except AudioGoneError as error:
            self.report.gone.append((detection.clip, str(error)))
        except AudioNotReadyError as error:
            self.report.not_now.append((detection.clip, str(error)))
        except StationUnavailableError as error:
            self.unavailable[station_name] = str(error)
            self.report.not_now.append((detection.clip, str(error)))
        except DataError as error:
            self.report.unusable.append((detection.clip, str(error)))
        else:
            return excerpt.path, excerpt.row()
        return None

    def _row_of_file(self, file: Path) -> Row:
        """Return the columns of an exported file, from its row of the last export where there is one."""
        old = self.old_rows.get(file.name, {})
        if all(old.get(name) for name in OF_THE_FILE):
            return {name: old[name] for name in OF_THE_FILE}
        facts = inspect_file(file)
        return {
            "duration_s": f"{facts.duration_s:.2f}",
            "sample_rate_hz": str(facts.sample_rate_hz),
            "sha256": sha256_of(file),
        }

    def _move(self, file: Path, target: Path) -> None:
        """Move a file within the folder; its new type shows in its path before it shows in the manifest."""
        target.parent.mkdir(parents=True, exist_ok=True)
        file.replace(target)


def _manifest_folders(out: Path) -> list[Path]:
    return [path for path in (*sorted(out.glob(f"{FOLDER}*")), out / SET_ASIDE) if path.is_dir()]


def _file_name(row: Row) -> str:
    return row.get("file", "").rpartition("/")[2]


def _exported_files(out: Path) -> dict[str, Path]:
    """Return the exported files by identity; of copies that somebody made, one in a species folder."""
    files: dict[str, Path] = {}
    for pattern in (f"{SET_ASIDE}/*", f"{FOLDER}*/*/*"):
        for path in sorted(out.glob(pattern)):
            if match := EXPORTED_NAME.fullmatch(path.name):
                files[match["identity"]] = path
    return files
