"""Where bytes live: stores with `get`, `put_new` and `list`, and nothing else.

Files are written once and never changed. This room knows bytes and paths; it never
knows what they mean, and it is the only one that imports fsspec.

Open `store.py` first.
"""
