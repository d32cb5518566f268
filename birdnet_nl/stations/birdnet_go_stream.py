"""Stream of new detections from BirdNET-Go (server-sent events): it reports that something changed, and what to expect.

What an event holds is not stored: the list is read then, so that there is one way by which detections come in, and a
broken stream loses nothing.
"""

import contextlib
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx

from birdnet_nl.stations.birdnet_go_api import Api
from birdnet_nl.stations.station import StationUnavailableError

MAX_LINE_BYTES = 1_000_000
SILENCE_S = 60.0  # BirdNET-Go sends a heartbeat every 15 or 30 s
STEADY_S = 60.0  # a connection that lasted so long is made again at once
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0
log = logging.getLogger(__name__)


class DetectionStream(threading.Thread):
    """Thread that is connected to the stream, again and again.

    Args:
        changed: is called when the stream was connected, when it cannot be connected, and for each detection.
    """

    def __init__(self, api: Api, changed: Callable[[int | None], None], first_wait_s: float = FIRST_WAIT_S) -> None:
        super().__init__(name="birdnet-go-stream", daemon=True)
        self.api, self.changed, self.first_wait_s = api, changed, first_wait_s
        self.is_connected = False
        self._stopping = threading.Event()
        self._socket: socket.socket | None = None

    def run(self) -> None:
        wait_s = self.first_wait_s
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                self._read()
                reason = "the server closed it"
            except (httpx.HTTPError, StationUnavailableError, OSError, ValueError) as error:
                reason = str(error) or type(error).__name__
            except Exception as error:  # a defect must not end the stream for good
                log.exception("the stream of BirdNET-Go failed")
                reason = str(error)
            if self._stopping.is_set():
                return
            log.debug("stream of %s ended (%s); connecting again in %.0f s", self.api.url, reason, wait_s)
            if self.is_connected and time.monotonic() - began >= STEADY_S:
                wait_s = self.first_wait_s
            elif not self.is_connected:
                self.changed(None)  # without a stream the list is read at each attempt
            self.is_connected = False
            self._stopping.wait(wait_s)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    def stop(self) -> None:
        """End the stream, also while it waits for data."""
        self._stopping.set()
        connection = self._socket
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _read(self) -> None:
        timeout = httpx.Timeout(self.api.timeout_s, read=SILENCE_S)
        with self.api.stream("/detections/stream", timeout) as response:
            network = response.extensions.get("network_stream")
            self._socket = network.get_extra_info("socket") if network else None
            if self._stopping.is_set():
                return
            self.is_connected = True
            self.changed(None)
            for event, data in events(response.iter_raw()):
                if event == "detection":
                    self.changed(_id_of(data))
        self._socket = None


def events(blocks: Iterator[bytes]) -> Iterator[tuple[str, str]]:
    """Yield name and data of server-sent events; raises ValueError for a line that does not end."""
    event, data, rest = "message", [], b""
    for block in blocks:
        *lines, rest = (rest + block).split(b"\n")
        if len(rest) > MAX_LINE_BYTES or sum(map(len, data)) > MAX_LINE_BYTES:
            raise ValueError("an event is larger than 1 MB")
        for raw in lines:
            line = raw.rstrip(b"\r").decode("utf-8", "replace")
            name, _, value = line.partition(":")
            if not line:
                if data:
                    yield event, "\n".join(data)
                event, data = "message", []
            elif name == "event":
                event = value.strip()
            elif name == "data":
                data.append(value.removeprefix(" "))


def _id_of(data: str) -> int | None:
    """Return the id of the detection in an event; older versions write `ID`."""
    try:
        content: Any = json.loads(data)
    except (ValueError, RecursionError):
        return None
    id = (content.get("id") or content.get("ID")) if isinstance(content, dict) else None
    return id if isinstance(id, int) and not isinstance(id, bool) and id > 0 else None
