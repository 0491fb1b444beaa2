"""The command line: one file per command, each parses, calls the library, renders.

Open `main.py` first, then `output.py` for the rules of what is printed where.
"""
