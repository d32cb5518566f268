"""Carry out a planned download from Xeno-canto, so that a kill at any point loses nothing."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from birdnet_nl.recordings.choice import Candidate
from birdnet_nl.recordings.download_plan import Plan, SpeciesPlan
from birdnet_nl.recordings.manifest import (
    TYPE_FOLDERS,
    add_rows,
    remove_parts,
    sha256_of,
    species_folder,
    write_attribution,
)
from birdnet_nl.recordings.sound_file import read_sound_facts, what_is_wrong
from birdnet_nl.recordings.xeno_canto import BusyError, DownloadError, XenoCanto
from birdnet_nl.util.errors import DataError
from birdnet_nl.util.files import atomic_path

MAX_FAILURES_IN_A_ROW = 10


@dataclass
class Report:
    """What a download did; `failed` holds (slug, xc_id, reason), `stopped` why it ended before its end."""

    fetched: int = 0
    adopted: int = 0
    bytes: int = 0
    failed: list[tuple[str, str, str]] = field(default_factory=list)
    failures_in_a_row: int = 0
    stopped: str = ""


def download(
    plan: Plan, client: XenoCanto, root: Path, on_file: Callable[[Candidate], None] = lambda candidate: None
) -> Report:
    """Fetch what the plan chose, species by species; `on_file` hears of each file, also of those that failed.

    A file is fetched beside its place, looked at, renamed, and then gets its line in the manifest. Failures are listed
    and tried again by the next call. Many in a row end the download, since they are then not the files' fault.
    """
    report = Report()
    _check_space(plan, root)
    try:
        for part in plan.parts:
            _download_species(part, client, root, report, on_file)
    except BusyError as error:
        report.stopped = str(error)
    except DownloadError as error:
        report.stopped = f"{MAX_FAILURES_IN_A_ROW} files failed in a row, the last with: {error}"
    except OSError as error:
        where = error.filename or root
        raise DataError(f"{where} cannot be written ({error.strerror}); make room there or choose --root") from None
    return report


def _download_species(
    part: SpeciesPlan, client: XenoCanto, root: Path, report: Report, on_file: Callable[[Candidate], None]
) -> None:
    folder = species_folder(root, part.species)
    remove_parts(folder)
    try:
        for candidate, path in part.adopted:
            add_rows(folder, [_row_of(candidate, path, folder, sha256_of(path))])
            report.adopted += 1
        for candidate in part.chosen:
            try:
                path, sha256 = _fetch(candidate, client, folder)
            except BusyError:
                raise
            except DownloadError as error:
                report.failed.append((part.species.slug, candidate.row["xc_id"], str(error)))
                report.failures_in_a_row += 1
                if report.failures_in_a_row == MAX_FAILURES_IN_A_ROW:
                    raise
            else:
                add_rows(folder, [_row_of(candidate, path, folder, sha256)])
                report.fetched += 1
                report.bytes += path.stat().st_size
                report.failures_in_a_row = 0
            on_file(candidate)
    finally:
        if part.adopted or part.chosen:
            write_attribution(folder, part.species)


def _fetch(candidate: Candidate, client: XenoCanto, folder: Path) -> tuple[Path, str]:
    name = f"XC{candidate.row['xc_id']}{candidate.suffix}"
    path = folder / TYPE_FOLDERS[candidate.vocalization_type] / name
    with atomic_path(path) as beside:
        sha256 = client.fetch(
            candidate.url, beside, lambda file: what_is_wrong(file, candidate.length_s, candidate.suffix)
        )
    return path, sha256


def _row_of(candidate: Candidate, path: Path, folder: Path, sha256: str) -> dict[str, str]:
    row = {**candidate.row, "file": path.relative_to(folder).as_posix(), "sha256": sha256}
    if facts := read_sound_facts(path):
        row |= {"duration_s": f"{facts.duration_s:.2f}", "sample_rate_hz": str(facts.sample_rate_hz)}
    return row


def _check_space(plan: Plan, root: Path) -> None:
    """Refuse before the first file what would fill the disk; the nearest existing folder above `root` is asked."""
    existing = next(folder for folder in (root, *root.absolute().parents) if folder.is_dir())
    free = shutil.disk_usage(existing).free
    if plan.expected_bytes > free:
        raise DataError(
            f"the download needs about {plan.expected_bytes / 1e9:.1f} GB and {existing} has {free / 1e9:.1f} GB free; "
            "choose another --root, fewer species or a smaller --per-type"
        )
