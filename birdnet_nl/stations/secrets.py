"""Passwords and tokens of brokers, webhooks and stations: from the environment or from a file, never from an option."""

import os
import stat
from pathlib import Path

from birdnet_nl.util.errors import SetupError

MOUNTED = Path("/run/secrets")  # Docker and Podman mount secrets here, readable inside the container only
LONGEST = 4096  # characters


def read_secret(variable: str, file: Path | None, option: str) -> str:
    """Return the secret in `file` or else in the environment variable; empty if there is neither.

    Blanks and the line break at the end of a file are not part of the secret.

    Raises:
        SetupError: if the file cannot be read, is empty, has several lines, or other users may read or write it.
    """
    if file is None:
        return os.environ.get(variable, "").strip()
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
        if mode & 0o027 and not file.resolve().is_relative_to(MOUNTED):
            raise SetupError(
                f"{option} {file} has the permissions {mode:03o}, so that other users may read or write it; "
                f"run: chmod 600 {file}"
            )
        secret = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise SetupError(f"{option} {file} cannot be read: {reason}") from error
    if not secret or len(secret.splitlines()) > 1 or len(secret) > LONGEST:
        raise SetupError(f"{option} {file} must hold one line with the secret, of at most {LONGEST} characters")
    return secret
