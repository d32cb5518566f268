"""Training: the engine's switches, the LightningModule, its callbacks and checkpoints."""
