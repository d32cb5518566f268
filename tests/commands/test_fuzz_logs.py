"""Random damage to the files of runs and sweeps: every command gives a result or one sentence, never a traceback."""

import json
import random
import shutil
from pathlib import Path

import pytest

from birdnet_nl.sweep.job_file import JobRecord, State, write_record
from birdnet_nl.sweep.jobs import Job
from birdnet_nl.sweep.sweep_file import Sweep, write_sweep

MUTATIONS = 25
SLOW_MUTATIONS = 500
VALUES = [
    None, True, -1, 0, 1e308, 10**400, float("nan"), float("inf"), "", "x", "nan", "\ud800", "../..", [], [None], {},
    {"": None}, [[1]], "9" * 5000, 1.5,
]  # fmt: skip
WORDS = ["", "nan", "inf", "-1", "x,y", '"', "\0", "1e999", "é", "a" * 200_000, "null", "[", "${x}", "&a"]


@pytest.fixture(scope="module")
def logs(make_finished_run, tmp_path_factory) -> Path:
    """A finished run, and a sweep of two."""
    logs = tmp_path_factory.mktemp("fuzz") / "logs"
    make_finished_run(logs / "turbo/koolmees/2026-11-23", "turbo", "koolmees")
    jobs = []
    for name in ("legacy", "fast"):
        job = Job(("species=koolmees", f"trainer={name}"), f"{name}/koolmees/0", "koolmees", name)
        run_dir = make_finished_run(logs / "sweep-1" / job.folder, name, "koolmees")
        write_record(run_dir, JobRecord(State.DONE, started=1.0, ended=5.0))
        (run_dir / "splits.csv").write_text(
            "id,split,type,recordist,quality,licence,file\nXC1,train,song,Ann,A,CC BY-NC-SA 4.0,a.mp3\n"
        )
        (run_dir / "heartbeat.json").write_text('{"epoch": 3, "epochs": 12}')
        (run_dir / "config.yaml").write_text("species: {slug: koolmees}\nseed: 1\npaths: {logs: logs, cache: cache}\n")
        jobs.append(job)
    write_sweep(Sweep(logs / "sweep-1", ("species=koolmees", "trainer=legacy,fast"), tuple(jobs), 1.0))
    task = "{overrides: {task: [species=koolmees, 'trainer=legacy,fast']}, runtime: {choices: {trainer: fast}}}"
    (logs / "sweep-1/multirun.yaml").write_text(f"hydra: {task}\n")
    return logs


def change_value(value, rng: random.Random):
    """Replace a random inner value, or take one out."""
    if not isinstance(value, dict | list) or not value or rng.random() < 0.1:
        return rng.choice(VALUES)
    keys = list(value) if isinstance(value, dict) else range(len(value))
    key = rng.choice(keys)
    if rng.random() < 0.15:
        del value[key]
    else:
        value[key] = change_value(value[key], rng)
    return value


def damage(content: bytes, is_json: bool, rng: random.Random) -> bytes:
    kind = rng.choice(["value", "value", "value", "cut", "byte", "binary", "empty", "word", "word"])
    if kind == "value" and is_json and content:
        text = json.dumps(change_value(json.loads(content), rng))
        return text.encode()
    if kind == "cut":
        return content[: rng.randrange(len(content) + 1)]
    if kind == "byte" and content:
        at = rng.randrange(len(content))
        return content[:at] + bytes([rng.randrange(256)]) + content[at + 1 :]
    if kind == "binary":
        return rng.randbytes(300)
    if kind == "empty":
        return b""
    parts = content.decode(errors="replace").replace("\n", ",\n").split(",")
    parts[rng.randrange(len(parts))] = rng.choice(WORDS)
    return ",".join(parts).replace(",\n", "\n").encode(errors="replace")


def check_every_command(cli, logs: Path, tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    copy = tmp_path / "logs"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(logs, copy)
    files = sorted(path for path in copy.rglob("*") if path.suffix in (".json", ".yaml", ".csv"))
    path = rng.choice(files)
    content = damage(path.read_bytes(), path.suffix == ".json", rng)
    path.write_bytes(content)
    run = path if (path / "metrics.json").is_file() else path.parent
    words = [
        ("status", copy, "--json"),
        ("status", copy, "--all"),
        ("compare", copy, "--baseline", "fast", "--json", tmp_path / "compare.json"),
        ("rerun", run),
        ("prune", "--runs", "--logs", copy, "--cache", tmp_path / "cache"),
        ("promote", copy, "--version", "1", "--models", tmp_path / "models"),
        ("evaluate", run, "--data", tmp_path),
    ]
    for command in words:
        try:
            result = cli(*command)
        except Exception as error:
            raise AssertionError(
                f"seed {seed}: {command[0]} with {path.relative_to(copy)}: {content[:99]!r}"
            ) from error
        assert result.exit_code in (0, 1, 2), (seed, result.output)
        if command[-1] == "--json" and result.stdout.startswith("{"):
            json.loads(result.stdout, parse_constant=lambda name: pytest.fail(f"seed {seed}: {name} in the JSON"))


def test_damaged_logs_give_a_result_or_a_sentence(cli, logs, tmp_path):
    for seed in range(MUTATIONS):
        check_every_command(cli, logs, tmp_path, seed)


@pytest.mark.slow
def test_many_damaged_logs_give_a_result_or_a_sentence(cli, logs, tmp_path):
    for seed in range(MUTATIONS, SLOW_MUTATIONS):
        check_every_command(cli, logs, tmp_path, seed)
