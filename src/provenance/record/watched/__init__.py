"""What the Python processes below a command read and write, noted by themselves.

`around.py` lends a command its surroundings and takes back what was noted; open it
first. `child.py` is what runs in those processes; it knows nothing of this library.
`notes.py` reads what they wrote, which may be anything. `sorting.py` says what of that
went in and what came out, and `fingerprints.py` what it was.

Nothing here runs code of the command, or believes a note about more than its writer.
"""
