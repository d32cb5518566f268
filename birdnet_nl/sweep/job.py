"""One job of Hydra's, in whatever process a launcher starts it: it trains, and tells what became of it.

Importing this module registers what the configuration refers to, so that a fresh worker process can compose it.
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
from birdnet_nl.sweep.background import repeated
from birdnet_nl.sweep.failure_reasons import reason_of
from birdnet_nl.sweep.fingerprints import configuration_fingerprint, recordings_fingerprint
from birdnet_nl.sweep.job_file import JobRecord, State, is_at_work, read_record, write_record
from birdnet_nl.sweep.processes import leave_with_parent, memory_mb, this_process
from birdnet_nl.util.console import display_path, info, log, screen
from birdnet_nl.util.errors import RunError
from birdnet_nl.util.failure import print_error
from birdnet_nl.util.run_directory import CONFIG, HEARTBEAT, check_unclaimed, write_config

LAUNCHER = "BIRDNET_NL_LAUNCHER"  # environment variable with the number of the process that started a sweep
BEAT_S = 5.0
MIN_FREE_MB = 200  # on the disks of logs and cache; a job that begins with less would hardly end

register_species()
OmegaConf.register_new_resolver("synthetic_mark", synthetic_mark, replace=True)


def train_job(cfg: DictConfig) -> float | None:
    """The task function: a failing job of a sweep is told at once and does not stop the others."""
    hydra = HydraConfig.get()
    run_dir = Path(hydra.runtime.output_dir)
    of_sweep = hydra.mode == RunMode.MULTIRUN
    screen.quiet = of_sweep and os.environ.get(LAUNCHER, str(os.getpid())) != str(os.getpid())  # it is the launcher's
    if os.environ.get(LAUNCHER) == str(os.getppid()):
        leave_with_parent()
    try:
        _check_full_disk(run_dir, Path(cfg.paths.cache))
        with recorded(run_dir, cfg, may_go_on=of_sweep) as goes_on:
            info(
                f"[bold]{cfg.species.dutch}[/] ({cfg.species.scientific}), "
                f"trainer={cfg.parameter_set}, seed {cfg.seed} → {display_path(run_dir)}"
            )
            from birdnet_nl.runs.train import run  # torch and lightning: seconds, so only where they are needed

            return run(cfg, run_dir, resume=goes_on)
    except Exception as error:
        foreseen = print_error(error)
        if not of_sweep:
            if foreseen:
                sys.exit(1)  # before Hydra adds lines of its own
            raise
        if not foreseen:
            screen.print_exception()
            log.exception("the job failed")
        traceback.clear_frames(error.__traceback__)  # Hydra keeps the error; it must not keep the network and the data
        raise


@contextmanager
def recorded(
    run_dir: Path, cfg: DictConfig, may_go_on: bool = False, resumed_from: DictConfig | None = None
) -> Iterator[bool]:
    """Keep `job.json` and the heartbeat of the run in `run_dir` while the block trains it.

    Gives whether the run goes on: when a person resumes it with the configuration that it was `resumed_from`, and, with
    `may_go_on`, when something of the same configuration and recordings lies there. Raises `RunError` for a folder that
    holds any other run, or on which another process is at work.
    """
    before = read_record(run_dir)
    if before is not None and is_at_work(run_dir, before) and before.process != this_process():
        raise RunError(
            f"{display_path(run_dir)} is being trained by process {before.process.pid} on {before.process.host}; wait for it"
        )
    configuration, resumed = configuration_fingerprint(cfg), resumed_from is not None
    if before and resumed and configuration == configuration_fingerprint(resumed_from):
        configuration = before.configuration  # taken of references, which the run's own file holds resolved
    pool = OmegaConf.to_container(cfg.data.pool) if OmegaConf.is_list(cfg.data.pool) else cfg.data.pool
    record = JobRecord(
        State.RUNNING,
        attempts=1 + (before.attempts if before else 0),
        process=this_process(),
        started=time.time(),
        configuration=configuration,
        recordings=recordings_fingerprint(cfg.data.source, cfg.data.root, cfg.species.slug, pool),
    )
    same = before is not None and (before.configuration, before.recordings) == (record.configuration, record.recordings)
    goes_on = resumed or (may_go_on and same and (run_dir / CONFIG).is_file())
    if not goes_on:
        check_unclaimed(run_dir)
    elif not resumed:
        write_config(run_dir, cfg)  # a kill may have left half of it
    write_record(run_dir, record)
    try:
        with _beating(run_dir):
            yield goes_on
    except BaseException as error:
        why = reason_of(error)
        with suppress(OSError):  # the disk may be full; the error itself says so
            _end(run_dir, replace(record, state=why.state, reason=why.sentence, cause=why.cause))
        raise
    _end(run_dir, replace(record, state=State.DONE))


def _end(run_dir: Path, record: JobRecord) -> None:
    write_record(run_dir, replace(record, ended=time.time(), memory_mb=memory_mb()))


@contextmanager
def _beating(run_dir: Path) -> Iterator[None]:
    """Touch the heartbeat every few seconds, whatever the run does."""

    def beat() -> None:
        with suppress(OSError):
            (run_dir / HEARTBEAT).touch()

    try:
        with repeated(beat, BEAT_S):
            yield
    finally:
        with suppress(OSError):
            (run_dir / HEARTBEAT).unlink(missing_ok=True)


def _check_full_disk(*folders: Path) -> None:
    """Raise the system's own error before anything is begun that could not be finished."""
    for folder in folders:
        there = next(path for path in (folder.resolve(), *folder.resolve().parents) if path.exists())
        if shutil.disk_usage(there).free < MIN_FREE_MB * 2**20:
            raise OSError(errno.ENOSPC, "No space left on device", str(folder))


class ForgetConfigurations(Callback):
    """Hydra keeps what every job returns until the sweep ends, megabytes of configuration with it."""

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        job_return.cfg = job_return.hydra_cfg = None
