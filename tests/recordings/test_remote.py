"""Local copies of remote recordings: complete, copied again only after changes, with errors of one sentence."""

import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from unittest.mock import Mock
from urllib.parse import parse_qs, urlparse

import fsspec
import pytest

from birdnet_nl.data.sources import DEMO_MARK, DemoSettings, choose_source, read_source
from birdnet_nl.recordings import remote as remote_module
from birdnet_nl.recordings.remote import copy_remote_folders, is_url, list_remote_files, local_root
from birdnet_nl.recordings.type_set import THREE
from birdnet_nl.species.table import get_species
from birdnet_nl.util.errors import DataError, SetupError

MEREL, VINK = get_species("merel"), get_species("vink")
NO_DEMO = DemoSettings("nowhere", 1, "normal", 0)
MANIFEST = "file,type,recordist\nxeno-canto-merel/song/XC1.mp3,song,Ann\nxeno-canto-merel/call/XC2.mp3,alarm call,Ben\n"
AS_READ = {("XC1", "song", "Ann"), ("XC2", "alarm", "Ben")}
FILES = {
    "recordings.csv": MANIFEST.encode(),
    "xeno-canto-merel/song/XC1.mp3": b"one",
    "xeno-canto-merel/call/XC2.mp3": b"two two",
    "xeno-canto-merel/notes.txt": b"not copied",
    "xeno-canto-merel/@eaDir/XC1.mp3": b"system file",
    "xeno-canto-vink/song/XC3.mp3": b"three",
}


@pytest.fixture(params=["file", "memory"])
def url(request, tmp_path):
    """The files in a local folder, or in memory."""
    root = f"file://{tmp_path / 'bucket'}" if request.param == "file" else f"memory://{tmp_path.name}/bucket"
    for name, content in FILES.items():
        put(root, name, content)
    yield root
    if request.param == "memory":
        fsspec.filesystem("memory").store.clear()


def put(url, name, content):
    with fsspec.open(f"{url}/{name}", "wb", auto_mkdir=True) as file:
        file.write(content)


@pytest.fixture
def copied(monkeypatch):
    """Names of the files that are copied."""
    names, copy_file = [], remote_module._copy_file

    def counting(fs, source, file, local):
        names.append(file.name)
        copy_file(fs, source, file, local)

    monkeypatch.setattr(remote_module, "_copy_file", counting)
    return names


def read(url, cache, species=MEREL, source="auto"):
    return read_source(choose_source(source, url, species), species, NO_DEMO, cache, THREE)


def test_the_species_is_copied_once_and_read_with_the_manifest_above(url, tmp_path, copied):
    recordings = read(url, tmp_path / "cache")
    assert {(r.id, r.vocalization_type, r.recordist) for r in recordings} == AS_READ
    assert {r.path.read_bytes() for r in recordings} == {b"one", b"two two"}
    assert sorted(copied) == ["recordings.csv", "xeno-canto-merel/call/XC2.mp3", "xeno-canto-merel/song/XC1.mp3"]
    assert all(r.path.is_relative_to(tmp_path / "cache") for r in recordings)
    copied.clear()
    read(url, tmp_path / "cache")
    assert copied == []


def test_changed_files_are_copied_again_and_removed_files_removed(url, tmp_path, copied):
    read(url, tmp_path / "cache")
    copied.clear()
    put(url, "xeno-canto-merel/song/XC1.mp3", b"another")
    put(url, "xeno-canto-merel/alarm/XC4.mp3", b"new")
    fs, path = fsspec.url_to_fs(url)
    fs.rm(f"{path}/xeno-canto-merel/call/XC2.mp3")
    recordings = read(url, tmp_path / "cache")
    assert sorted(copied) == ["xeno-canto-merel/alarm/XC4.mp3", "xeno-canto-merel/song/XC1.mp3"]
    contents = {recording.id: recording.path.read_bytes() for recording in recordings if recording.path.is_file()}
    assert contents == {"XC1": b"another", "XC4": b"new"}
    fs.rm(f"{path}/recordings.csv")
    assert {recording.recordist for recording in read(url, tmp_path / "cache")} == {""}


def test_a_file_of_equal_size_and_another_time_is_copied_again(tmp_path, copied):
    url = f"file://{tmp_path / 'bucket'}"
    put(url, "merel/song/XC1.mp3", b"one")
    read(url, tmp_path / "cache")
    put(url, "merel/song/XC1.mp3", b"two")
    os.utime(tmp_path / "bucket/merel/song/XC1.mp3", (1, 1))
    assert read(url, tmp_path / "cache")[0].path.read_bytes() == b"two"


def test_an_interrupted_copy_leaves_no_partial_file_and_continues(url, tmp_path, monkeypatch, copied):
    copy_file = remote_module._copy_file

    def breaking(fs, source, file, local):
        if file.name.endswith("XC2.mp3"):
            raise OSError("connection reset")
        copy_file(fs, source, file, local)

    with monkeypatch.context() as patched:
        patched.setattr(remote_module, "_copy_file", breaking)
        with pytest.raises(DataError, match=r"\(connection reset\); try again, finished copies are kept"):
            read(url, tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("*.part")) and not list((tmp_path / "cache").rglob("XC2.mp3"))
    copied.clear()
    read(url, tmp_path / "cache")
    assert "xeno-canto-merel/call/XC2.mp3" in copied


def test_an_incomplete_file_raises(url, tmp_path, monkeypatch):
    choice = choose_source("auto", url, VINK)
    files = [remote_module.RemoteFile(f.name, f.size + 1, f.stamp_ns) for f in list_remote_files(choice.remote)]
    monkeypatch.setattr(remote_module, "list_remote_files", lambda folders: files)
    with pytest.raises(DataError, match="arrived with"):
        copy_remote_folders(choice.remote, tmp_path / "cache", "vink")


