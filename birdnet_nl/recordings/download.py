"""Download of planned recordings from Xeno-canto; a kill at any moment loses no file."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from birdnet_nl.recordings.download_filters import Candidate
from birdnet_nl.recordings.download_plan import Plan, SpeciesPlan
from birdnet_nl.recordings.manifest import (
    TYPE_FOLDERS,
    Row,
    add_rows,
    remove_parts,
    sha256_of,
    species_folder,
    write_attribution,
)
from birdnet_nl.recordings.sound_file import find_defect, read_sound_facts
from birdnet_nl.recordings.xeno_canto import BusyError, DownloadError, XenoCanto
from birdnet_nl.util.errors import DataError
from birdnet_nl.util.files import atomic_path

MAX_FAILURES_IN_A_ROW = 10


@dataclass
class Report:
    """Result of a download; `failed` holds (slug, xc_id, reason), `stopped` why it ended early."""

    fetched: int = 0
    adopted: int = 0
    bytes: int = 0
    failed: list[tuple[str, str, str]] = field(default_factory=list)
    failures_in_a_row: int = 0
    stopped: str = ""


def download(
    plan: Plan, client: XenoCanto, root: Path, on_file: Callable[[Candidate], None] = lambda candidate: None
) -> Report:
    """Fetch the chosen recordings of the plan, species by species; call `on_file` after each, failed or not.

    A file is written beside its place, checked, renamed, and then gets its row in the manifest. Failed files are listed
    and fetched again by the next call. Many failures in a row end the download, since the server is then the cause.
    Raises `DataError` if the disk is too small or cannot be written.
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
        path = error.filename or root
        raise DataError(f"{path} cannot be written ({error.strerror}); make room there or choose --root") from None
    return report


def _download_species(
    part: SpeciesPlan, client: XenoCanto, root: Path, report: Report, on_file: Callable[[Candidate], None]
) -> None:
    folder = species_folder(root, part.species)
    remove_parts(folder)
    try:
        for candidate, path in part.adopted:
            add_rows(folder, [_manifest_row(candidate, path, folder, sha256_of(path))])
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
                add_rows(folder, [_manifest_row(candidate, path, folder, sha256)])
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
    check = partial(find_defect, expected_s=candidate.duration_s)
    with atomic_path(path) as part:
        sha256 = client.fetch(candidate.url, part, check)
    return path, sha256


def _manifest_row(candidate: Candidate, path: Path, folder: Path, sha256: str) -> Row:
    row = {**candidate.row, "file": path.relative_to(folder).as_posix(), "sha256": sha256}
    if facts := read_sound_facts(path):
        row |= {"duration_s": f"{facts.duration_s:.2f}", "sample_rate_hz": str(facts.sample_rate_hz)}
    return row


def _check_space(plan: Plan, root: Path) -> None:
    """Raise `DataError` if the disk of `root`, or of its nearest existing parent, is too small for the plan."""
    existing = next(folder for folder in (root, *root.absolute().parents) if folder.is_dir())
    free_bytes = shutil.disk_usage(existing).free
    if plan.expected_bytes > free_bytes:
        raise DataError(
            f"the download needs about {plan.expected_bytes / 1e9:.1f} GB and {existing} has {free_bytes / 1e9:.1f} GB "
            "free; choose another --root, fewer species or a smaller --per-type"
        )
