"""Train a classifier: `python train.py species=koolmees trainer=fast`; `python train.py --help` lists the options."""

import sys

from birdnet_nl.commands.train_main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
