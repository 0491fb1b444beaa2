#!/bin/sh
# All days at once. Each line is a process that knows nothing of the others; what they
# hand on is joined by its digest.
set -e
python collect.py
python clean.py
python deduplicate.py
python label.py
sh split.sh
python encode.py
python train.py
python evaluate.py
provenance release provenance-store latest --payload out --to release --line writer
