"""Resumable sweeps: plan the jobs of a sweep, start them with any launcher, and continue after an interruption.

All state is kept in small files in the run directories, so that only the state of an unfinished run can be lost.
"""
