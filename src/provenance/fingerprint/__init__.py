"""From bytes on a disk to fingerprints, and to what can be seen beside them.

Files and folders are read here; source code in `code/`, the machine and its packages in
`machine/`, architectures in `models/`. Reading is defensive: links are not followed
unless asked for, what is no regular file is named instead of read, and content that
changes meanwhile has no digest. Nothing here opens a network connection, or obeys the
configuration of a repository that it looks at.

Open `tree.py` first; `walk.py` and `batches.py` are its two halves.
"""
