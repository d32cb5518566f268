"""Where a run came from."""

import subprocess

from birdnet_nl.runs.origin import git_commit, machine


def git(folder, *arguments) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    return subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


def test_the_commit_is_that_of_the_repository_around_the_package_and_says_when_files_differ(tmp_path):
    package = tmp_path / "birdnet_nl"
    package.mkdir()
    (package / "a.py").write_text("1\n")
    assert git_commit(package) is None
    git(tmp_path, "init", "-q")
    assert git_commit(package) is None  # nothing committed yet
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    commit = git(tmp_path, "rev-parse", "HEAD").strip()
    assert git_commit(package) == commit
    (package / "a.py").write_text("2\n")
    assert git_commit(package) == f"{commit}-changed"


def test_a_package_installed_inside_another_repository_has_no_commit(tmp_path):
    package = tmp_path / ".venv" / "lib" / "birdnet_nl"
    package.mkdir(parents=True)
    git(tmp_path, "init", "-q")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "other")
    assert git_commit(package) is None


def test_the_machine_is_named():
    assert set(machine()) == {"host", "processor", "system"}
    assert all(machine().values())
