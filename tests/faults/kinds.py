"""The kinds of faults. Each is a function that does one round's worth of harm."""

import functools
import signal
import subprocess
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import disks
from disks import Impossible
from receiver import Receiver

KINDS = {}
# Those that take about a second a round and need little of the machine, for `scripts/test`.
CHEAP = ["kill", "nth", "full", "frozen", "fork", "clock"]
OWN_PIDS = ["unshare", "--pid", "--fork", "--kill-child"]


def kind(function):
    KINDS[function.__name__] = function
    return function


# --- kill ---------------------------------------------------------------------------------------


@kind
def kill(round):
    """SIGKILL at random moments: opening, recording, sealing, recovering; several at a time"""
    for _ in range(round.rng.randint(2, 4)):
        victims = [round.start(before=own_pids(round)) for _ in range(round.rng.randint(1, 2))]
        round.sleep(0.003, 0.25)
        for victim in victims:
            if round.chance(0.2):
                victim.stop()
            else:
                round.kill(victim)
    round.recover(interrupted=0.5)
    round.check()


def own_pids(round):
    """In some rounds each victim is process 1, as in a container."""
    return OWN_PIDS if round.number % 4 == 0 and can_have_own_pids() else []


@functools.cache
def can_have_own_pids():
    return subprocess.run([*OWN_PIDS, "true"], capture_output=True).returncode == 0


# --- nth ----------------------------------------------------------------------------------------

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


PLACES = ["", "", "@/live/", "@/sealed/", "@/state/", "@/state/journal/", "@/index/"]


def a_fault(rng):
    call = rng.choices(list(ACTIONS), [WEIGHTS.get(call, 1) for call in ACTIONS])[0]
    place = "" if call in ("msync", "space") else rng.choice(PLACES)
    first = int(2 ** rng.uniform(0, 5 if place else 9 if call == "any" else 6))
    count = rng.choice([1, 1, 1, 2, 5, 50])
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


@kind
def nth(round):
    """The Nth call of open, write, fsync, rename ... fails, is short or kills; pairs of them"""
    if round.chance(0.7):
        first = round.start()
        round.sleep(0.02, 0.2)
        round.end(first)
    for _ in range(round.rng.randint(1, 2)):
        rotate = round.rng.choice([50, 200, 3_600_000])
        victim = round.start_with_faults(some_faults(round.rng), rotate_ms=rotate)
        round.sleep(0.03, 0.4)
        round.end(victim)
    round.faults += round.count_hits()
    round.recover()
    round.check()


# --- full ---------------------------------------------------------------------------------------


@kind
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
        round.sleep(0.05, 0.3)
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
    make_room(path, inodes)
    round.recover()
    round.check()


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


def make_room(path, inodes):
    """What the log itself has filled is made larger, as an administrator would."""
    if (path / "log").exists() and path.name == "small":
        options = "remount,size=512m" + (",nr_inodes=9999" if inodes else "")
        disks.run("mount", "-o", options, path)


# --- clocks -------------------------------------------------------------------------------------


def faketime():
    for path in Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"):
        return path
    raise Impossible("libfaketime is not installed")


def clock_ahead(seconds):
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
        return clock_ahead((midnight - now).total_seconds() - round.rng.uniform(0.2, 0.9))
    except Impossible:
        return None


@kind
def clock(round):
    """Victims whose clocks are a day or a year apart (libfaketime)"""
    faketime()
    day = 86_400
    ahead = [0, 0, -9, 9, -day, day, 365 * day]
    retention = round.rng.choice([0, 90])
    round.common = {"retention_days": retention}
    if retention == 0:
        # With a retention, such an entry is past it as soon as the clock is right again.
        ahead.append(-365 * day)
    for _ in range(round.rng.randint(2, 4)):
        victims = [
            round.start(env=clock_ahead(round.rng.choice(ahead)))
            for _ in range(round.rng.randint(1, 2))
        ]
        round.faults += len(victims)
        round.sleep(0.02, 0.25)
        for victim in victims:
            round.end(victim)
    round.recover()
    round.check()


# --- frozen -------------------------------------------------------------------------------------


