"""Reads a log's sealed files with gzip, DuckDB and Polars, and compares what they find.

    python3 -m venv venv && venv/bin/pip install duckdb polars && venv/bin/python scripts/readers.py audit
"""

import glob
import gzip
import sys

import duckdb
import polars

log = sys.argv[1]
files = sorted(glob.glob(f"{log}/sealed/*/*.jsonl.gz"))
lines = sum(1 for file in files for _ in gzip.open(file))
rows = f"read_json({files}, format='newline_delimited', hive_partitioning=true, union_by_name=true)"
by_stream = duckdb.sql(f"select stream, count(*), min(seq), max(seq) from {rows} group by 1 order by 1").fetchall()
in_polars = sum(polars.read_ndjson(file, infer_schema_length=None).height for file in files)
in_duckdb = sum(count for _, count, _, _ in by_stream)

print(f"{len(files)} files: {lines} lines, {in_duckdb} rows in DuckDB, {in_polars} in Polars")
for stream, count, first, last in by_stream:
    print(f"  {stream}: {count} rows, {first} to {last}")
whole = all(count == last - first + 1 for _, count, first, last in by_stream)
sys.exit(0 if lines == in_duckdb == in_polars and whole else 1)
