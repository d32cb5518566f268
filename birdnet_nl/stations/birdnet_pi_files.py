"""Files of a BirdNET-Pi: its database, clips and settings, found where its installer puts them."""

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from birdnet_nl.stations.birdnet_pi_clips import CLIP_S
from birdnet_nl.util.errors import DataError
from birdnet_nl.util.files import did_you_mean, user_path

DATABASE = Path("BirdNET-Pi/scripts/birds.db")
CLIPS = Path("BirdSongs/Extracted/By_Date")
SETTINGS = Path("BirdNET-Pi/birdnet.conf")
SYSTEM_SETTINGS = Path("/etc/birdnet/birdnet.conf")  # a link to the user's
HOMES = Path("/home")
SETTING = re.compile(r"\s*(?:export\s+)?(\w+)=(.*)")


@dataclass(frozen=True)
class BirdnetPiFiles:
    """Files of one BirdNET-Pi.

    Attributes:
        database: `birds.db`.
        clips: the folder `By_Date`.
        clip_s: length of a clip by its settings.
    """

    database: Path
    clips: Path
    clip_s: float = CLIP_S


def find_files(database: str | Path | None = None, clips: str | Path | None = None) -> BirdnetPiFiles:
    """Find the files of a BirdNET-Pi; `database` and `clips` count where they are given (`--db`, `--clips`).

    Looked at: the home folder, that of the user who called sudo, the one that BirdNET-Pi's settings name, and the other
    home folders. `clips` may also be the folder `BirdSongs` or `Extracted`, `database` a folder with `birds.db`.

    Raises:
        DataError: if one of the two is not found, with what was looked at.
    """
    homes = _homes(user_path(database) if database else None)
    found_database = _given_database(user_path(database)) if database else _first_database(homes)
    owners = [home for home in homes if found_database == home / DATABASE] or homes
    settings_files = [_beside(found_database), *(home / SETTINGS for home in owners), SYSTEM_SETTINGS]
    settings, home = _first_settings(settings_files)
    if clips:
        found_clips = _given_clips(user_path(clips))
    else:
        candidates = _clips_in_settings(settings)
        candidates += [place / CLIPS for place in ([home] if home else []) + owners]
        found_clips = _first_folder(candidates)
    return BirdnetPiFiles(found_database, found_clips, _clip_s(settings))


def _homes(database: Path | None) -> list[Path]:
    """Return the home folders to look at, in this order, each once."""
    homes = []
    if database is not None and database.resolve().parts[-3:] == DATABASE.parts:
        homes.append(database.resolve().parents[2])
    homes.append(Path.home())
    if user := os.environ.get("SUDO_USER"):
        expanded = user_path(f"~{user}")
        homes += [expanded] if expanded.is_absolute() else []
    if _is_file(SYSTEM_SETTINGS):
        homes.append(SYSTEM_SETTINGS.resolve().parents[1])
    with suppress(OSError):
        homes += sorted(HOMES.iterdir())
    return list(dict.fromkeys(homes))


def _first_database(homes: list[Path]) -> Path:
    candidates = [home / DATABASE for home in homes]
    for path in candidates:
        if _is_file(path):
            return path
    raise DataError(
        f"no database of BirdNET-Pi found (looked at {_listed(candidates)}); give it with --db, and run this as a user "
        "that may read it"
    )


def _given_database(path: Path) -> Path:
    for candidate in (path, path / "birds.db", path / "scripts" / "birds.db"):
        if _is_file(candidate):
            return candidate
    raise DataError(f"there is no database {path}{did_you_mean(path)}; give the birds.db of BirdNET-Pi with --db")


def _given_clips(path: Path) -> Path:
    for candidate in (path / CLIPS, path / "Extracted" / "By_Date", path / "By_Date", path):
        if _is_folder(candidate):
            return candidate
    raise DataError(
        f"there is no folder {path}{did_you_mean(path)}; give the folder By_Date of BirdNET-Pi with --clips"
    )


def _first_folder(candidates: list[Path]) -> Path:
    candidates = list(dict.fromkeys(candidates))
    for path in candidates:
        if _is_folder(path):
            return path
    raise DataError(
        f"no clips of BirdNET-Pi found (looked at {_listed(candidates)}); give the folder By_Date with --clips"
    )


def _beside(database: Path) -> Path:
    return database.parent.parent / SETTINGS.name


def _first_settings(files: list[Path]) -> tuple[dict[str, str], Path | None]:
    """Return the settings of the first file that can be read, and the home folder that it belongs to."""
    for file in files:
        try:
            text = file.read_text(encoding="utf-8", errors="surrogateescape")
            home = file.resolve().parents[1]
        except (OSError, IndexError):
            continue
        return read_settings(text, home), home
    return {}, None


def read_settings(text: str, home: Path) -> dict[str, str]:
    """Read lines such as `RECS_DIR=$HOME/BirdSongs`: quotes are removed, earlier settings and $HOME are filled in."""
    settings: dict[str, str] = {}
    for line in text.splitlines():
        if match := SETTING.fullmatch(line):
            settings[match[1]] = _value(match[2].strip(), {"HOME": str(home), **settings})
    return settings


def _value(text: str, known: Mapping[str, str]) -> str:
    if text[:1] in ("'", '"') and (end := text.find(text[0], 1)) > 0:
        is_literal, text = text[0] == "'", text[1:end]
        if is_literal:
            return text
    else:
        text = text.partition(" #")[0].strip()
    if text == "~" or text.startswith("~/"):
        text = known["HOME"] + text[1:]
    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda match: known.get(match[1] or match[2], ""), text)


def _clips_in_settings(settings: Mapping[str, str]) -> list[Path]:
    places = []
    if extracted := settings.get("EXTRACTED"):
        places.append(Path(extracted) / "By_Date")
    if recordings := settings.get("RECS_DIR"):
        places.append(Path(recordings) / "Extracted" / "By_Date")
    return [place for place in places if place.is_absolute()]


def _clip_s(settings: Mapping[str, str]) -> float:
    try:
        seconds = float(settings.get("EXTRACTION_LENGTH") or CLIP_S)
    except ValueError:
        return CLIP_S
    return seconds if 0.5 <= seconds <= 600 else CLIP_S


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # in a home folder that is not ours
        return False


def _listed(paths: list[Path]) -> str:
    shown = [str(path) for path in paths[:6]]
    return ", ".join(shown) + (f" and {len(paths) - 6} others" if len(paths) > 6 else "")
