"""From bytes on a disk to fingerprints: files, folders, source code, environments.

Reading is defensive: links are not followed unless asked for, what is no regular file
is named instead of read, and content that changes meanwhile has no digest. Nothing
here writes a file, opens a network connection, or obeys the configuration of a
repository that it looks at.

Open `tree.py` first; `walk.py` and `batches.py` are its two halves.
"""
