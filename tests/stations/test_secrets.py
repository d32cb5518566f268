"""Secrets: from the environment or from a file that no other user may read."""

import pytest

from birdnet_nl.stations.secrets import read_secret
from birdnet_nl.util.errors import SetupError

VARIABLE = "BIRDNET_NL_TEST_PASSWORD"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "password"
    path.write_text("s3cret\n", encoding="utf-8")
    path.chmod(0o600)
    return path


def test_the_file_comes_before_the_environment(monkeypatch, file):
    monkeypatch.setenv(VARIABLE, "other")
    assert read_secret(VARIABLE, file, "--password-file") == "s3cret"
    assert read_secret(VARIABLE, None, "--password-file") == "other"


def test_no_secret_is_empty(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert read_secret(VARIABLE, None, "--password-file") == ""


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o666, 0o660])
def test_a_file_that_others_may_read_or_write_is_refused(file, mode):
    file.chmod(mode)
    with pytest.raises(SetupError, match=f"permissions {mode:03o}.*run: chmod 600 "):
        read_secret(VARIABLE, file, "--password-file")


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o640])
def test_owner_and_group_may_read(file, mode):
    file.chmod(mode)
    assert read_secret(VARIABLE, file, "--password-file") == "s3cret"


@pytest.mark.parametrize("content", [b"", b"\n", b"one\ntwo\n", b"x" * 5000])
def test_a_file_must_hold_one_line(file, content):
    file.write_bytes(content)
    with pytest.raises(SetupError, match=r"--password-file .* must hold one line"):
        read_secret(VARIABLE, file, "--password-file")


def test_a_file_that_cannot_be_read_is_reported(tmp_path, file):
    with pytest.raises(SetupError, match=r"--password-file .* cannot be read: No such file"):
        read_secret(VARIABLE, tmp_path / "absent", "--password-file")
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(SetupError, match="cannot be read: it is not UTF-8"):
        read_secret(VARIABLE, file, "--password-file")
