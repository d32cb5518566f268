"""Deployment: versions of models made of finished runs, and removal of files that can be made again."""
