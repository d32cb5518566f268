"""`birdnet-nl import --labels`: labels in time into `annotations.csv`, and out as an annotation set of Xeno-canto."""

import csv
import io
from collections import defaultdict
from pathlib import Path

from rich.markup import escape

from birdnet_nl.commands.output import write_file
from birdnet_nl.util.console import screen
from birdnet_nl.util.errors import DataError
from birdnet_nl.util.files import user_path
from birdnet_nl.util.words import counted

MAX_EXAMPLES = 5  # files that were not placed, for each reason


def import_labels_command(
    labels: Path | None, root: Path, export_xeno_canto: Path | None, refused_file: Path | None
) -> None:
    """Import label files, then export all stored annotations; either may be None. See `import_command`."""
    from birdnet_nl.recordings.annotations import ANNOTATIONS
    from birdnet_nl.recordings.annotations_import import export_annotations, import_labels
    from birdnet_nl.recordings.annotations_xeno_canto import write_xeno_canto

    root = user_path(root)
    refused: list[tuple[str, str]] = []
    if labels is not None:
        report = import_labels(user_path(labels), root)
        refused += report.refused
        formats = ", ".join(f"{name} {count}" for name, count in report.formats.items())
        species = ", ".join(f"{slug} {count:,}" for slug, count in report.stored.items())
        replaced = f", {report.replaced:,} of before replaced" if report.replaced else ""
        screen.print(
            f"{counted(report.formats.total(), 'label file')} read ({escape(formats) or 'none'}): "
            f"{counted(report.stored.total(), 'label')} of {counted(len(report.recordings), 'recording')} stored in "
            f"{ANNOTATIONS} of {len(report.stored)} species ({species or 'none'}){replaced}; "
            f"{len(refused)} not stored",
            soft_wrap=True,
        )
    if export_xeno_canto is not None:
        annotations, not_exported = export_annotations(root)
        refused += not_exported
        if not annotations:
            raise DataError(
                f"{root} has no labels of recordings of Xeno-canto; import some with birdnet-nl import --labels <file>"
            )
        write_file(export_xeno_canto, write_xeno_canto(annotations), "--export-xeno-canto")
        recordings = len({annotation.recording for annotation in annotations})
        screen.print(
            f"{counted(len(annotations), 'label')} of {counted(recordings, 'recording')} written to "
            f"{escape(str(export_xeno_canto))}; fill in set_name, set_creator and set_license there if empty",
            soft_wrap=True,
        )
    print_refused(refused)
    if refused_file:
        write_refused(refused_file, refused)
    if labels is not None and not report.stored:
        raise DataError(
            f"no label of {labels} fits a recording below {root}; name label files after their sound file, as "
            "XC123.Table.1.selections.txt, or name the sound file in a column (Begin Path, File, xc_nr)"
        )


def write_refused(path: Path, refused: list[tuple[str, str]]) -> None:
    table = io.StringIO(newline="")
    csv.writer(table).writerows([("file", "reason"), *refused])
    write_file(path, table.getvalue(), "--refused")


def print_refused(refused: list[tuple[str, str]]) -> None:
    by_reason = defaultdict(list)
    for path, reason in refused:
        by_reason[reason].append(path)
    for reason, paths in sorted(by_reason.items(), key=lambda item: -len(item[1])):
        screen.print(f"[yellow]{len(paths)} × {escape(reason)}[/]", soft_wrap=True)
        for path in paths[:MAX_EXAMPLES]:
            screen.print(f"    {escape(path)}", soft_wrap=True)
        if len(paths) > MAX_EXAMPLES:
            screen.print(f"    and {len(paths) - MAX_EXAMPLES} more; --refused FILE writes them all")
