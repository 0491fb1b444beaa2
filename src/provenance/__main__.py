"""`python -m provenance` and the command `provenance`."""

from provenance.cli import run

if __name__ == "__main__":
    run()
