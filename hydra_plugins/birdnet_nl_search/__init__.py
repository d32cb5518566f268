"""Hydra finds its plugins in the package `hydra_plugins`; this one searches for parameter values with Optuna."""
