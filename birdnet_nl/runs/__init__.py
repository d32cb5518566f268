"""Runs: training, testing and evaluating, from a configuration to a directory of results."""
