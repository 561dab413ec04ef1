"""Faults of deliveries: senders and receivers die, clocks jump, secrets and files change meanwhile."""

import json
import re
import socket
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import oracle
from clocks import by_file, faketime, jump
from disks import Impossible

# How each webhook differs from the default.
WEBHOOKS = {
    "single": [],
    "batch": ["--batch", "40", "--batch-wait-ms", "20"],
    "strict": ["--strict"],
    "strict-batch": ["--strict", "--batch", "15"],
}
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
DAY = 86_400
# Deliveries go on within so many seconds.
PATIENCE = 45


def deliveries(round):
    """Kills of senders and receiver; batches, halves, new secrets, replays, pruning, clock jumps"""
    hostile = Hostile(round)
    round.cleanup.callback(hostile.close)
    round.start(threads=0).stop()
    for name, settings in WEBHOOKS.items():
        hostile.add(name, settings)
    for _ in range(round.rng.randint(2, 4)):
        hostile.live_and_die()
    hostile.finish()
    round.recover(interrupted=0)
    hostile.check()


class Hostile:
    def __init__(self, round):
        self.round, self.rng = round, round.rng
        self.file = round.base / "taken.jsonl"
        self.clock = round.base / "clock"
        self.secrets = {name: [SECRET] for name in WEBHOOKS}
        self.rates = {"refused": 0.1, "unanswered": 0.05, "too_large": 60}
        # When a sender or the receiver was killed.
        self.killed = []
        self.replayed = set()
        self.prunes = round.chance(0.25)
        self.jumps = not self.prunes and round.chance(0.5) and self.can_jump()
        round.common = {"retention_days": 0}
        if self.prunes:
            round.common["retention_bytes"] = 100_000
        with socket.socket() as some:
            some.bind(("127.0.0.1", 0))
            self.port = some.getsockname()[1]
        self.receiver = None
        self.start_receiver()

    def can_jump(self):
        try:
            faketime()
            return True
        except Impossible:
            return False

    # The receiver.

    def start_receiver(self):
        self.tell_receiver()
        program = Path(__file__).with_name("taker.py")
        command = [sys.executable, program, str(self.port), self.file, str(self.rng.random())]
        self.receiver = subprocess.Popen(command)

    def tell_receiver(self):
        """In one step, because it may be reading."""
        path = self.round.base / "taker.json"
        unfinished = path.with_suffix(".new")
        unfinished.write_text(json.dumps({**self.rates, "secrets": self.secrets}))
        unfinished.rename(path)

    def kill_receiver(self):
        self.killed.append(time.monotonic())
        self.receiver.kill()
        self.receiver.wait()
        # What it took and did not answer may be noticed by the sender only now.
        self.killed.append(time.monotonic())
        self.round.kills += 1

    def close(self):
        self.receiver.kill()
        self.receiver.wait()

    # The operator.

    def command(self, *arguments):
        command = [self.round.programs.verify, "webhook", arguments[0], "--dir", self.round.log]
        run = subprocess.run([*command, *arguments[1:]], capture_output=True, text=True, timeout=60)
        if run.returncode != 0:
            self.round.found.append(("operator", f"webhook {arguments[0]}: {run.stderr[:300]}"))
        return run.stdout

    def add(self, name, settings):
        url = f"http://127.0.0.1:{self.port}/{name}"
        schedule = ",".join(["0"] + ["1"] * 60)
        self.command(
            *["add", "--name", name, "--url", url, "--event-type", "fault.*", *settings],
            *["--allow-http", "--egress", "loopback", "--schedule-seconds", schedule],
            *["--signing-secret", SECRET],
        )

    def rotate_a_secret(self):
        name = self.rng.choice(list(WEBHOOKS))
        output = self.command("rotate-secret", name)
        secret = re.search(r"whsec_\S+", output)
        if secret:
            self.secrets[name].append(secret[0])
            self.tell_receiver()

    def replay(self):
        self.replay_all(self.rng.choice(["single", "batch"]))

    def replay_all(self, name):
        self.replayed.add(name)
        self.command("replay", name, "--start-date", "2000-01-01")

    # The life of senders.

    def live_and_die(self):
        round, rng = self.round, self.rng
        if self.jumps:
            self.clock.write_text("+0.000")
        victims = [
            round.start(
                env=by_file(self.clock) if self.jumps else None,
                webhook="yes",
                rotate_bytes=8192,
                filler=100,
                pause_us=rng.choice([2000, 10_000]),
            )
            for _ in range(rng.randint(1, 2))
        ]
        round.let_run(victims, 0.02, 0.5)
        deeds = [self.rotate_a_secret, self.replay, self.restart_receiver, self.jump]
        for deed in rng.sample(deeds, rng.randint(0, 3)):
            deed()
            round.sleep(0.02, 0.5)
        for victim in victims:
            if round.chance(0.2):
                victim.stop()
            else:
                self.killed.append(time.monotonic())
                round.kill(victim)
                self.killed.append(time.monotonic())

    def restart_receiver(self):
        self.kill_receiver()
        self.round.sleep(0.01, 0.4)
        self.start_receiver()

    def jump(self):
        if self.jumps:
            by = self.rng.choice([-400 * DAY, -DAY, -60, 60, DAY, 400 * DAY])
            jump(self.clock, by)
            self.round.faults += 1

    # The end.

    def finish(self):
        """Nothing is refused from here on, so all that is left arrives, and again in a replay."""
        self.rates = {"refused": 0, "unanswered": 0, "too_large": self.rates["too_large"]}
        self.tell_receiver()
        last = self.round.start(threads=0, webhook="yes")
        self.wait_until(self.has_come)
        if not self.prunes:
            self.replay_batches()
        last.stop()

    def replay_batches(self):
        before = len(self.takes())
        self.replay_all("batch")
        self.wait_until(self.has_replayed)
        again = self.round.returned()
        for take in self.takes()[before:]:
            if take["webhook"] == "batch":
                again -= {event[0] for event in take["events"]}
        if again:
            text = f"{len(again)} events, such as {sorted(again)[:3]}"
            self.round.found.append(("not replayed", text))

    def has_replayed(self):
        replay = json.loads(self.command("show", "batch"))["replay"]
        return replay["state"] == "done"

    def wait_until(self, is_so):
        end, came = time.monotonic() + PATIENCE, 0
        while time.monotonic() < end:
            if is_so():
                break
            # A busy machine takes long; what matters is that it goes on.
            now = len(self.takes())
            if now > came:
                end, came = time.monotonic() + PATIENCE, now
            time.sleep(0.2)

    def has_come(self):
        """Whether all that can still come has come."""
        missing = self.missing()
        if not self.prunes or not any(missing.values()):
            return not any(missing.values())
        try:
            return not any(self.excess(missing).values())
        except FileNotFoundError:
            # A file was sealed or pruned just now.
            return False

    def takes(self):
        if not self.file.exists():
            return []
        # The last line of a receiver that was killed may be torn, and was not answered then.
        lines = self.file.read_bytes().split(b"\n")
        takes = []
        for line in lines:
            try:
                takes.append(json.loads(line))
            except ValueError:
                pass
        return takes

    def missing(self):
        """What each webhook has not got."""
        missing = {name: set(self.round.returned()) for name in WEBHOOKS}
        for take in self.takes():
            missing[take["webhook"]] -= {event[0] for event in take["events"]}
        return missing

    def excess(self, missing):
        """How many of its missing events each webhook should have got: those that the log still
        has, and of the pruned ones all but those of files that were recorded as undelivered. The
        entries about the first pruned files may be pruned as well; then their events are
        excused."""
        there, files = set(), {}
        for text in oracle.texts(self.round.log, []).values():
            for entry in map(json.loads, text.splitlines()):
                there.add(entry["id"])
                if entry["event_type"] == "audit.log.pruned":
                    files.update((file["file"], file) for file in entry["details"]["files"])
        recorded, undelivered = 0, defaultdict(int)
        for file in files.values():
            recorded += file["lines"]
            for name in file.get("undelivered", []):
                undelivered[name] += file["lines"]
        unrecorded = max(0, len(self.round.returned() - there) - recorded)
        excess = {}
        for name, ids in missing.items():
            pruned = max(0, len(ids - there) - undelivered[name] - unrecorded)
            excess[name] = len(ids & there) + pruned
        return excess

    def check(self):
        found = self.round.found
        missing = self.missing()
        if self.prunes:
            for name, count in self.excess(missing).items():
                if count:
                    text = f"{name}: {count} events more than were pruned undelivered"
                    found.append(("not delivered", text))
            self.round.check_pruned()
        else:
            for name, ids in missing.items():
                if ids:
                    found.append(("not delivered", f"{name}: {len(ids)}: {sorted(ids)[:3]}"))
            self.round.check()
        for name in WEBHOOKS:
            takes = [take for take in self.takes() if take["webhook"] == name]
            self.check_takes(name, takes)

    def check_takes(self, name, takes):
        found, last = self.round.found, {}
        ids_of, highest = {}, defaultdict(int)
        for take in takes:
            if 0 not in take["signers"]:
                found.append(("signature", f"{name}: {take['id']} by {take['signers']}"))
            before = last.get(take["id"])
            if before and before["sha"] != take["sha"]:
                found.append(("another body", f"{name}: {take['id']}"))
            if before and name not in self.replayed and not self.is_excused(before, take):
                found.append(("delivered twice", f"{name}: {take['id']}"))
            last[take["id"]] = take
            for event, stream, seq in take["events"]:
                first = ids_of.setdefault(event, take["id"])
                if first != take["id"] and not self.is_cut_anew(name):
                    ids = f"{first} and {take['id']}"
                    found.append(("delivered twice", f"{name}: {event} under {ids}"))
                if before is None and name.startswith("strict"):
                    if seq < highest[stream]:
                        found.append(("order", f"{name}: {stream} {seq} after {highest[stream]}"))
                    highest[stream] = max(highest[stream], seq)

    def is_cut_anew(self, name):
        """Whether a replay may send batches of other events: where some have been pruned."""
        return name in self.replayed and self.prunes

    def is_excused(self, before, take):
        """What was taken twice was not answered first, or somebody died meanwhile."""
        died = any(before["at"] - 1 <= at <= take["at"] for at in self.killed)
        return not before["answered"] or died
