"""Recordings on disk and their metadata: folders, manifests and tags, downloads, imports and remote copies."""
