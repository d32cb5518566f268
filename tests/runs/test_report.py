"""Commit and machine in the report of a run."""

import subprocess

from birdnet_nl.runs.report import git_commit, machine


def git(folder, *arguments) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    command = ["git", *identity, *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def test_the_commit_is_the_repository_s_around_the_package_and_changed_files_are_marked(tmp_path):
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


def test_the_machine_has_a_host_a_processor_and_a_system():
    assert set(machine()) == {"host", "processor", "system"}
    assert all(machine().values())
