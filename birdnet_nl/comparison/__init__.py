"""Comparison of finished runs: parameter sets side by side, with paired statistics over species and recordists."""
