"""Addition to hydra-submitit-launcher: wait for all jobs. Hydra finds plugins in the package `hydra_plugins`."""
