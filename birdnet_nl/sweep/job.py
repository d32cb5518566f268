"""One Hydra job, in the process where a launcher starts it: train, and record the result.

Importing this module registers the species and the resolver, so that a new worker can compose the configuration.
"""

import errno
import os
import shutil
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from birdnet_nl.data.sources import synthetic_mark
from birdnet_nl.species.selection import register_species
from birdnet_nl.species.table import use_table
from birdnet_nl.sweep.arguments import pool_of
from birdnet_nl.sweep.fingerprints import configuration_fingerprint, recordings_fingerprint
from birdnet_nl.sweep.job_file import JobRecord, State, classify_failure, is_running, read_record, write_record
from birdnet_nl.sweep.processes import exit_with_parent, memory_mb, repeat_in_background, this_process
from birdnet_nl.util.console import display_path, info, log, screen
from birdnet_nl.util.errors import RunError
from birdnet_nl.util.failure import print_error
from birdnet_nl.util.printed_commands import short_path
from birdnet_nl.util.run_directory import CONFIG, HEARTBEAT, check_unclaimed, write_config

LAUNCHER = "BIRDNET_NL_LAUNCHER"  # environment variable: process number of the launcher of a sweep
HEARTBEAT_INTERVAL_S = 5.0
MIN_FREE_MB = 200  # on the disks of logs and cache; a job that starts with less is unlikely to finish

register_species()
OmegaConf.register_new_resolver("synthetic_mark", synthetic_mark, replace=True)


def use_table_of(cfg: DictConfig) -> None:
    """Use the species table of a configuration: on another machine, or when a run is resumed, none was chosen yet."""
    if table := cfg.get("species_table"):
        use_table(table)


def train_job(cfg: DictConfig) -> float | None:
    """Train one job, as Hydra's task function; an error is printed at once, and Hydra continues with the other jobs."""
    hydra = HydraConfig.get()
    run_dir = Path(hydra.runtime.output_dir)
    in_sweep = hydra.mode == RunMode.MULTIRUN
    screen.quiet = in_sweep and os.environ.get(LAUNCHER, str(os.getpid())) != str(os.getpid())  # the launcher prints
    if os.environ.get(LAUNCHER) == str(os.getppid()):
        exit_with_parent()
    try:
        use_table_of(cfg)
        _check_disk_space(run_dir, Path(cfg.paths.cache))
        with record_job(run_dir, cfg, may_resume=in_sweep) as resumes:
            info(
                f"[bold]{cfg.species.dutch}[/] ({cfg.species.scientific}), "
                f"trainer={cfg.parameter_set}, seed {cfg.seed} → {display_path(run_dir)}"
            )
            from birdnet_nl.runs.train import run  # imports torch and lightning, which takes seconds

            return run(cfg, run_dir, resume=resumes)
    except Exception as error:
        was_printed = print_error(error)
        if not in_sweep:
            if was_printed:
                sys.exit(1)  # before Hydra adds lines of its own
            raise
        if not was_printed:
            screen.print_exception()
            log.exception("the job failed")
        traceback.clear_frames(error.__traceback__)  # Hydra keeps the error; it must not keep the network and the data
        raise


@contextmanager
def record_job(
    run_dir: Path, cfg: DictConfig, may_resume: bool = False, resumed_from: DictConfig | None = None
) -> Iterator[bool]:
    """Write `job.json` and the heartbeat of the run in `run_dir` while the block trains it.

    Yields True when the run resumes: a user resumes it with the stored configuration `resumed_from`, or `may_resume` is
    set and the directory has a run of the same configuration and recordings. Raises `RunError` for a directory with any
    other run, or with a run that another process is training.
    """
    before = read_record(run_dir)
    if before is not None and is_running(run_dir, before) and before.process != this_process():
        raise RunError(
            f"{short_path(run_dir)} is being trained by process {before.process.pid} on {before.process.host}; "
            "wait for it"
        )
    configuration, resumed = configuration_fingerprint(cfg), resumed_from is not None
    if before and resumed and configuration == configuration_fingerprint(resumed_from):
        configuration = before.configuration  # computed from references, which the stored configuration has resolved
    record = JobRecord(
        State.RUNNING,
        attempts=1 + (before.attempts if before else 0),
        process=this_process(),
        started=time.time(),
        configuration=configuration,
        recordings=recordings_fingerprint(cfg.data.source, cfg.data.root, cfg.species.slug, pool_of(cfg)),
    )
    same = before is not None and (before.configuration, before.recordings) == (record.configuration, record.recordings)
    resumes = resumed or (may_resume and same and (run_dir / CONFIG).is_file())
    if not resumes:
        check_unclaimed(run_dir)
    elif not resumed:
        write_config(run_dir, cfg)  # an earlier attempt may have been killed while writing it
    write_record(run_dir, record)
    try:
        with _heartbeat(run_dir):
            yield resumes
    except BaseException as error:
        with suppress(OSError):  # the disk may be full, which the error itself reports
            _write_end(run_dir, record, *classify_failure(error))
        raise
    _write_end(run_dir, record, State.DONE)


def _write_end(run_dir: Path, record: JobRecord, state: State, reason: str = "", cause: str = "") -> None:
    end = {"ended": time.time(), "memory_mb": memory_mb()}
    write_record(run_dir, replace(record, state=state, reason=reason, cause=cause, **end))


@contextmanager
def _heartbeat(run_dir: Path) -> Iterator[None]:
    """Touch the heartbeat file every few seconds, independent of the training."""

    def touch() -> None:
        with suppress(OSError):
            (run_dir / HEARTBEAT).touch()

    try:
        with repeat_in_background(touch, HEARTBEAT_INTERVAL_S):
            yield
    finally:
        with suppress(OSError):
            (run_dir / HEARTBEAT).unlink()


def _check_disk_space(*folders: Path) -> None:
    """Raise the system's own error for a full disk before a job starts that could not finish."""
    for folder in folders:
        existing = next(path for path in (folder.resolve(), *folder.resolve().parents) if path.exists())
        if shutil.disk_usage(existing).free < MIN_FREE_MB * 2**20:
            raise OSError(errno.ENOSPC, "No space left on device", str(folder))


class ForgetConfigurations(Callback):
    """Hydra callback that drops the configuration of finished jobs, of which Hydra would keep megabytes per job."""

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        job_return.cfg = job_return.hydra_cfg = None
