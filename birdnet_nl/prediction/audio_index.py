"""Recording of a detection: found by the path in its table, by the table's own name, or by a station's file names."""

import os
import re
from collections import defaultdict
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

from birdnet_nl.prediction.detections import Detection, DetectionTable
from birdnet_nl.prediction.inputs import InputFile, input_file
from birdnet_nl.prediction.species_of import species_of_label
from birdnet_nl.recordings.sound_file import SOUND_SUFFIXES
from birdnet_nl.species.table import normalise_name
from birdnet_nl.util.files import user_path

STATION_CLIP = re.compile(  # Koolmees-85-2026-05-01-birdnet-RTSP_1-06:12:33.mp3
    r"(?P<name>.+)-\d{1,3}-(?P<date>\d{4}-\d\d-\d\d)-birdnet-(?:RTSP_\d+-)?(?P<time>\d\d[:\-_.꞉]\d\d[:\-_.꞉]\d\d)", re.I
)


class AudioIndex:
    """Recordings by name; a detection that could belong to several belongs to none."""

    def __init__(self, files: Sequence[InputFile]) -> None:
        self.files = files
        self.by_name: dict[str, list[InputFile]] = defaultdict(list)
        self.by_stem: dict[str, list[InputFile]] = defaultdict(list)
        self.by_moment: dict[tuple[str, str], list[tuple[str, InputFile]]] = defaultdict(list)
        self.elsewhere: dict[str, InputFile | None] = {}
        for file in files:
            name = file.path.name.lower()
            self.by_name[name].append(file)
            self.by_stem[file.path.stem.lower()].append(file)
            if match := STATION_CLIP.fullmatch(file.path.stem):
                self.by_moment[match["date"], re.sub(r"\D", ":", match["time"])].append((match["name"], file))

    def find(self, detection: Detection, table: DetectionTable) -> InputFile | None:
        """Return the recording of a detection, None if there is none or if it is ambiguous."""
        if detection.start_s is None and detection.date:
            return self._station_clip(detection)
        if detection.file:
            return self._by_path(detection.file, table.path.parent)
        folders = table.relative.split("/")[:-1]
        candidates = self.by_name.get(table.stem.lower()) or self.by_stem.get(table.stem.lower(), [])
        found = _best(candidates, [*folders, ""])
        return self.files[0] if found is None and not candidates and len(self.files) == 1 else found

    def _by_path(self, text: str, folder: Path) -> InputFile | None:
        parts = [part for part in re.split(r"[\\/]+", text) if part]
        if not parts:
            return None
        name = parts[-1].lower()
        candidates = self.by_name.get(name) or self.by_stem.get(name, [])
        if not candidates and Path(name).suffix in SOUND_SUFFIXES:  # the same recording in another format
            candidates = self.by_stem.get(Path(name).stem, [])
        if candidates:
            return _best(candidates, parts)
        if text not in self.elsewhere:
            paths = (user_path(text), folder / text)
            found = next((path for path in paths if os.path.isfile(path)), None)  # noqa: PTH113  false for odd names
            self.elsewhere[text] = input_file(found) if found else None
        return self.elsewhere[text]

    def _station_clip(self, detection: Detection) -> InputFile | None:
        clips = self.by_moment.get((detection.date, detection.time), [])
        names = {normalise_name(name) for name in detection.names}
        species = species_of_label(*detection.names)
        for name, file in clips:
            if normalise_name(name) in names or (species and species_of_label(name) == species):
                return file
        return None


def _best(candidates: Sequence[InputFile], parts: Sequence[str]) -> InputFile | None:
    """Return the candidate that shares most folders with the path `parts`, whose last part is the file name."""
    if len(candidates) < 2:
        return candidates[0] if candidates else None
    folders = [part.lower() for part in parts[:-1]][::-1]

    def shared(file: InputFile) -> int:
        own = [part.lower() for part in file.path.parts[:-1]][::-1]
        return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(own, folders, strict=False)))

    ranked = sorted(candidates, key=shared, reverse=True)
    return ranked[0] if shared(ranked[0]) > shared(ranked[1]) else None
