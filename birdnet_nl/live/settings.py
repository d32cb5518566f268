"""Settings of the live page, checked before the server starts."""

import ipaddress
import socket
from dataclasses import dataclass, field
from pathlib import Path

from birdnet_nl.live.texts import LANGUAGES
from birdnet_nl.util.errors import SetupError

DEFAULT_PORT = 8088
MIN_TOKEN = 16  # characters
MAX_TOKEN = 1024
NETHERLANDS = (52.16, 5.39)  # latitude and longitude of the centre; sunrise differs by 10 minutes at most elsewhere


@dataclass(frozen=True)
class LiveSettings:
    """Settings of `birdnet-nl serve`; nonsense and unsafe combinations are refused.

    Attributes:
        database: file of `birdnet-nl watch`; it may appear later.
        cache: folder for spectrograms, and for clips that a station sends.
        clips: folder of the clips, in place of the one that `watch` stored.
        token: secret that allows writing, and reading too unless `public_reading`; empty for none.
        allowed_hosts: further names under which the page may be opened.
        language: `en`, `nl`, or empty for the one that the browser asks for.
        location: latitude and longitude in degrees, for sunrise.
    """

    database: Path
    cache: Path
    clips: Path | None = None
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    read_only: bool = False
    token: str = field(default="", repr=False)
    public_reading: bool = False
    allowed_hosts: tuple[str, ...] = ()
    language: str = ""
    location: tuple[float, float] = NETHERLANDS

    def __post_init__(self) -> None:
        if self.language not in ("", *LANGUAGES):
            raise SetupError(f"--language {self.language} does not exist; choose one of {', '.join(LANGUAGES)}")
        if not 0 <= self.port <= 65535:
            raise SetupError(f"--port {self.port} does not exist; choose a number from 1024 to 65535")
        if not (abs(self.location[0]) <= 90 and abs(self.location[1]) <= 180):
            place = ",".join(f"{degrees:g}" for degrees in self.location)
            raise SetupError(f"--location {place} is no place; give latitude,longitude such as 52.16,5.39")
        if self.token:
            check_token(self.token)
        elif not self.is_local and not (self.read_only and self.public_reading):
            raise SetupError(
                f"the page would be open to everyone who reaches {self.opened_to}; give a token (--token-file or "
                "BIRDNET_NL_TOKEN), or --read-only together with --public-reading if everyone may see and listen"
            )
        if self.clips is not None and not self.clips.is_dir():
            raise SetupError(f"--clips {self.clips} is no folder; give the folder with the clips of the station")

    @property
    def is_local(self) -> bool:
        """Whether only programs of this machine reach the page."""
        return is_loopback(self.host) and all(is_loopback(name) for name in self.allowed_hosts)

    @property
    def opened_to(self) -> str:
        return self.host if not is_loopback(self.host) else ", ".join(self.allowed_hosts)

    @property
    def token_for_reading(self) -> bool:
        return bool(self.token) and not self.public_reading

    def is_own_host(self, name: str) -> bool:
        """Return whether a host name (without port) is one of this server, against DNS rebinding.

        An IP address is no name that a foreign DNS server could point here, so any is accepted unless the page is
        local.
        """
        name = name.lower().rstrip(".")
        if is_loopback(name) or name in {host.lower() for host in self.allowed_hosts}:
            return True
        if is_loopback(self.host):
            return False
        own = socket.gethostname().lower()
        return is_address(name) or name in {self.host.lower(), own, f"{own.partition('.')[0]}.local"}


def is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def is_loopback(name: str) -> bool:
    return name.lower() == "localhost" or (is_address(name) and ipaddress.ip_address(name.strip("[]")).is_loopback)


def check_token(token: str) -> None:
    """Raise `SetupError` for a token that can be guessed or that cannot be typed; the token is not in the message."""
    if not MIN_TOKEN <= len(token) <= MAX_TOKEN:
        raise SetupError(
            f"the token has {len(token)} characters and needs {MIN_TOKEN} to {MAX_TOKEN}; "
            "make one with: openssl rand -hex 16"
        )
    if not token.isascii() or not token.isprintable() or " " in token:
        raise SetupError("the token has blanks or other than ASCII characters; make one with: openssl rand -hex 16")
    if len(set(token)) < 6:
        raise SetupError("the token repeats a few characters and can be guessed; make one with: openssl rand -hex 16")