@kind
def frozen(round):
    """SIGSTOP of one process while others of the same directory die; a frozen file system"""
    if round.chance(0.3) and disks.file_systems():
        return frozen_disk(round)
    for _ in range(round.rng.randint(1, 2)):
        stopped, other = round.start(), round.start()
        round.sleep(0.003, 0.15)
        stopped.signal(signal.SIGSTOP)
        round.faults += 1
        round.sleep(0.003, 0.15)
        round.kill(other)
        third = round.start()
        round.sleep(0.02, 0.3)
        if round.chance(0.5):
            round.kill(third)
        stopped.signal(signal.SIGCONT)
        round.sleep(0.003, 0.1)
        for victim in (stopped, third):
            if victim.process.poll() is None:
                round.end(victim)
            victim.kill()
    round.recover()
    round.check()
    return None


def frozen_disk(round):
    disk = disks.Image(round.base, round.rng.choice(disks.file_systems()))
    round.cleanup.callback(disk.close)
    disk.mount()
    round.log = disk.path / "log"
    victims = [round.start(), round.start()]
    round.sleep(0.01, 0.2)
    disks.run("fsfreeze", "--freeze", disk.path)
    round.faults += 1
    try:
        round.sleep(0.05, 0.5)
        # It dies as soon as the file system lets it.
        victims[0].signal(signal.SIGKILL)
        round.kills += 1
    finally:
        disks.run("fsfreeze", "--unfreeze", disk.path)
    victims[0].kill()
    round.sleep(0.01, 0.1)
    round.end(victims[1])
    round.recover()
    round.check()


# --- fork ---------------------------------------------------------------------------------------


@kind
def fork(round):
    """Children that drop, close, use or keep the log that they inherited"""
    for _ in range(round.rng.randint(1, 2)):
        forks = round.rng.choice([1, 2, 4, 20])
        victim = round.start(forks=forks)
        victim.wait_until_open()
        round.faults += forks
        round.sleep(0.03, 0.3)
        if round.chance(0.5):
            victim.stop()
        else:
            # Its children live on, with what they inherited.
            victim.kill_alone()
            round.kills += 1
            if round.chance(0.5):
                round.recover(interrupted=0)
            victim.kill()
    round.recover()
    round.check()


# --- power --------------------------------------------------------------------------------------


@kind
def power(round):
    """An ext4, xfs or btrfs loses its power, and what its disk had not flushed"""
    possible = disks.file_systems()
    if not possible:
        raise Impossible("no image can be mounted")
    disk = disks.PoweredImage(round.base, possible[round.number % len(possible)])
    round.cleanup.callback(disk.close)
    round.must = "durable"
    for cut in range(round.rng.randint(1, 2)):
        disk.power_on(f"{round.rng.random()}")
        round.log = disk.path / "log"
        faults = disk_faults(round)
        victims = [
            round.start_with_faults(faults) if faults else round.start()
            for _ in range(round.rng.randint(1, 2))
        ]
        round.sleep(0.05, 0.8)
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


# --- webhooks -----------------------------------------------------------------------------------


@kind
def webhooks(round):
    """Kills with a webhook: every event arrives, under one delivery id"""
    receiver = Receiver(round.rng.random())
    round.cleanup.callback(receiver.close)
    settings = {"webhook": receiver.url, "wait_every": 5, "filler": 100}
    # The webhook gets what is recorded from its beginning on.
    round.start(threads=0, **settings).stop()
    for _ in range(round.rng.randint(2, 5)):
        victims = [
            round.start(**settings, pause_us=round.rng.choice([2000, 10_000]))
            for _ in range(round.rng.randint(1, 2))
        ]
        round.sleep(0.02, 0.6)
        for victim in victims:
            if round.chance(0.2):
                victim.stop()
            else:
                round.kill(victim)
    # The same, without refusals: all that is left arrives.
    receiver.refuses = 0
    last = round.start(threads=0, **settings)
    arrived = receiver.wait_for(round.returned(), patience=60)
    last.stop()
    if arrived:
        round.found.append(("not delivered", f"{len(arrived)} events: {sorted(arrived)[:5]}"))
    double = [id for id, deliveries in receiver.came.items() if len(deliveries) > 1]
    if double:
        pairs = [(id, sorted(receiver.came[id])) for id in sorted(double)[:3]]
        round.found.append(("delivered twice", f"{len(double)} events: {pairs}"))
    round.faults += receiver.refused
    round.recover(interrupted=0)
    round.check()


def impossible(name, programs):
    """Why a kind can't be had here, or `None`."""
    if name == "nth" and not programs.can_inject():
        return "the injector needs a C compiler, x86-64, ptrace and seccomp"
    if name == "clock":
        try:
            faketime()
        except Impossible as error:
            return str(error)
    return None
