"""A source of recordings from outside the package: one folder, with the type at the end of each file name."""

from pathlib import Path

from birdnet_nl.recordings.recording import Recording
from birdnet_nl.species.table import Species


class MySource:
    """Recordings named <species>_<number>_<type>.wav."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def read(self, species: Species) -> list[Recording]:
        recordings = []
        for path in sorted(self.folder.glob(f"{species.slug}_*.wav")):
            _, number, vocalization_type = path.stem.split("_")
            recordings.append(Recording(number, path, species.slug, vocalization_type, vocalization_type))
        return recordings
