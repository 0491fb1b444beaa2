#!/bin/sh
# Day 3, later: hold every tenth document out. A shell command is a step as well.
set -e
provenance step process --name split \
  --uses data/labelled.jsonl \
  --produces data/train.jsonl --produces data/heldout.jsonl \
  -- awk 'NR % 10 { print > "data/train.jsonl"; next } { print > "data/heldout.jsonl" }' \
  data/labelled.jsonl
