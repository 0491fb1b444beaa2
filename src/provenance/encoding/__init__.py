"""How values become bytes and come back: canonical JSON, statements, Merkle trees.

All pure, and strict: a reader accepts exactly what the writer would write. Nothing
here opens a file, holds a key or knows a store.

Open `canonical.py` first, then `statements.py`.
"""
