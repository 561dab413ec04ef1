"""Faults of processes: they are killed, stopped, forked, or live by a wrong clock."""

import functools
import signal
import subprocess

import disks
from clocks import ahead_by, faketime
from receiver import Receiver

OWN_PIDS = ["unshare", "--pid", "--fork", "--kill-child"]


def kill(round):
    """SIGKILL at random moments: opening, recording, sealing, recovering; several at a time"""
    for _ in range(round.rng.randint(2, 4)):
        victims = [round.start(before=own_pids(round)) for _ in range(round.rng.randint(1, 2))]
        round.let_run(victims, 0.003, 0.25)
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


def frozen(round):
    """SIGSTOP of one process while others of the same directory die; a frozen file system"""
    if round.chance(0.3) and disks.file_systems():
        freeze_disk(round)
    else:
        for _ in range(round.rng.randint(1, 2)):
            stop_process(round)
    round.recover()
    round.check()


def stop_process(round):
    stopped, other = round.start(), round.start()
    round.let_run([stopped, other], 0.003, 0.15)
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


def freeze_disk(round):
    disk = disks.Image(round.base, round.rng.choice(disks.file_systems()))
    round.cleanup.callback(disk.close)
    disk.mount()
    round.log = disk.path / "log"
    victims = [round.start(), round.start()]
    round.let_run(victims, 0.01, 0.2)
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


def fork(round):
    """Children that drop, close, use or keep the log that they inherited"""
    for _ in range(round.rng.randint(1, 2)):
        forks = round.rng.choice([1, 2, 4, 20])
        # One of the ways in victim.rs for all children, or each in turn.
        way = round.rng.choice([{}, {"fork_way": round.rng.randrange(4)}])
        victim = round.start(forks=forks, **way)
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
                recover_beside_children(round, victim)
            victim.kill()
    round.recover()
    round.check()


def recover_beside_children(round, victim):
    """A dead process is recovered although its children live."""
    round.recover(interrupted=0)
    journal = round.log / f"state/journal/{victim.stream()}.ring"
    if journal.exists():
        round.found.append(("left", f"{journal.name} while children of its process live"))


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
            round.start(env=ahead_by(round.rng.choice(ahead)))
            for _ in range(round.rng.randint(1, 2))
        ]
        round.faults += len(victims)
        round.let_run(victims, 0.02, 0.25)
        for victim in victims:
            round.end(victim)
    round.recover()
    round.check()


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
        round.let_run(victims, 0.02, 0.6)
        for victim in victims:
            if round.chance(0.2):
                victim.stop()
            else:
                round.kill(victim)
    # The same, without refusals: all that is left arrives.
    receiver.refuses = 0
    last = round.start(threads=0, **settings)
    missing = receiver.wait_for(round.returned(), patience=60)
    last.stop()
    if missing:
        round.found.append(("not delivered", f"{len(missing)} events: {sorted(missing)[:5]}"))
    double = [id for id, deliveries in receiver.came.items() if len(deliveries) > 1]
    if double:
        pairs = [(id, sorted(receiver.came[id])) for id in sorted(double)[:3]]
        round.found.append(("delivered twice", f"{len(double)} events: {pairs}"))
    round.faults += receiver.refused
    round.recover(interrupted=0)
    round.check()
