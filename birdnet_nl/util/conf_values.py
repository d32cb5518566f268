"""Values of the YAML files of `conf/`, for code that runs without Hydra."""

from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import yaml


def conf_dir() -> Path:
    """Return the folder `conf/`: packaged as `birdnet_nl.conf` when installed, in a checkout beside the package."""
    package = Path(str(resources.files("birdnet_nl")))
    packaged = package / "conf"
    return packaged if packaged.is_dir() else package.parent / "conf"


@cache
def conf_values(name: str) -> dict[str, Any]:
    """Read a file of `conf/`, such as `data/base.yaml`, without interpolations or the defaults list."""
    with (conf_dir() / name).open(encoding="utf-8") as file:
        return yaml.safe_load(file)
