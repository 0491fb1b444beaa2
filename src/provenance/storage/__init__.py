"""Where bytes live: stores with `get`, `put_new` and `list`.

Files are written once and never changed, except where something must be erased, which
has calls of its own that nothing else may use. This room knows bytes and paths; it
never knows what they mean, and it is the only one that imports fsspec.

Open `store.py` first.
"""
