"""Reasons why a file of `torch.save` cannot be read, in words of ours; nothing of it is executed."""

import zipfile
from pathlib import Path

ZIP_MAGIC = b"PK\x03\x04"


def describe_damage(path: Path) -> str:
    """Return a clause about a file that torch could not read, such as "is empty"."""
    try:
        with path.open("rb") as file:
            start = file.read(len(ZIP_MAGIC))
        if not start:
            return "is empty"
        if start != ZIP_MAGIC:
            return "is a file of another kind"
        with zipfile.ZipFile(path) as archive:
            if not any(name.endswith("/data.pkl") for name in archive.namelist()):
                return "is an archive of another kind"
            if archive.testzip() is not None:
                return "is damaged"
    except IsADirectoryError:
        return "is a folder"
    except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError, RuntimeError, ValueError):
        return "is cut off or damaged"
    return "holds other objects than tensors and plain values, which are never loaded"
