"""The room bundle."""
