"""The room fingerprint."""
