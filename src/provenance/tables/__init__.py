"""The room tables."""
