"""The recording wing: what a training script talks to.

Holds the run, its steps and artifacts, the queue behind them, and the journal that
turns events into statements. Importing it is cheap; the heavy rooms load on the
recorder's own thread. It never raises into a training run unless asked to, and it
never loses anything without saying so.

Open `session.py` first.
"""
