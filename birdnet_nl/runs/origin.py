"""Where a run came from: the machine it ran on, and the commit of the code."""

import platform
import subprocess
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]


def machine() -> dict[str, str]:
    return {"host": platform.node(), "processor": _processor(), "system": platform.platform()}


def git_commit(package: Path = PACKAGE) -> str | None:
    """The commit of the repository that holds this package, with `-changed` when files differ; None without one."""
    top = _git(package, "rev-parse", "--show-toplevel")
    if top is None or Path(top).resolve() != package.parent:
        return None  # installed somewhere inside another repository
    commit = _git(package, "rev-parse", "HEAD")
    if commit is None:
        return None
    return commit + ("-changed" if _git(package, "status", "--porcelain", "--untracked-files=no") else "")


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name; Linux tells it in a file only."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())
