"""Command line of a training: `python train.py …` and `birdnet-nl train …`.

Imports stay light, because TAB completion and --help run this module.
"""

import os
import sys
from contextlib import suppress
from pathlib import Path

os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # let errors through: `main` turns them into one sentence
# Waiting threads sleep instead of spinning: beside other work training is several times faster. Read when torch loads
# its OpenMP, so it is set before anything else.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import hydra
from omegaconf import OmegaConf

from birdnet_nl.species.selection import prepare_arguments
from birdnet_nl.sweep.arguments import expand_sweep_arguments
from birdnet_nl.sweep.job import record_job, train_job, use_table_of
from birdnet_nl.sweep.jobs import override_key, override_value
from birdnet_nl.sweep.path_arguments import expand_environment, quote_paths
from birdnet_nl.sweep.sweeper import prepare_sweep
from birdnet_nl.util.conf_values import conf_dir
from birdnet_nl.util.console import display_path, info, prepare_streams, screen
from birdnet_nl.util.failure import print_error
from birdnet_nl.util.files import check_current_folder
from birdnet_nl.util.renamed import check_renamed
from birdnet_nl.util.signals import ending_on_signals, exit_code

HELP = """Train a classifier for the vocalization type of one species: song, call or alarm.

EXAMPLES
  python train.py species=koolmees trainer=fast
  python train.py species="great tit" data.root=/nas/recordings       Dutch, English or Latin name
  python train.py -m species=koolmees,merel trainer=legacy,fast       a sweep: every combination
  python train.py -m species=all trainer=turbo launcher=joblib        all species on all cores; also: ray, slurm
  python train.py -m species=all trainer=turbo --plan                 what would run, and how long; starts nothing
  python train.py -m species=all trainer=turbo sweep=resume           after a kill: only what is not finished
  python train.py data.pool=all trainer=birdnet data.root=/nas/xc     one classifier for all species
  python train.py species=vink trainer=head base=logs/birdnet/pool-all/<time>     a head of its own, in seconds
  python train.py -m data.pool=all data.folds=5 data.fold=0,1,2,3,4   cross-validation
  python train.py data.pool=all final=logs/sweep-<time>               the model to use, after cross-validation
  python train.py resume=logs/fast/koolmees/<time>                    continue a run that was stopped
  python train.py --cfg job trainer=fast                              show every parameter, start nothing

GROUPS (group=option; docs/parameter_sets.md)
  species   one of 232 (species.table=), all, priority1, 'zwarte_*'; others by their scientific name
  trainer   parameter set: fast (default), legacy, turbo, birdnet, birdnet_combined, distilled, frozen, head, backbone
  data      auto (default: your recordings, else the demo), demo, demo_small, xeno_canto, spectrograms
  mel       emsn (default), wide, wide_coarse          model     emsn_cnn (default), compact_cnn
  augment   none (default), mix_and_mask               logger    tensorboard (default), csv
  engine    auto (default), plain (no speed-ups)       sweeper   basic (default), optuna
  launcher  basic (default), joblib, ray, slurm, submitit_local

VALUES most often changed
  data.root            folder with xeno-canto-<species>/<song|call|alarm>/*.mp3, or an address such as s3://bucket/xc
                       (default ./data, or the environment variable BIRDNET_NL_DATA)
  species.table        netherlands (default), europe, or a CSV file: slug,scientific,dutch,english,…,priority
  data.extra_roots=[/nas/world]   recordings of any species to train on and never to test on
  data.types=[song,call]  data.max_segments_per_type  data.batch_size  data.num_workers
  trainer.max_epochs  optimizer.lr  scheduler.patience  callbacks.early_stopping.patience  engine.threads  seed
  model.pretrained     synthetic, null, or a file of birdnet-nl pretrain       paths.logs  paths.cache

TAB completion: eval "$(python train.py -sc install=bash)"     Hydra's own options: python train.py --hydra-help"""

train = hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="train")(train_job)


def resume(run_dir: Path, overrides: list[str]) -> None:
    """Continue the run in `run_dir`; `overrides` such as `trainer.max_epochs=40` change its stored configuration."""
    from birdnet_nl.util.run_directory import change_config, log_to_file, read_config

    stored = read_config(run_dir)
    cfg = change_config(run_dir, stored, overrides)
    use_table_of(cfg)
    log_to_file(run_dir)
    where = display_path(run_dir)
    info(f"[bold]{cfg.species.dutch}[/], trainer={cfg.parameter_set}, seed {cfg.seed}, resumed in {where}")
    with record_job(run_dir, cfg, resumed_from=stored):
        from birdnet_nl.runs.train import run

        run(cfg, run_dir, resume=True)


def parameter_names() -> list[str]:
    """Every parameter of the default configuration, such as `trainer.max_epochs`."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        tree = OmegaConf.to_container(compose("train"), resolve=False)
    names: list[str] = []

    def walk(node: object, prefix: str) -> None:
        if isinstance(node, dict):
            for key, value in node.items():
                names.append(f"{prefix}{key}")
                walk(value, f"{prefix}{key}.")

    walk(tree, "")
    return names


def _without_quotes(argument: str) -> str:
    return f"{override_key(argument)}={override_value(argument)}" if "=" in argument else argument


def main(arguments: list[str]) -> int:
    """Run `python train.py` with `arguments`; returns the exit code."""
    with ending_on_signals():
        return _main(arguments)


def _main(arguments: list[str]) -> int:
    prepare_streams()
    if {"--help", "-h"} & set(arguments):  # Hydra's own help would first list 232 species a hundred times, for seconds
        with suppress(BrokenPipeError):  # of `--help | head`
            print(HELP, flush=True)
            return 0
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains again at exit
        return 0
    try:
        check_current_folder()
        expand_environment()
        check_renamed(arguments)
        arguments = expand_sweep_arguments(quote_paths(arguments))
        check_renamed(arguments)  # those of a sweep of an older version
        resumed = [override_value(argument) for argument in arguments if override_key(argument) == "resume"]
        if resumed and resumed[-1] not in ("", "null"):
            others = [argument for argument in arguments if override_key(argument) != "resume"]
            resume(Path(resumed[-1]), [_without_quotes(argument) for argument in others])
        else:
            sys.argv[1:] = prepare_sweep(prepare_arguments(arguments))
            train()
    except KeyboardInterrupt:
        screen.print("interrupted", style="bold red")
        return exit_code()
    except Exception as error:
        if not print_error(error, parameter_names):
            raise
        return 1
    return 0
