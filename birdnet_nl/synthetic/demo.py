"""Demo recordings: synthetic, in the layout of real ones, so that everything runs without network or key.

`make_demo_species(root, "koolmees")` writes `root/xeno-canto-koolmees/{song,call,alarm}/XC….mp3` and the manifest
`recordings.csv`. A few labels are wrong on purpose; only `plan_recordings` knows which. NumPy and SciPy are imported
when recordings are made, since commands that only look for the demo import this module.
"""

import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from birdnet_nl.recordings.manifest import MANIFEST
from birdnet_nl.recordings.sound_file import SOUND_SUFFIXES
from birdnet_nl.species.table import get_species
from birdnet_nl.util.errors import DataError
from birdnet_nl.util.files import touch_cached, write_text_atomic

if TYPE_CHECKING:
    from birdnet_nl.synthetic.plan import RecordingPlan

DEMO_MARK = "demo.json"  # written last into every folder of demo recordings
MEDIAN_S = 13.0  # usual median duration
GENERATOR_VERSION = 1
"""Increase it when the sound or the plan changes: folders of another version are then replaced."""
README = """These recordings are synthetic: no bird, no recordist and no site in them exists.

birdnet_nl generated them, so that everything can be tried without network or key. The folders have the layout of
downloads from Xeno-canto; the numbers start at XC900000000, far above any real one. A few recordings have a wrong label
and some have two types, like real ones. Use them to try things out, never for a claim about birds. Licence: CC0.
"""


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
    """Return the folder `root/xeno-canto-<slug>` with the demo recordings of a species; make it if it does not exist.

    The content depends on the arguments only, not on the number of processes. The folder is renamed into place when it
    is complete. A folder of other arguments is replaced, a folder that this function did not make is never changed.

    Args:
        recordings_per_type: recordings with one label, for each type; about 10 % with two labels are added.
        difficulty: `easy`, `normal` or `hard`.
        median_s: median duration of the recordings in seconds.
        progress: whether to show a bar on stderr.

    Raises:
        SelectionError: the species does not exist.
        ValueError: an argument is out of range.
        DataError: the folder exists and holds other files.
        OSError: `root` cannot be written.
    """
    from birdnet_nl.synthetic.demo_files import write_manifest, write_recordings
    from birdnet_nl.synthetic.plan import plan_recordings

    species = get_species(slug)
    params = {"slug": species.slug, "recordings_per_type": recordings_per_type, "seed": seed, "difficulty": difficulty}
    if median_s != MEDIAN_S:  # not stated by older folders
        params["median_s"] = float(median_s)
    params["generator_version"] = GENERATOR_VERSION
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
        (building / DEMO_MARK).write_text(json.dumps(params, indent=2) + "\n")
        _put_in_place(building, target, params, plans)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return target


def _is_complete(target: Path, params: dict[str, object], plans: list["RecordingPlan"]) -> bool:
    try:
        values = json.loads((target / DEMO_MARK).read_text())
    except (OSError, ValueError):
        return False
    names = (MANIFEST, *(plan.file_name for plan in plans))
    return values == params and all((target / name).is_file() for name in names)


def _check_foreign(target: Path) -> None:
    """Raise `DataError` if the folder or a sound file in it is not from the demo, since it would be lost."""
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
        raise DataError(f"{foreign} is among demo recordings that must be replaced; move it to another folder")


def _remove_leftovers(root: Path, slug: str, older_than_s: float = 3600) -> None:
    """Delete folders of killed processes; a younger folder may belong to a process that is still running."""
    for folder in root.glob(f".demo-{slug}-*"):
        try:
            is_abandoned = time.time() - folder.stat().st_mtime > older_than_s
        except FileNotFoundError:
            continue
        if is_abandoned:
            shutil.rmtree(folder, ignore_errors=True)


def _put_in_place(building: Path, target: Path, params: dict[str, object], plans: list["RecordingPlan"]) -> None:
    """Rename the finished folder; if another process has finished the same folder first, keep that one."""
    for _ in range(10):
        if _is_complete(target, params, plans):
            return
        _check_foreign(target)
        if target.exists():  # of other parameters, or with files missing
            outdated = Path(tempfile.mkdtemp(prefix=f".demo-{params['slug']}-", dir=target.parent))
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
