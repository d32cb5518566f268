"""Launcher for Ray, for the jobs of a sweep. Hydra finds plugins in the package `hydra_plugins`.

The existing plugin, hydra-ray-launcher 1.2.2, requires cloudpickle below 3; joblib 1.6, used here, requires 3 or later.
"""
