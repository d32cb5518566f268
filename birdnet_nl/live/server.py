"""Server of the live page: uvicorn on one address, without access log, stopped within seconds."""

import socket

import uvicorn

from birdnet_nl.live.app import create_app
from birdnet_nl.live.parts import Live
from birdnet_nl.live.settings import LiveSettings
from birdnet_nl.util.errors import SetupError

MAX_HEADER_BYTES = 16_384
MAX_CONNECTIONS = 200


class LiveServer(uvicorn.Server):
    """Server that ends the open event streams before it waits for connections to close."""

    def __init__(self, settings: LiveSettings) -> None:
        live = Live(settings)
        self._stop_streams = live.events.stop
        config = uvicorn.Config(  # the address is that of the sockets that `run` gets
            create_app(live), log_level="warning", access_log=False, server_header=False, proxy_headers=False,
            ws="none", http="h11", h11_max_incomplete_event_size=MAX_HEADER_BYTES, timeout_graceful_shutdown=3,
            limit_concurrency=MAX_CONNECTIONS,
        )  # fmt: skip
        super().__init__(config)

    def handle_exit(self, sig, frame) -> None:  # the signature of the library
        self._stop_streams()
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets=None) -> None:  # the signature of the library
        self._stop_streams()
        await super().shutdown(sockets)


def listen(settings: LiveSettings) -> socket.socket:
    """Open the port; raises `SetupError` with the reason when it is taken or not permitted."""
    try:
        family = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((settings.host, settings.port), family=family, backlog=128)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SetupError(
            f"the page cannot listen on {settings.host}:{settings.port} ({reason}); choose others with --host or --port"
        ) from None
