"""Hydra's launchers for submitit come from hydra-submitit-launcher; this makes them wait for all of their jobs."""
