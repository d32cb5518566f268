"""Sweeper that searches for parameter values with Optuna. Hydra finds plugins in the package `hydra_plugins`."""
