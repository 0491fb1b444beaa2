"""Parquet, written one way and read defensively.

This room turns rows into the bytes of segments and manifests, and reads those of
strangers in a process of its own with hard limits. It never opens a file, never knows
what a payload says, and what it read is only believed once the caller hashed it.
pyarrow is imported by `schema.py`, `write.py` and the worker alone.

Open `rows.py` first, then `read.py`.
"""
