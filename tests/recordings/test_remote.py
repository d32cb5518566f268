"""Recordings at an address arrive whole, once, again when they change, and every failure is one sentence."""

import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import fsspec
import pytest

from birdnet_nl.data.sources import DEMO_MARK, DemoSettings, choose_source, read_source
from birdnet_nl.recordings import remote as remote_module
from birdnet_nl.recordings.remote import copy_remote_folders, is_url, list_remote_files, local_root
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
    "xeno-canto-merel/@eaDir/XC1.mp3": b"of a NAS",
    "xeno-canto-vink/song/XC3.mp3": b"three",
}


@pytest.fixture(params=["file", "memory"])
def url(request, tmp_path):
    """The files in a folder of this machine, or in memory."""
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
    """Names of the files that were really copied."""
    names, copy_one = [], remote_module._copy_one

    def counting(fs, source, file, local):
        names.append(file.name)
        copy_one(fs, source, file, local)

    monkeypatch.setattr(remote_module, "_copy_one", counting)
    return names


def read(url, cache, species=MEREL, source="auto"):
    return read_source(choose_source(source, url, species), species, NO_DEMO, cache, "call")


def test_the_species_is_copied_and_read_with_the_manifest_one_folder_higher(url, tmp_path, copied):
    found = read(url, tmp_path / "cache")
    assert {(r.id, r.vocalization_type, r.recordist) for r in found} == AS_READ
    assert {r.path.read_bytes() for r in found} == {b"one", b"two two"}
    assert sorted(copied) == ["recordings.csv", "xeno-canto-merel/call/XC2.mp3", "xeno-canto-merel/song/XC1.mp3"]
    assert all(r.path.is_relative_to(tmp_path / "cache") for r in found)


def test_what_is_there_and_unchanged_is_not_copied_again(url, tmp_path, copied):
    read(url, tmp_path / "cache")
    copied.clear()
    read(url, tmp_path / "cache")
    assert copied == []


def test_what_changed_is_copied_again_and_what_is_gone_goes(url, tmp_path, copied):
    read(url, tmp_path / "cache")
    copied.clear()
    put(url, "xeno-canto-merel/song/XC1.mp3", b"another")
    put(url, "xeno-canto-merel/alarm/XC4.mp3", b"new")
    fs, path = fsspec.url_to_fs(url)
    fs.rm(f"{path}/xeno-canto-merel/call/XC2.mp3")
    found = read(url, tmp_path / "cache")
    assert sorted(copied) == ["xeno-canto-merel/alarm/XC4.mp3", "xeno-canto-merel/song/XC1.mp3"]
    there = {recording.id: recording.path.read_bytes() for recording in found if recording.path.is_file()}
    assert there == {"XC1": b"another", "XC4": b"new"}
    fs.rm(f"{path}/recordings.csv")
    assert {recording.recordist for recording in read(url, tmp_path / "cache")} == {""}


def test_the_same_size_at_another_time_is_another_file(tmp_path, copied):
    url = f"file://{tmp_path / 'bucket'}"
    put(url, "merel/song/XC1.mp3", b"one")
    read(url, tmp_path / "cache")
    put(url, "merel/song/XC1.mp3", b"two")
    os.utime(tmp_path / "bucket/merel/song/XC1.mp3", (1, 1))
    assert read(url, tmp_path / "cache")[0].path.read_bytes() == b"two"


def test_a_copy_that_breaks_off_leaves_no_half_file_and_goes_on(url, tmp_path, monkeypatch, copied):
    copy_one = remote_module._copy_one

    def breaking(fs, source, file, local):
        if file.name.endswith("XC2.mp3"):
            raise OSError("connection reset")
        copy_one(fs, source, file, local)

    with monkeypatch.context() as patched:
        patched.setattr(remote_module, "_copy_one", breaking)
        with pytest.raises(DataError, match=r"cannot be read \(connection reset\); try again, what was copied is kept"):
            read(url, tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("*.part")) and not list((tmp_path / "cache").rglob("XC2.mp3"))
    copied.clear()
    read(url, tmp_path / "cache")
    assert "xeno-canto-merel/call/XC2.mp3" in copied


def test_a_file_that_arrives_short_is_refused(url, tmp_path, monkeypatch):
    choice = choose_source("auto", url, VINK)
    files = [remote_module.RemoteFile(f.name, f.size + 1, f.stamp_ns) for f in list_remote_files(choice.remote)]
    monkeypatch.setattr(remote_module, "list_remote_files", lambda folders: files)
    with pytest.raises(DataError, match="arrived with"):
        copy_remote_folders(choice.remote, tmp_path / "cache", "vink")


