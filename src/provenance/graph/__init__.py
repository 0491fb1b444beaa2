"""The provenance graph: artifacts, the steps between them, and ways through it.

Pure: it is built from decoded statements and never reads or writes anything. It
believes what statements say; whether they are authentic is for `verify`.

Open `build.py` first.
"""
