"""The kinds of faults. Each is a function that does one round's worth of harm.

`NEEDS` says which kinds need a mount, the injector or libfaketime; `CHEAP` are those that take well
under a second a round, for `scripts/test`.
"""

import os
import signal
from datetime import datetime, timedelta, timezone
from pathlib import Path

import disks
from disks import Impossible
from receiver import Receiver

KINDS = {}


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
    in_namespace = os.getuid() == 0 and round.number % 4 == 0
    return ["unshare", "--pid", "--fork", "--kill-child"] if in_namespace else []


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


def a_fault(rng):
    call = rng.choices(list(ACTIONS), [WEIGHTS.get(call, 1) for call in ACTIONS])[0]
    first = int(2 ** rng.uniform(0, 9 if call == "any" else 6))
    count = rng.choice([1, 1, 1, 2, 5, 50])
    return f"{call}:{first}:{count}:{rng.choice(ACTIONS[call])}"


def some_faults(rng):
    """One, a pair, or a write that fails with a repair that fails."""
    if rng.random() < 0.25:
        first = int(2 ** rng.uniform(0, 5))
        many = rng.choice([1, 3, 20])
        second = rng.choice(["truncate:1:1:EIO", "truncate:1:9:EIO", "sync:9:9:EIO", "any:60:1:kill"])
        return [f"write:{first}:1:short", f"write:{first + 1}:{many}:ENOSPC", second]
    return [a_fault(rng) for _ in range(rng.choice([1, 2, 2]))]


@kind
def nth(round):
    """The Nth call of open, write, fsync, rename ... fails, is short or kills; pairs of them"""
    if round.chance(0.7):
        first = round.start()
        round.sleep(0.02, 0.2)
        round.end(first)
    for _ in range(round.rng.randint(1, 2)):
        victim = round.start_with_faults(some_faults(round.rng))
        round.sleep(0.05, 0.5)
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
    elif os.getuid() == 0 and round.chance(0.3):
        disk = disks.Image(round.base, "ext4", mib=16)
        disk.mount()
        path = disk.path
    else:
        disk = disks.Small(path, f"size={round.rng.randint(6, 16)}m")
    round.cleanup.callback(disk.close)
    round.log = path / "log"
    env = over_midnight(round) if round.chance(0.25) else None
    for _ in range(round.rng.randint(1, 2)):
        victims = [round.start(env=env, retention_days=365) for _ in range(round.rng.randint(1, 2))]
        round.sleep(0.05, 0.3)
        fillers = fill(path, inodes)
        round.faults += 1
        round.sleep(0.1, 2.0 if env else 0.8)
        if round.chance(0.4):
            # Restarts while nothing is free.
            round.kill(victims[0])
            victims[0] = round.start(env=env, retention_days=365)
            round.sleep(0.1, 0.4)
        freed_first = round.chance(0.6)
        if freed_first:
            free(fillers)
            round.sleep(0.02, 0.3)
        for victim in victims:
            # With nothing free an orderly end may fail; what is in the journal stays there.
            round.end(victim)
        free(fillers)
    make_room(path, inodes)
    round.recover()
    round.check()


def fill(path, inodes):
    if not inodes:
        filler = path / "filler"
        with open(filler, "ab", buffering=0) as file:
            for size in (64 << 10, 4 << 10, 512):
                try:
                    while file.write(bytes(size)) == size:
                        pass
                except OSError:
                    pass
        return [filler]
    fillers = []
    try:
        while True:
            filler = path / f"filler-{len(fillers)}"
            filler.touch()
            fillers.append(filler)
    except OSError:
        return fillers


def free(fillers):
    for filler in fillers:
        filler.unlink(missing_ok=True)


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
    ahead = [0, 0, -9, 9, -day, day, -365 * day, 365 * day]
    for _ in range(round.rng.randint(2, 4)):
        victims = [
            round.start(env=clock_ahead(round.rng.choice(ahead)), retention_days=90)
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
    if os.getuid() == 0 and round.chance(0.3):
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
    disk = disks.Image(round.base, round.rng.choice(["ext4", "xfs"]))
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
    if os.getuid() != 0:
        raise Impossible("only root may mount an image")
    file_system = ["ext4", "xfs", "btrfs"][round.number % 3]
    disk = disks.PoweredImage(round.base, file_system)
    round.cleanup.callback(disk.close)
    round.must = "durable"
    for cut in range(round.rng.randint(1, 2)):
        disk.power_on(f"{round.rng.random()}")
        round.log = disk.path / "log"
        faulty = round.programs.inject and round.chance(0.3)
        victims = [
            round.start_with_faults(disk_faults(round.rng)) if faulty else round.start()
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


def disk_faults(rng):
    """A disk that is about to lose its power may fail before."""
    first = int(2 ** rng.uniform(3, 7))
    return [f"sync:{first}:{rng.choice([1, 1, 2, 5])}:EIO", f"write:{first}:1:EIO"]


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


CHEAP = ["kill", "nth", "full", "frozen", "fork", "clock"]


def impossible(name, programs):
    """Why a kind can't be had here, or `None`."""
    if name == "nth" and programs.inject is None:
        return "the injector needs a C compiler and x86-64"
    if name == "clock":
        try:
            faketime()
        except Impossible as error:
            return str(error)
    return None
