"""Sound files of the rows of a table to import, however the paths in the table are written."""

import os
from pathlib import Path

from birdnet_nl.recordings.folder import recording_id
from birdnet_nl.recordings.listing import FolderListing
from birdnet_nl.recordings.metadata import read_table
from birdnet_nl.recordings.row_matching import FileIndex, Key, Row, path_parts
from birdnet_nl.species.table import Species

AUDIO_FOLDERS = ((), ("train_audio",), ("train_short_audio",))  # the folders that BirdCLEF's paths are relative to


def match_table(
    table: Path, folder: Path, listing: FolderListing, refused: list[tuple[str, str]]
) -> list[tuple[Path, Row, Species | None]]:
    """Return the rows of a table with their files below `folder`; rows without a file are added to `refused`."""
    start = len(str(folder)) + 1
    of_name = {str(path)[start:]: path for path in listing.sounds if str(path).startswith(f"{folder}{os.sep}")}
    of_id = {recording_id(path): name for name, path in reversed(of_name.items())}
    index, taken = FileIndex(list(of_name)), set()
    found: list[tuple[Path, Row, Species | None]] = []
    others: list[tuple[Key, str, Row, Species | None]] = []
    for row, species in read_table(table):
        text = row.pop("path", "")
        parts = path_parts(text) if text not in of_name else tuple(text.split("/"))
        whole = (index.whole((*prefix, *parts)) for prefix in AUDIO_FOLDERS if parts)
        names = next(filter(None, whole), None) or [of_id[id] for id in [f"XC{row['xc_id']}"] if id in of_id]
        if len(names) == 1:
            found.append((of_name[names[0]], row, species))
            taken.add(names[0])
        else:
            others.append((parts, text or f"XC{row['xc_id']}", row, species))
    free = FileIndex([name for name in of_name if name not in taken])
    for parts, text, row, species in others:
        names = free.end(parts) if parts else []
        if len(names) == 1:
            found.append((of_name[names[0]], row, species))
        elif names:
            refused.append((text, f"in {table.name}, and fits several files below {folder}"))
        else:
            refused.append((text, f"in {table.name}, but no such file below {folder}"))
    return found
