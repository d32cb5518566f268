"""Shared utilities without torch: console output, errors, whole-or-nothing files and run directories."""
