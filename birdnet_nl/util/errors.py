"""Errors with a message of one sentence for the user: what was found, where, what is possible and what to do."""

from importlib.util import find_spec


class BirdnetNlError(Exception):
    """Base of the errors that are printed as one sentence, without a traceback."""


class DataError(BirdnetNlError):
    """Recordings, folders or files that cannot be used as they are."""


class TooFewRecordingsError(DataError):
    """Valid recordings that are too few to train on: more are needed, nothing has to be repaired."""


class SelectionError(BirdnetNlError):
    """A species, parameter set, parameter or other name that does not exist."""


class SetupError(BirdnetNlError):
    """An installation that cannot work as it is."""


class RunError(BirdnetNlError):
    """A run directory that cannot be written, resumed or read."""


def require_extra(module: str, extra: str) -> None:
    """Raise `SetupError` with the install command when `module` is not installed; nothing is imported."""
    if find_spec(module) is None:
        raise SetupError(
            f'this needs {module}, which is not installed; install it with: pip install "birdnet-nl[{extra}]"'
        )
