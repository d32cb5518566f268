"""From finished runs to what is shipped: versions of models, of which one is active."""
