"""What frameworks call: one file for each framework, each an optional extra.

A hook hands what happened in a training over to the recording API, and returns. It
never imports a framework that the script has not installed, never touches a random
state, never loads a pickle, and never raises into a training: what it could not do is
a gap in the record.

Open `joining.py` first: it says how a hook comes to its run.
"""
