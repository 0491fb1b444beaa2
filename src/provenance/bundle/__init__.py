"""What ships: the folder `provenance/` beside the files of a release.

Builds it from a store and a payload, and names its parts. It never decides whether a
release can be trusted; that is the room `verify`.

Open `build.py` first.
"""