def test_remote_demo_recordings_are_synthetic(url):
    assert not choose_source("auto", url, MEREL).synthetic
    put(url, f"xeno-canto-merel/{DEMO_MARK}", b"{}")
    choice = choose_source("auto", url, MEREL)
    assert choice.synthetic and "was made by the generator" in choice.why


def test_a_missing_species_raises(url):
    with pytest.raises(DataError, match=f"data.root={url} holds no recordings of koolmees; put them in xeno-canto-"):
        choose_source("auto", url, get_species("koolmees"))


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("file:///no/such/folder", "does not exist: no such bucket or folder"),
        ("memory://no/such/bucket", "does not exist: no such bucket or folder"),
        ("nas://x", "is of an unknown kind .*; possible: s3://"),
    ],
)
def test_impossible_addresses_raise(address, message):
    with pytest.raises(DataError, match=f"data.root={address} {message}"):
        choose_source("auto", address, MEREL)


def test_the_error_for_a_missing_library_names_the_extra(monkeypatch):
    monkeypatch.setattr(fsspec, "url_to_fs", Mock(side_effect=ImportError("Install s3fs to access S3")))
    with pytest.raises(SetupError, match=r'needs a library that is not installed: pip install -e "\.\[s3\]"'):
        choose_source("auto", "s3://bucket/recordings", MEREL)


def test_the_error_for_missing_permission_names_the_variables(monkeypatch, url):
    monkeypatch.setattr(remote_module, "_connect", Mock(side_effect=PermissionError(13, "Access Denied")))
    with pytest.raises(DataError, match="may not be read; give credentials, for S3 in AWS_ACCESS_KEY_ID"):
        choose_source("auto", url, MEREL)


def test_addresses_are_distinguished_from_folders_and_have_separate_copies(tmp_path):
    assert is_url("s3://bucket/x") and is_url("memory://x")
    assert not is_url("C:/data") and not is_url("/nas/recordings") and not is_url(None) and not is_url(Path("a"))
    one, other = local_root("s3://bucket/a", tmp_path), local_root("s3://bucket/b", tmp_path)
    assert one != other and one.name.startswith("bucket-a-") and local_root("s3://bucket/a/", tmp_path) == one


class _S3(BaseHTTPRequestHandler):
    """The two requests of S3 that are needed: list a bucket, get an object."""

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        url = urlparse(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        bucket, _, key = url.path.lstrip("/").partition("/")
        if bucket == "secret":
            return self.respond(403, b"<Error><Code>AccessDenied</Code></Error>")
        if bucket != "bucket":
            return self.respond(404, b"<Error><Code>NoSuchBucket</Code></Error>")
        if "list-type" in query:
            return self.respond(200, self.listing(query.get("prefix", ""), query.get("delimiter", "")))
        name = key.removeprefix("recordings/")
        return self.respond(200, FILES[name]) if name in FILES else self.respond(404, b"<Error/>")

    def listing(self, prefix, delimiter):
        keys = [f"recordings/{name}" for name in FILES if f"recordings/{name}".startswith(prefix)]
        deeper = [key for key in keys if delimiter and delimiter in key[len(prefix) :]]
        folders = {key[: key.index(delimiter, len(prefix)) + 1] for key in deeper}
        objects = [key for key in keys if key not in deeper]
        rows = "".join(
            f"<Contents><Key>{k}</Key><Size>{len(FILES[k.removeprefix('recordings/')])}</Size><ETag>e{i}</ETag>"
            "<LastModified>2026-01-02T03:04:05.000Z</LastModified></Contents>"
            for i, k in enumerate(objects)
        ) + "".join(f"<CommonPrefixes><Prefix>{folder}</Prefix></CommonPrefixes>" for folder in sorted(folders))
        return f"<ListBucketResult><IsTruncated>false</IsTruncated>{rows}</ListBucketResult>".encode()

    def respond(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"e"')
        self.send_header("Last-Modified", "Fri, 02 Jan 2026 03:04:05 GMT")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def s3(monkeypatch):
    """A bucket on a local server."""
    pytest.importorskip("obstore")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _S3)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    for name, value in {
        "AWS_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "AWS_ALLOW_HTTP": "true", "AWS_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    yield "s3://bucket/recordings"
    server.shutdown()


def test_a_bucket_of_s3_is_read(s3, tmp_path, copied):
    recordings = read(s3, tmp_path / "cache")
    assert {(r.id, r.vocalization_type, r.recordist) for r in recordings} == AS_READ
    assert {r.path.read_bytes() for r in recordings} == {b"one", b"two two"}
    copied.clear()
    read(s3, tmp_path / "cache")
    assert copied == []


@pytest.mark.parametrize(
    ("where", "sentence"),
    [
        ("s3://other/recordings", "does not exist: no such bucket or folder"),
        ("s3://secret/recordings", "may not be read; give credentials"),
        ("s3://bucket/nothing", "does not exist"),
    ],
)
def test_errors_of_s3_are_distinguished(s3, where, sentence):
    with pytest.raises(DataError, match=f"data.root={where} {sentence}"):
        choose_source("auto", where, MEREL)


def test_a_store_without_response_raises(s3, monkeypatch):
    monkeypatch.setattr(remote_module, "RETRY_TIMEOUT_S", 0)
    monkeypatch.setenv("AWS_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(DataError, match=r"data.root=s3://bucket/recordings cannot be read \(.*\); try again"):
        choose_source("auto", s3, MEREL)
