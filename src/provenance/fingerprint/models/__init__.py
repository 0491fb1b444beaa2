"""How models are built, seen from their files or from the objects of a framework.

No weights are loaded, nothing is unpickled, and no framework is imported: an object
brings its own.

Open `architecture.py` first.
"""
