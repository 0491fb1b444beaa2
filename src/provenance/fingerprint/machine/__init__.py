"""What a run executes in: interpreter, machine, packages, arguments, seeds.

Nothing here names a person or a machine, imports a library that is not loaded, or
touches a random state.

Open `environment.py` first.
"""
