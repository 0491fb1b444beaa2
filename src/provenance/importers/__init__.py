"""Other trackers' records, turned into statements: what they say, and no more.

What is imported was recorded by somebody else, at another time: nobody here has seen
it happen. Each statement says so (docs: formats/statements, Imported statements), and
no reader gives it more evidence than that something was declared, or located.

Nothing of a tracker is imported as a module, run, or unpickled. Its files are taken
for what a stranger may have written: they are bounded, and read only inside of the
folder that was named.

Open `found.py` first: what a reader of one tracker has to find. `writing.py` writes
that into a store; every other file reads one tracker.
"""
