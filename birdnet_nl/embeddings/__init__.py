"""Embeddings: vectors that pretrained networks compute from windows of recordings."""
