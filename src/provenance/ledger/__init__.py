"""Ledgers: the append-only logs of a run, written once and read defensively.

Holds the layout of a store, the spool that survives a killed process, the writer, the
checks that tie rows to a signed head, and the reader. Never knows what a step or a
dataset means (that is `graph`) nor whom to trust (that is `verify`).

Open `rows.py` first: it says what a reader must check.
"""
