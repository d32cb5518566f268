"""Errors whose text is one sentence for the user: what was found, where, what is possible, what to do."""


class BirdnetNlError(Exception):
    """Base of the errors that are shown as one sentence, without a traceback."""


class DataError(BirdnetNlError):
    """Recordings, folders or files on disk that cannot be used as they are."""


class TooFewRecordingsError(DataError):
    """Recordings that are in order but too few to train on: more have to be found, nothing has to be mended."""


class SelectionError(BirdnetNlError):
    """A species, parameter set or other name that does not exist."""


class SetupError(BirdnetNlError):
    """An installation that cannot work as it is."""


class RunError(BirdnetNlError):
    """A run directory that cannot be written, continued or read."""
