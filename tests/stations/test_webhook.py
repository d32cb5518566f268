"""Webhook: retries, Retry-After, refusals, tokens and redirects, against a server on loopback."""

import json
import logging
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from birdnet_nl.stations.database import open_database
from birdnet_nl.stations.http import describe
from birdnet_nl.stations.outbox import DeliveryError, GivenUpError, Limits, Outbox, RejectedError, UnreachableError
from birdnet_nl.stations.webhook import WebhookChannel, WebhookParams
from birdnet_nl.util.errors import SetupError
from tests.stations.outbox_tables import add_result, wait_until, waiting
from tests.stations.test_outbox import message_of


class Receiver:
    """HTTP server that answers with `answers` first, (status, headers, body) each, then with 204."""

    def __init__(self):
        self.answers = []
        self.posts = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.posts.append((self.path, dict(self.headers), body))
                status, headers, answer = receiver.answers.pop(0) if receiver.answers else (204, {}, b"")
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver():
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "detections.db"
    open_database(path).close()
    return path


@pytest.fixture
def message(database):
    return message_of(database, add_result(database))


def test_a_result_is_posted_as_json_with_its_token(receiver, message):
    channel = WebhookChannel(WebhookParams(receiver.url, token="s3cret"))
    channel.deliver(message)
    ((path, headers, body),) = receiver.posts
    assert path == "/hook" and json.loads(body) == message.content
    assert headers["Content-Type"] == "application/json" and headers["Authorization"] == "Bearer s3cret"


@pytest.mark.parametrize(
    ("status", "headers", "error", "retry_after_s"),
    [
        (503, {"Retry-After": "7"}, UnreachableError, 7),
        (429, {"Retry-After": "120"}, UnreachableError, 120),
        (502, {}, UnreachableError, None),
        (503, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, UnreachableError, 0),
        (503, {"Retry-After": "soon"}, UnreachableError, None),
        (503, {"Retry-After": "99999999999999999999"}, UnreachableError, 86_400),
        (500, {}, DeliveryError, None),
        (400, {}, RejectedError, None),
        (401, {}, RejectedError, None),
        (404, {}, RejectedError, None),
    ],
)
def test_answers_mean_what_http_says(receiver, message, status, headers, error, retry_after_s):
    receiver.answers = [(status, headers, b"")]
    with pytest.raises(DeliveryError, match=f"answers {status}") as caught:
        WebhookChannel(WebhookParams(receiver.url)).deliver(message)
    assert type(caught.value) is error and caught.value.retry_after_s == retry_after_s


def test_a_server_that_is_not_there_or_too_slow_is_unreachable(message, receiver):
    with pytest.raises(UnreachableError, match="no connection"):
        WebhookChannel(WebhookParams("http://127.0.0.1:9/hook")).deliver(message)
    with pytest.raises(UnreachableError, match=r"it answers without TLS, as http:// and not https://"):
        WebhookChannel(WebhookParams(receiver.url.replace("http:", "https:"))).deliver(message)
    for text in ("[Errno -2] Name or service not known", "[Errno -3] Temporary failure in name resolution"):
        assert describe(httpx.ConnectError(text)) == "no computer of this name is known"
    receiver.server.shutdown()  # accepts connections, never answers
    with pytest.raises(UnreachableError, match="no answer in time"):
        WebhookChannel(WebhookParams(receiver.url, timeout_s=0.3)).deliver(message)


def test_redirects_on_the_same_host_are_followed(receiver, message):
    receiver.answers = [(307, {"Location": "/other"}, b"")]
    WebhookChannel(WebhookParams(receiver.url, token="s3cret")).deliver(message)
    assert [path for path, *_ in receiver.posts] == ["/hook", "/other"]


def test_no_token_or_result_goes_to_another_host(receiver, message):
    other = Receiver()
    receiver.answers = [(302, {"Location": other.url}, b"")]
    with pytest.raises(RejectedError, match="which is not followed; give the final address as --webhook"):
        WebhookChannel(WebhookParams(receiver.url, token="s3cret")).deliver(message)
    assert other.posts == []
    other.close()


def test_endless_and_invalid_redirects_end(receiver, message):
    receiver.answers = [(307, {"Location": "/again"}, b"")] * 9
    with pytest.raises(RejectedError, match="redirects more than"):
        WebhookChannel(WebhookParams(receiver.url)).deliver(message)
    receiver.answers = [(307, {"Location": "http://[nonsense"}, b"")]
    with pytest.raises((GivenUpError, RejectedError), match="redirects to"):
        WebhookChannel(WebhookParams(receiver.url)).deliver(message)


def test_a_huge_answer_is_not_read(receiver, message):
    receiver.answers = [(200, {"Content-Length": str(10**12)}, b"x" * 100_000)]
    WebhookChannel(WebhookParams(receiver.url, timeout_s=2)).deliver(message)


@pytest.mark.parametrize("url", ["ftp://a/b", "not an address", "http://", "", "http://host:no/"])
def test_what_is_no_address_is_refused(url):
    with pytest.raises(SetupError, match=r"--webhook .*is no address"):
        WebhookParams(url)


def test_credentials_in_the_address_are_refused_without_repeating_them():
    with pytest.raises(SetupError, match=r"--webhook for example.org holds a user name or password") as caught:
        WebhookParams("https://user:pa55@example.org/hook")
    assert "pa55" not in str(caught.value)


def test_tokens_and_addresses_with_tokens_are_in_no_log(receiver, database, caplog):
    caplog.set_level(logging.DEBUG)
    receiver.answers = [(503, {}, b""), (400, {}, b""), (400, {}, b""), (400, {}, b"")]
    add_result(database, channels=("webhook",))
    params = WebhookParams(f"{receiver.url}/t0ken-in-path?key=t0ken-in-query", token="s3cret")
    outbox = Outbox(database, Limits(first_wait_s=0.01, longest_wait_s=0.01))
    outbox.start([WebhookChannel(params)])
    wait_until(lambda: waiting(database, "webhook") == [])
    outbox.close()
    assert "answers 503" in caplog.text and "after 3 attempts" in caplog.text
    assert "t0ken" not in caplog.text and "s3cret" not in caplog.text + repr(params)
