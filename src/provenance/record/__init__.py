"""The room record."""
