"""Wrong clocks, by libfaketime."""

from datetime import datetime, timedelta, timezone
from pathlib import Path

from disks import Impossible


def faketime():
    for path in Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"):
        return path
    raise Impossible("libfaketime is not installed")


def ahead_by(seconds):
    return {
        "LD_PRELOAD": str(faketime()),
        "FAKETIME": f"{seconds:+.3f}",
        # Waiting is by the monotonic clock, which nobody sets.
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }


def over_midnight(round):
    try:
        now = datetime.now(timezone.utc)
        midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        return ahead_by((midnight - now).total_seconds() - round.rng.uniform(0.2, 0.9))
    except Impossible:
        return None


def by_file(path):
    """The clock goes as far wrong as the file says, and jumps when `jump` changes that."""
    fake = ahead_by(0)
    del fake["FAKETIME"]
    return {**fake, "FAKETIME_TIMESTAMP_FILE": str(path), "FAKETIME_NO_CACHE": "1"}


def jump(path, seconds):
    unfinished = path.with_suffix(".new")
    unfinished.write_text(f"{seconds:+.3f}\n")
    unfinished.rename(path)
