"""birdnet_nl: says what a bird is doing (song, call or alarm), with one classifier per species of the Netherlands."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("birdnet-nl")
except PackageNotFoundError:  # used from a source tree that was never installed
    __version__ = "0+unknown"
