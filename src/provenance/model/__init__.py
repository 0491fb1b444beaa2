"""What is claimed: frozen values of the domain, with no I/O and no cryptography.

An invalid value cannot be built: constructors raise `FormatError`. Nothing here knows
how a value becomes bytes; that is the room `encoding`.

Open `statements.py` first.
"""
