"""Says what is wrong with a log, without any code of the crate: JSON, gzip and counting.

What a check finds is a list of `(what, text)`; `what` is one of

| what | means |
|---|---|
| lost | an event that must be there is not |
| twice | an event is there more than once |
| gap | the numbers of a stream don't go on, and no entry of the log says why |
| garbage | a line is no JSON, or is torn |
| gzip | `gzip -t` refuses a sealed file, or its live twin says something else |
| life | a stream that says that its log was opened doesn't say once, in its last entry, how it ended |
| pruned | something was pruned; nothing is past its retention |
| left | a journal is still there although a process has recovered, or was set aside as damaged |
| false alarm | nothing of the above, and `tracing-audit verify` sees a problem all the same |
| overlooked | a gap, garbage or a broken file, and `tracing-audit verify` sees no problem |
"""

import gzip
import json
import subprocess
from collections import Counter, defaultdict
from pathlib import Path


def check(log, must, verify):
    """Checks the log in the directory `log`, which nobody writes; `must` are the ids that have to
    be there. `verify` is the `tracing-audit` program."""
    found = []
    entries = []
    for name, text in sorted(texts(log, found).items()):
        entries += parse(name, text, found)
    ids = Counter(entry["id"] for _, entry in entries)
    missing = sorted(set(must) - set(ids))
    if missing:
        found.append(("lost", f"{len(missing)} of {len(must)} events: {missing[:5]}"))
    double = sorted(id for id, count in ids.items() if count > 1)
    if double:
        found.append(("twice", f"{len(double)} events: {double[:5]}"))
    found += gaps(entries)
    found += lives(entries)
    pruned = sum(entry["event_type"] == "audit.log.pruned" for _, entry in entries)
    if pruned:
        found.append(("pruned", f"{pruned} entries say so"))
    journals = sorted((log / "state/journal").glob("*"))
    if journals:
        found.append(("left", f"{[journal.name for journal in journals]}"))
    if not found:
        found += false_alarms(log, verify)
    elif {"gap", "garbage", "gzip"} & {what for what, _ in found} and not pruned:
        if not false_alarms(log, verify):
            found.append(("overlooked", "`tracing-audit verify` ends with 0"))
    return found


def texts(log, found):
    """What each file holds, by its name without endings: the sealed file or else the live one."""
    live = {path.name: path.read_bytes() for path in (log / "live").glob("*")}
    sealed_files = sorted((log / "sealed").rglob("*.jsonl.gz"))
    for start in range(0, len(sealed_files), 500):
        files = sealed_files[start : start + 500]
        test = subprocess.run(["gzip", "-t", *files], capture_output=True, text=True)
        if test.returncode != 0:
            found.append(("gzip", test.stderr[:500]))
    held = dict(live)
    for path in sealed_files:
        name = path.name.removesuffix(".gz")
        try:
            held[name] = gzip.decompress(path.read_bytes())
        except (OSError, EOFError) as error:
            found.append(("gzip", f"{path.name}: {error}"))
            continue
        if name in live and live[name] != held[name]:
            sizes = f"{len(live[name])} and {len(held[name])} bytes"
            found.append(("gzip", f"{path.name} is not its live twin: {sizes}"))
    return held


def parse(name, text, found):
    """The entries of a file, each with the file's name."""
    entries = []
    lines = text.split(b"\n")
    if lines.pop():
        found.append(("garbage", f"{name} ends within a line"))
    for number, line in enumerate(lines, 1):
        try:
            entry = json.loads(line)
            entries.append((name, entry))
            known = (entry["id"], entry["stream"], entry["seq"], entry["event_type"])
            if entry["stream"] not in name:
                found.append(("garbage", f"{name}:{number} is of {known[1]}"))
        except (ValueError, KeyError, TypeError) as error:
            found.append(("garbage", f"{name}:{number}: {error}: {line[:80]!r}"))
    return entries


def file_number(name):
    return int(name.removesuffix(".jsonl").rsplit("-", 1)[1])


def gaps(entries):
    """Each stream counts 1, 2, 3 ... from file to file, but for what the log says is lost."""
    streams = defaultdict(list)
    told = set()
    for name, entry in entries:
        streams[entry["stream"]].append((file_number(name), entry["seq"]))
        if entry["event_type"] == "audit.log.lost":
            details = entry.get("details", {})
            told.add((entry["stream"], details.get("after_seq"), details.get("count")))
    found = []
    for stream, numbers in streams.items():
        # Sorting is stable: within a file the entries stay as they are.
        numbers.sort(key=lambda number: number[0])
        before = 0
        for file, seq in numbers:
            if seq != before + 1 and (stream, before, seq - before - 1) not in told:
                found.append(("gap", f"{stream}: {seq} comes after {before}, in file {file}"))
            before = seq
    return found[:5]


ENDS = {"audit.log.closed", "audit.log.ended_without_closing"}


def lives(entries):
    """What begins with the opening of the log ends with its closing or with a death."""
    streams = defaultdict(dict)
    for _, entry in entries:
        streams[entry["stream"]][entry["seq"]] = entry["event_type"]
    found = []
    for stream, types in streams.items():
        ends = [seq for seq, event_type in types.items() if event_type in ENDS]
        begins = types.get(1) == "audit.log.opened"
        if "audit.log.lost" not in types.values() and ends != [max(types)] * begins:
            last = [types[seq] for seq in sorted(types)[-3:]]
            found.append(("life", f"{stream} begins with {types.get(1)} and ends with {last}"))
    return found[:5]


def false_alarms(log, verify):
    command = [verify, "verify", "--dir", log, "--format", "json"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if run.returncode == 0:
        return []
    try:
        findings = json.loads(run.stdout)["findings"]
        texts = [
            f"{finding['kind']}: {finding['place']}: {finding['what']}"
            for finding in findings
            if finding["level"] == "problem"
        ]
    except (ValueError, KeyError):
        texts = [run.stdout[-300:], run.stderr[-300:]]
    return [("false alarm", f"exit code {run.returncode}: {'; '.join(texts)[:600]}")]
