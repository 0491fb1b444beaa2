"""Record how a model came to be."""
