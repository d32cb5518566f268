"""Hydra finds its plugins in the package `hydra_plugins`; this one starts the jobs of a sweep on Ray.

The plugin that there is, hydra-ray-launcher 1.2.2, wants cloudpickle below 3; joblib 1.6, which we use, 3 or later.
"""
