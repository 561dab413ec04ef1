"""A round: a directory, victims in it, what they said, and the check at its end."""

import math
import os
import random
import shutil
import time
from contextlib import ExitStack

import oracle
from victims import PATIENCE, Hangs, Victim, panics


class Round:
    def __init__(self, kind, number, seed, base, programs):
        self.kind, self.number, self.programs = kind, number, programs
        self.rng = random.Random(f"{seed}/{kind}/{number}")
        self.base = base
        base.mkdir()
        self.log = base / "log"
        self.notes = base / "victims.txt"
        self.cleanup = ExitStack()
        self.victims = []
        self.kills = self.faults = 0
        self.found = []
        # Settings of all victims of the round.
        self.common = {}
        self.must = "returned"
        # Every sync of a `power` round is a lie, which has to be found.
        self.prove = False

    # Starting and ending victims.

    def settings(self, **fixed):
        rng = self.rng
        settings = {
            "--rotate-bytes": rng.choice([8, 64, 256]) << 10,
            "--rotate-ms": rng.choice([100, 400, 3_600_000]),
            "--grace-ms": rng.choice([0, 5, 100, 60_000]),
            "--sync-ms": rng.choice([1, 7, 50, 1000]),
            "--journal-bytes": rng.choice([64, 256, 1024]) << 10,
            "--threads": rng.randint(1, 4),
            "--pause-us": rng.choice([0, 100, 500, 2000]),
            "--wait-every": rng.choice([1, 5, 50]),
            "--filler": rng.choice([0, 300, 3000]),
        }
        fixed = self.common | fixed
        return settings | {f"--{name.replace('_', '-')}": value for name, value in fixed.items()}

    def start(self, before=(), env=None, **fixed):
        settings = self.settings(**fixed)
        victim = Victim(self.programs.victim, self.log, settings, self.notes, before, env)
        self.victims.append(victim)
        return victim

    def start_with_faults(self, faults, **fixed):
        """A victim whose system calls fail; `faults` as in inject.c."""
        hits = self.base / "hits.txt"
        before = [self.programs.inject, "--below", self.log, "--log", hits]
        for fault in faults:
            before += ["--fault", fault]
        return self.start(before=[*before, "--"], **fixed)

    def count_hits(self):
        hits = self.base / "hits.txt"
        text = hits.read_text() if hits.exists() else ""
        return sum(line.startswith("hit") for line in text.splitlines())

    def kill(self, victim):
        victim.kill()
        self.kills += 1

    def end(self, victim):
        """An orderly end, or a kill."""
        if self.rng.random() < 0.5:
            victim.stop()
        else:
            self.kill(victim)

    # Time and chance.

    def sleep(self, shortest, longest):
        """A while in seconds, shorter ones as likely as longer ones."""
        low, high = math.log(shortest), math.log(longest)
        time.sleep(math.exp(self.rng.uniform(low, high)))

    def let_run(self, victims, shortest, longest):
        """The same, in most cases from when their logs are open: to open takes a while."""
        if self.chance(0.6):
            for victim in victims:
                victim.wait_until_open()
        self.sleep(shortest, longest)

    def chance(self, probability):
        return self.rng.random() < probability

    # The end.

    def recover(self, interrupted=0.3):
        """Opens the directory and closes it, as the next process would, after a few that are
        killed while they recover."""
        for _ in range(3):
            if not self.chance(interrupted):
                break
            victim = self.start(threads=0)
            self.sleep(0.002, 0.05)
            self.kill(victim)
        # Twice, because a victim in a namespace of its own, or a child, may hold its lock for a
        # moment after the process that we waited for is gone.
        for _ in range(2):
            victim = self.start(threads=0, grace_ms=0)
            victim.wait_until_open()
            self.wait_for_recovery()
            victim.stop()
            if not victim.closed():
                self.found.append(("recovery", "; ".join(victim.said)[:500]))

    def wait_for_recovery(self):
        """Until only the recovering process has a journal: `open` need not wait for the end of
        the recovery. What is left after all that time is found by the check."""
        end = time.monotonic() + PATIENCE / 3
        while len(list((self.log / "state/journal").glob("*.ring"))) > 1:
            if time.monotonic() > end:
                return
            time.sleep(0.005)

    def returned(self):
        return set().union(*(victim.returned for victim in self.victims))

    def durable(self):
        """What has to survive a power cut: of an orderly end, everything."""
        return set().union(
            *(
                victim.returned if victim.closed() else victim.durable
                for victim in self.victims
            )
        )

    def check(self):
        must = self.durable() if self.must == "durable" else self.returned()
        self.found += oracle.check(self.log, must, self.programs.verify)
        unrecorded = sum(len(victim.unrecorded) for victim in self.victims)
        if unrecorded:
            self.found.append(("not recorded", f"{unrecorded} events, by a log that was open"))
        self.found += [("panic", text) for text in panics(self.notes)]

    def check_pruned(self):
        """The same for a log of which some is pruned: what is left is whole."""
        self.found += oracle.false_alarms(self.log, self.programs.verify)
        self.found += [("panic", text) for text in panics(self.notes)]

    def run(self, body):
        """Runs the kind's body; what was found is in `found`."""
        try:
            body(self)
        except Hangs as error:
            self.found.append(("hang", str(error)))
        finally:
            for victim in self.victims:
                victim.kill_group()
            for victim in self.victims:
                victim.process.wait()

    def close(self, keep):
        """Undoes the mounts; keeps the directory, with a copy of the log from a mount, or not."""
        kept = self.base / "kept"
        if keep and os.path.ismount(self.log.parent) and self.log.exists():
            shutil.copytree(self.log, kept, symlinks=True)
        self.cleanup.close()
        if not keep:
            shutil.rmtree(self.base, ignore_errors=True)
