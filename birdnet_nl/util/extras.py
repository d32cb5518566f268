"""Optional dependencies: packages that only some commands need, installed by an extra of birdnet-nl."""

from importlib.util import find_spec

from birdnet_nl.util.errors import SetupError


def require_extra(module: str, extra: str) -> None:
    """Raise `SetupError` with the install command when `module` is not installed; nothing is imported."""
    if find_spec(module) is None:
        raise SetupError(
            f'this needs {module}, which is not installed; install it with: pip install "birdnet-nl[{extra}]"'
        )
