"""Source code as it lies on the disk, and how it differs from what was committed.

Holds the reading of git repositories and of modules that were loaded. Git is asked for
names and ids only; no program that a repository names is run, and nothing is written
but a temporary folder of `patch.py`.

Open `source.py` first.
"""
