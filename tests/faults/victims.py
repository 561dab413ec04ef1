"""Building the victim, starting it, ending it."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# An orderly end is a matter of milliseconds; a machine may be busy.
PATIENCE = 30


class Hangs(Exception):
    """A process did not end although it was asked to."""


class Programs:
    """The programs of a campaign: the victim, `tracing-audit`, and the fault injector if there is
    a C compiler for it."""

    def __init__(self):
        command = ["cargo", "build", "--quiet", "--workspace", "--all-features"]
        command += ["--bin", "tracing-audit", "--test", "faults_victim"]
        # What `cargo test --workspace --all-features` has built is not built again.
        command.append("--message-format=json-render-diagnostics")
        build = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        if build.returncode != 0:
            sys.exit("faults: cargo could not build the victim")
        executables = {}
        for line in build.stdout.splitlines():
            message = json.loads(line)
            if message.get("executable"):
                executables[message["target"]["name"]] = message["executable"]
        self.victim = executables["faults_victim"]
        self.verify = executables["tracing-audit"]
        self.inject = self.compile_injector()

    def compile_injector(self):
        source = ROOT / "tests/faults/inject.c"
        target = Path(self.victim).parent.parent / "faults-inject"
        if target.exists() and target.stat().st_mtime > source.stat().st_mtime:
            return target
        unfinished = target.with_suffix(f".{os.getpid()}")
        try:
            command = ["cc", "-O2", "-Wall", "-o", unfinished, source]
            if subprocess.run(command, capture_output=True).returncode != 0:
                return None
        except FileNotFoundError:
            return None
        unfinished.rename(target)
        return target

    def can_inject(self):
        """Whether the injector may trace a program here."""
        if self.inject is None:
            return False
        command = [self.inject, "--below", "/nowhere", "--log", "/dev/null", "--", "true"]
        return subprocess.run(command, capture_output=True).returncode == 0


class Victim:
    """A running victim, and what it has said."""

    def __init__(self, program, log, settings, notes, before=(), env=None):
        arguments = [text for name, value in settings.items() for text in (name, str(value))]
        self.command = [*before, program, "--dir", log, *arguments]
        self.returned, self.durable, self.unrecorded, self.said = set(), set(), set(), []
        self.errors = open(notes, "ab")
        self.errors.write(f"== {' '.join(map(str, self.command))}\n".encode())
        self.errors.flush()
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            start_new_session=True,
            env={**os.environ, "RUST_BACKTRACE": "0", **(env or {})},
        )
        # Set when nobody has the pipe any more. (To ask the thread is unreliable: if a signal
        # interrupts `Thread.join`, Python 3.11 takes the thread for dead.)
        self.silent = threading.Event()
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        self.hear()
        self.silent.set()

    def hear(self):
        for line in self.process.stdout:
            if not line.endswith(b"\n"):
                return
            word, _, rest = line.decode(errors="replace").strip().partition(" ")
            if word == "returned":
                self.returned.add(rest)
            elif word == "durable":
                self.durable.add(rest)
            elif word == "unrecorded":
                self.unrecorded.add(rest)
            else:
                self.said.append(f"{word} {rest}".strip())

    def closed(self):
        return "closed" in self.said

    def stream(self):
        """The stream that it writes, once its log is open."""
        opened = [line for line in self.said if line.startswith("opened ")]
        return opened[0].split()[1] if opened else None

    def wait_until_open(self):
        """Until its log is open, or it has ended."""
        end = time.monotonic() + PATIENCE
        while not self.stream() and self.process.poll() is None:
            if time.monotonic() > end:
                raise Hangs(f"it did not open its log within {PATIENCE} s")
            time.sleep(0.002)

    def signal(self, number):
        if self.process.poll() is None:
            os.killpg(self.process.pid, number)

    def kill_alone(self):
        """Kills the process and leaves its children; more may come from their lips."""
        self.process.kill()
        self.process.wait()

    def kill(self):
        """Kills the process and what it started."""
        self.kill_group()
        self.end()

    def kill_group(self):
        """Unless all of it has ended: then another may have its number."""
        if not self.silent.is_set() or self.process.poll() is None:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def ask_to_stop(self):
        """From now on it records no more, and closes its log."""
        try:
            self.process.stdin.close()
        except OSError:
            pass

    def stop(self, patience=PATIENCE):
        """Lets it close its log."""
        self.ask_to_stop()
        try:
            self.process.wait(patience)
        except subprocess.TimeoutExpired:
            stacks = self.stacks()
            self.kill()
            raise Hangs(f"it did not end within {patience} s: {stacks}") from None
        self.end()

    def stacks(self):
        """What the threads of its session wait for, as far as the kernel says so, and how much
        CPU time each has had: one that spins has had much, one that starves has had little."""
        waits = []
        for task in Path("/proc").glob("[0-9]*/task/*"):
            try:
                name, place = (task / "comm").read_text(), (task / "wchan").read_text()
                stat = (task / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(stat[3]) == self.process.pid:
                seconds = (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")
                waits.append(f"{name.strip()} ({stat[0]}, {seconds:.2f} s) in {place}")
        return ", ".join(waits)

    def end(self):
        self.process.wait()
        self.ask_to_stop()
        # The pipe ends with the last child.
        self.silent.wait(PATIENCE / 3)
        self.errors.close()
        if not self.silent.is_set():
            stacks = self.stacks()
            self.kill_group()
            self.silent.wait()
            raise Hangs(f"a child did not end: {stacks}")


def panics(notes):
    """The panics that victims reported on standard error."""
    if not notes.exists():
        return []
    text = notes.read_text(errors="replace")
    return re.findall(r"thread '[^']*' .*panicked at [^\n]*\n[^\n]*", text)
