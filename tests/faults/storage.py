"""Faults of storage: calls fail, file systems fill up, and their power is cut."""

import shutil
import time

import disks
from clocks import over_midnight
from disks import Impossible

ACTIONS = {
    "any": ["EIO", "ENOSPC", "EMFILE", "EINTR", "kill"],
    "open": ["EIO", "EMFILE", "ENOSPC", "EINTR"],
    "write": ["EIO", "ENOSPC", "EINTR", "short"],
    "sync": ["EIO", "ENOSPC", "EINTR"],
    "msync": ["EIO"],
    "rename": ["EIO", "ENOSPC"],
    "unlink": ["EIO", "EACCES"],
    "truncate": ["EIO", "ENOSPC", "EINTR"],
    "allocate": ["EIO", "ENOSPC", "EINTR"],
    "mkdir": ["EIO", "ENOSPC"],
    "lock": ["EIO", "EINTR"],
    "read": ["EIO", "EINTR", "short"],
    "list": ["EIO"],
    "map": ["EMFILE", "EIO"],
    "stat": ["EIO"],
    "space": ["EIO"],
}
WEIGHTS = {"any": 4, "write": 4, "sync": 4, "truncate": 2, "open": 3, "read": 3}
# A part of the path that a call is about.
PLACES = ["", "", "@/live/", "@/sealed/", "@/state/", "@/state/journal/", "@/index/"]


def a_fault(rng):
    call = rng.choices(list(ACTIONS), [WEIGHTS.get(call, 1) for call in ACTIONS])[0]
    place = "" if call in ("msync", "space") else rng.choice(PLACES)
    first = int(2 ** rng.uniform(0, 5 if place else 9 if call == "any" else 6))
    count = rng.choice([1, 1, 1, 2, 5, 12])
    return f"{call}{place}:{first}:{count}:{rng.choice(ACTIONS[call])}"


def some_faults(rng):
    """One, a pair, or a partial write together with a repair that fails."""
    if rng.random() < 0.7:
        return [a_fault(rng) for _ in range(rng.choice([1, 2, 2]))]
    first = int(2 ** rng.uniform(0, 5))
    partial = [f"write@/live/:{first}:1:short", f"write@/live/:{first + 1}:1:ENOSPC"]
    times = rng.choice([1, 2, 3])
    repair = rng.choice([f"truncate@/live/:1:{times}:EIO", "sync@/live/:2:9:EIO", "any:99:1:kill"])
    return [*partial, repair]


def nth(round):
    """The Nth call of open, write, fsync, rename ... fails, is short or kills; pairs of them"""
    if round.chance(0.7):
        first = round.start()
        round.let_run([first], 0.02, 0.2)
        round.end(first)
    for _ in range(round.rng.randint(1, 2)):
        rotate = round.rng.choice([50, 200, 3_600_000])
        victim = round.start_with_faults(some_faults(round.rng), rotate_ms=rotate)
        round.let_run([victim], 0.03, 0.4)
        round.end(victim)
    round.faults += round.count_hits()
    round.recover()
    round.check()


def full(round):
    """A tmpfs or ext4 of a few MiB fills up, or runs out of inodes; some over midnight"""
    path = round.base / "small"
    inodes = round.chance(0.25)
    if inodes:
        # The log's own directories and files take about forty.
        options = f"size=64m,nr_inodes={round.rng.randint(40, 120)}"
        disk = disks.Small(path, options)
    elif round.chance(0.3) and "ext4" in disks.file_systems():
        disk = disks.Image(round.base, "ext4", mib=16)
        disk.mount()
        path = disk.path
    else:
        disk = disks.Small(path, f"size={round.rng.randint(6, 16)}m")
    round.cleanup.callback(disk.close)
    round.log = path / "log"
    fixed = {
        "env": over_midnight(round) if round.chance(0.25) else None,
        "pause_us": round.rng.choice([0, 100, 500]),
        "rotate_ms": round.rng.choice([50, 200, 3_600_000]),
    }
    for _ in range(round.rng.randint(1, 2)):
        victims = [round.start(**fixed) for _ in range(round.rng.randint(1, 2))]
        round.let_run(victims, 0.05, 0.3)
        keep_full(round, path, inodes, 2.0 if fixed["env"] else 0.8)
        round.faults += 1
        if round.chance(0.4):
            # Restarts while nothing is free.
            round.kill(victims[0])
            victims[0] = round.start(**fixed)
            keep_full(round, path, inodes, 0.4)
        if round.chance(0.6):
            free(path)
            round.sleep(0.02, 0.3)
        for victim in victims:
            # With nothing free an orderly end may fail; what is in the journal stays there.
            round.end(victim)
        free(path)
    move_log(round)
    round.recover()
    round.check()


def move_log(round):
    """Copies the log to where there is room, as an administrator would: it may have filled the
    file system itself."""
    larger = round.base / "log"
    if round.log.exists():
        shutil.copytree(round.log, larger, symlinks=True)
    round.log = larger


def keep_full(round, path, inodes, longest):
    """Fills the file system, and again what the log gives back of its reserve or by sealing."""
    end = time.monotonic() + round.rng.uniform(0.1, longest)
    while time.monotonic() < end:
        fill(path, inodes)
        time.sleep(0.01)


def fill(path, inodes):
    try:
        if inodes:
            for number in range(10_000):
                (path / f"filler-{number}").touch()
        else:
            with open(path / "filler", "ab", buffering=0) as file:
                # tmpfs takes whole pages; ext4 does too, unless a file has a tail.
                while file.write(bytes(4096)) == 4096:
                    pass
    except OSError:
        pass


def free(path):
    for filler in path.glob("filler*"):
        filler.unlink()


def power(round):
    """An ext4, xfs or btrfs loses its power, and what its disk had not flushed"""
    possible = disks.file_systems()
    if not possible:
        raise Impossible("no image can be mounted")
    disk = disks.PoweredImage(round.base, possible[round.number % len(possible)])
    round.cleanup.callback(disk.close)
    round.must = "durable"
    for _ in range(round.rng.randint(1, 2)):
        disk.power_on(f"{round.rng.random()}")
        round.log = disk.path / "log"
        faults = disk_faults(round)
        victims = [
            round.start_with_faults(faults) if faults else round.start()
            for _ in range(round.rng.randint(1, 2))
        ]
        round.let_run(victims, 0.05, 0.8)
        if round.chance(0.3):
            # It is killed, or ends in order, before the cut; another recovers what it left.
            round.end(victims.pop(0))
            victims.append(round.start())
            round.sleep(0.01, 0.3)
        elif round.chance(0.1):
            victims[0].stop()
        disk.cut(round.rng.choice(["mix", "mix", "none", "all"]))
        round.faults += 1
        for victim in victims:
            round.kill(victim)
        disk.power_off()
    round.faults += round.count_hits()
    disk.mount()
    if round.log.exists() or round.durable():
        round.recover()
        round.check()


def disk_faults(round):
    """A disk that is about to lose its power may fail before."""
    if round.prove:
        return ["sync:1:999999:lie", "msync:1:999999:lie"]
    if not round.programs.inject or round.chance(0.7):
        return []
    first = int(2 ** round.rng.uniform(3, 7))
    count = round.rng.choice([1, 1, 2, 5])
    return [f"sync:{first}:{count}:EIO", f"write:{first}:1:EIO"]
