"""Webhook: each result is sent with HTTP POST as JSON."""

from dataclasses import dataclass, field

import httpx

from birdnet_nl.stations.http import TEMPORARY, check_url, describe, new_client, retry_after_s, shown_host
from birdnet_nl.stations.message import Message
from birdnet_nl.stations.outbox import DeliveryError, GivenUpError, RejectedError, UnreachableError

TOKEN_VARIABLE = "BIRDNET_NL_WEBHOOK_TOKEN"
MAX_REDIRECTS = 3


@dataclass(frozen=True)
class WebhookParams:
    """Receiver of the webhook.

    Attributes:
        token: sent as `Authorization: Bearer …` where it is not empty.
        ca_file: certificates of a private authority.
    """

    url: str
    token: str = field(default="", repr=False)
    timeout_s: float = 10
    ca_file: str = ""

    def __post_init__(self) -> None:
        check_url(self.url, "--webhook")


class WebhookChannel:
    """Channel that posts results; redirects are followed on the same host only, so that no token leaves it."""

    name = "webhook"

    def __init__(self, params: WebhookParams) -> None:
        self.params = params
        self.shown = shown_host(params.url)
        self._client = new_client(params.timeout_s, params.ca_file, uses_proxy=True)
        if params.token:
            self._client.headers["Authorization"] = f"Bearer {params.token}"

    def connect(self) -> None:
        """Do nothing: each message is a request of its own."""

    def deliver(self, message: Message) -> None:
        response = self._post(message)
        status = response.status_code
        if response.is_success:
            return
        if status in TEMPORARY:
            raise UnreachableError(f"{self.shown} answers {status}", retry_after_s(response))
        if response.is_client_error:
            raise RejectedError(f"{self.shown} answers {status}{_hint(status)}", retry_after_s(response))
        raise DeliveryError(f"{self.shown} answers {status}", retry_after_s(response))

    def _post(self, message: Message) -> httpx.Response:
        url = httpx.URL(self.params.url)
        headers = {"Content-Type": "application/json", "Idempotency-Key": f"{message.station}-{message.row}"}
        for _ in range(MAX_REDIRECTS + 1):
            try:
                with self._client.stream("POST", url, content=message.json.encode(), headers=headers) as response:
                    pass  # the body of the answer, of any size, is not read
            except httpx.HTTPError as error:
                raise UnreachableError(f"{self.shown} cannot be reached ({describe(error)})") from error
            if not response.has_redirect_location:
                return response
            try:
                target = url.join(response.headers["Location"])
            except httpx.InvalidURL as error:
                raise GivenUpError(f"{self.shown} redirects to an invalid address") from error
            if (target.scheme, target.host, target.port) != (url.scheme, url.host, url.port):
                raise RejectedError(
                    f"{self.shown} redirects to {target.scheme}://{target.host}, which is not followed; give the "
                    "final address as --webhook"
                )
            url = target
        raise RejectedError(f"{self.shown} redirects more than {MAX_REDIRECTS} times")

    def close(self) -> None:
        self._client.close()


def _hint(status: int) -> str:
    if status in (401, 403):
        return f" (check {TOKEN_VARIABLE} or --webhook-token-file)"
    return " (check the address)" if status in (404, 405, 410) else ""
