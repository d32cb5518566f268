"""Counts in words, for messages."""


def counted(count: int, one: str, many: str = "") -> str:
    """Return a count with its words, e.g. `1 file` or `2 files`; `many` where it is not `one` with an s."""
    return f"{count} {one if count == 1 else many or one + 's'}"