def test_demo_recordings_stay_synthetic_wherever_they_lie(url):
    assert not choose_source("auto", url, MEREL).synthetic
    put(url, f"xeno-canto-merel/{DEMO_MARK}", b"{}")
    choice = choose_source("auto", url, MEREL)
    assert choice.synthetic and "was made by the generator" in choice.why


def test_a_species_that_is_not_there_is_said(url):
    with pytest.raises(DataError, match=f"data.root={url} holds no recordings of koolmees; put them in xeno-canto-"):
        choose_source("auto", url, get_species("koolmees"))


@pytest.mark.parametrize("where", ["file:///no/such/folder", "memory://no/such/bucket"])
def test_an_address_that_does_not_exist_is_said(where):
    with pytest.raises(DataError, match=f"data.root={where} is not there: no such bucket or folder"):
        choose_source("auto", where, MEREL)


def test_a_kind_of_address_nobody_knows_is_said():
    with pytest.raises(DataError, match=r"data.root=nas://x is of an unknown kind .*; possible: s3://"):
        choose_source("auto", "nas://x", MEREL)


def test_a_missing_extra_is_said_with_what_to_install(monkeypatch):
    monkeypatch.setattr(fsspec, "url_to_fs", _needs_a_library)
    with pytest.raises(SetupError, match=r'needs a library that is not installed: pip install -e "\.\[s3\]"'):
        choose_source("auto", "s3://bucket/recordings", MEREL)


def _needs_a_library(url, **options):
    raise ImportError("Install s3fs to access S3")


def test_no_permission_is_said_with_what_to_give(monkeypatch, url):
    def refuse(address):
        raise PermissionError(13, "Access Denied")

    monkeypatch.setattr(remote_module, "_connect", refuse)
    with pytest.raises(DataError, match="may not be read; give credentials, for S3 in AWS_ACCESS_KEY_ID"):
        choose_source("auto", url, MEREL)


def test_addresses_are_told_from_folders_and_each_has_its_own_copies(tmp_path):
    assert is_url("s3://bucket/x") and is_url("memory://x")
    assert not is_url("C:/data") and not is_url("/nas/recordings") and not is_url(None) and not is_url(Path("a"))
    one, other = local_root("s3://bucket/a", tmp_path), local_root("s3://bucket/b", tmp_path)
    assert one != other and one.name.startswith("bucket-a-") and local_root("s3://bucket/a/", tmp_path) == one


class _S3(BaseHTTPRequestHandler):
    """The two requests of S3 that matter here: list a bucket, get an object."""

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        url = urlparse(self.path)
        asked = {name: values[0] for name, values in parse_qs(url.query).items()}
        bucket, _, key = url.path.lstrip("/").partition("/")
        if bucket == "secret":
            return self.answer(403, b"<Error><Code>AccessDenied</Code></Error>")
        if bucket != "bucket":
            return self.answer(404, b"<Error><Code>NoSuchBucket</Code></Error>")
        if "list-type" in asked:
            return self.answer(200, self.listing(asked.get("prefix", ""), asked.get("delimiter", "")))
        name = key.removeprefix("recordings/")
        return self.answer(200, FILES[name]) if name in FILES else self.answer(404, b"<Error/>")

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

    def answer(self, status, body):
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
    """A bucket served on loopback."""
    pytest.importorskip("obstore")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _S3)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for name, value in {
        "AWS_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "AWS_ALLOW_HTTP": "true", "AWS_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    yield "s3://bucket/recordings"
    server.shutdown()


def test_a_bucket_of_s3_is_read_with_the_extra(s3, tmp_path, copied):
    found = read(s3, tmp_path / "cache")
    assert {(r.id, r.vocalization_type, r.recordist) for r in found} == AS_READ
    assert {r.path.read_bytes() for r in found} == {b"one", b"two two"}
    copied.clear()
    read(s3, tmp_path / "cache")
    assert copied == []


@pytest.mark.parametrize(
    ("where", "sentence"),
    [
        ("s3://other/recordings", "is not there: no such bucket or folder"),
        ("s3://secret/recordings", "may not be read; give credentials"),
        ("s3://bucket/nothing", "is not there"),
    ],
)
def test_what_a_bucket_of_s3_refuses_is_told_apart(s3, where, sentence):
    with pytest.raises(DataError, match=f"data.root={where} {sentence}"):
        choose_source("auto", where, MEREL)


def test_a_store_that_does_not_answer_is_told(s3, monkeypatch):
    monkeypatch.setattr(remote_module, "PATIENCE_S", 0)
    monkeypatch.setenv("AWS_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(DataError, match=r"data.root=s3://bucket/recordings cannot be read \(.*\); try again"):
        choose_source("auto", s3, MEREL)
