"""Who says so: keys, signatures, and the envelope that joins one to its payload.

This room never decides whom to trust: the caller brings the keys. It reads no
environment but the one it is given, never overwrites a key, and knows nothing of what
a payload means. It is the only room that imports cryptography.

Open `envelope.py` first.
"""
