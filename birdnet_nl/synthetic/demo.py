"""Demo recordings: made up, so that everything runs without network or key, and laid out as the real ones are.

`make_demo_species(root, "koolmees")` writes `root/xeno-canto-koolmees/{song,call,alarm}/XC….mp3` and the manifest
`recordings.csv`. What a recording claims is on disk; where it lies, on purpose, is known to `plan_recordings` only.
"""

import json
import shutil
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from birdnet_nl.data.sources import DEMO_MARK
from birdnet_nl.recordings.folder import SOUND_SUFFIXES
from birdnet_nl.species.table import get_species
from birdnet_nl.synthetic.files import MANIFEST, file_name, write_manifest, write_recordings
from birdnet_nl.synthetic.plan import MEDIAN_S, RecordingPlan, plan_recordings
from birdnet_nl.util.errors import DataError
from birdnet_nl.util.files import touch_cached, write_text_atomic

GENERATOR_VERSION = 1
"""Raise it when the sound or the plan changes: folders of another version are then made anew."""
README = """These recordings are synthetic: no bird, no recordist and no place in them exists.

birdnet_nl made them, so that everything can be tried without network or key. The folders are laid out like downloads
from Xeno-canto; the numbers start at XC900000000, far beyond any real one. A few recordings claim a wrong type and some
hold two types, as real ones do. They are good for trying things out, never for a claim about birds. Licence: CC0.
"""


@dataclass(frozen=True)
class DemoParams:
    """All that decides the content of a species' folder."""

    slug: str
    recordings_per_type: int
    seed: int
    difficulty: str
    median_s: float = MEDIAN_S
    generator_version: int = GENERATOR_VERSION

    def to_dict(self) -> dict[str, object]:
        """Without the usual length, which folders made before it could be chosen do not name."""
        values = asdict(self)
        if self.median_s == MEDIAN_S:
            del values["median_s"]
        return values


def make_demo_species(
    root: Path,
    slug: str,
    *,
    recordings_per_type: int = 36,
    seed: int = 0,
    difficulty: str = "normal",
    median_s: float = MEDIAN_S,
    progress: bool = True,
) -> Path:
    """The folder `root/xeno-canto-<slug>` with the demo recordings of a species, made unless it is there already.

    The content depends on the arguments only, not on the number of processes. The folder appears whole or not at all;
    one of other arguments is replaced, one that this function did not make is never touched.

    Args:
        recordings_per_type: recordings that claim a single type, of each type; about 10 % of two types come on top.
        difficulty: `easy`, `normal` or `hard`.
        median_s: length of the recordings in seconds, of half of them less.
        progress: whether to show a bar on stderr.

    Raises:
        SelectionError: no such species.
        ValueError: arguments out of range.
        DataError: the folder exists and holds something else.
        OSError: `root` cannot be written.
    """
    species = get_species(slug)
    params = DemoParams(species.slug, recordings_per_type, seed, difficulty, float(median_s))
    plans = plan_recordings(species.slug, recordings_per_type, seed, difficulty, median_s)
    root = Path(root)
    target = root / f"xeno-canto-{species.slug}"
    if _is_complete(target, params, plans):
        touch_cached(target / DEMO_MARK)
        return target
    _check_foreign(target)
    root.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(root, species.slug)
    write_text_atomic(root / "README.txt", README)
    building = Path(tempfile.mkdtemp(prefix=f".demo-{species.slug}-", dir=root))
    try:
        write_recordings(building, plans, progress)
        write_manifest(building, plans)
        building.chmod(0o755)  # mkdtemp makes private folders
        (building / DEMO_MARK).write_text(json.dumps(params.to_dict(), indent=2) + "\n")
        _put_in_place(building, target, params, plans)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return target


def _is_complete(target: Path, params: DemoParams, plans: list[RecordingPlan]) -> bool:
    try:
        found = json.loads((target / DEMO_MARK).read_text())
    except (OSError, ValueError):
        return False
    return found == params.to_dict() and all((target / name).is_file() for name in (MANIFEST, *map(file_name, plans)))


def _check_foreign(target: Path) -> None:
    """Raises when the folder, or a sound file in it, comes from elsewhere: replacing it would lose recordings."""
    if not target.exists():
        return
    if not (target / DEMO_MARK).is_file() and (not target.is_dir() or any(target.iterdir())):
        raise DataError(
            f"{target} exists and was not made by the demo generator (it has no {DEMO_MARK}); "
            "choose another folder for the demo recordings"
        )
    sounds = (path for path in target.rglob("*") if path.suffix.lower() in SOUND_SUFFIXES)
    foreign = next((path for path in sounds if not path.name.startswith("XC900")), None)
    if foreign is not None:
        raise DataError(f"{foreign} lies among demo recordings that have to be made anew; move it to another folder")


def _remove_leftovers(root: Path, slug: str, older_than_s: float = 3600) -> None:
    """Deletes what a killed process left; a younger folder may belong to one that is still at work."""
    for folder in root.glob(f".demo-{slug}-*"):
        try:
            abandoned = time.time() - folder.stat().st_mtime > older_than_s
        except FileNotFoundError:
            continue
        if abandoned:
            shutil.rmtree(folder, ignore_errors=True)


def _put_in_place(building: Path, target: Path, params: DemoParams, plans: list[RecordingPlan]) -> None:
    """Renames the finished folder; where another process came first with the same, that one stays."""
    for _ in range(10):
        if _is_complete(target, params, plans):
            return
        _check_foreign(target)
        if target.exists():  # of other parameters, or with files missing
            outdated = Path(tempfile.mkdtemp(prefix=f".demo-{params.slug}-", dir=target.parent))
            try:
                target.rename(outdated / target.name)
            except FileNotFoundError:  # another process moved it away
                pass
            finally:
                shutil.rmtree(outdated, ignore_errors=True)
        try:
            building.rename(target)
        except OSError:
            if not target.exists():
                raise
        else:
            return
    raise DataError(f"{target} is being replaced by another process with other parameters; use one folder for each")
