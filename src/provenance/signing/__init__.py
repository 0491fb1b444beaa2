"""The room signing."""
