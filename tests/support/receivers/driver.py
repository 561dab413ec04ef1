# Verifies the requests in the directories that are named, and prints true or false for each.
import pathlib
import sys

from verify import verify

for case in map(pathlib.Path, sys.argv[1:]):
    secret, id, timestamp, signature = ((case / name).read_text() for name in ("secret", "id", "timestamp", "signature"))
    print(str(verify(secret, id, timestamp, signature, (case / "body").read_bytes())).lower())
