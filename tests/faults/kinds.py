"""The kinds of faults. Each is a function that does its harm to a round and checks the log."""

import clocks
from deliveries import deliveries
from disks import Impossible
from processes import clock, fork, frozen, kill, webhooks
from storage import full, nth, power

KINDS = {
    kind.__name__: kind
    for kind in (kill, nth, full, power, frozen, fork, clock, webhooks, deliveries)
}
# Those that take about a second a round and need little of the machine, for `scripts/test`.
CHEAP = ["kill", "nth", "full", "frozen", "fork", "clock"]


def impossible(name, programs):
    """Why a kind can't be had here, or `None`."""
    if name == "nth" and not programs.can_inject():
        return "the injector needs a C compiler, x86-64, ptrace and seccomp"
    if name == "clock":
        try:
            clocks.faketime()
        except Impossible as error:
            return str(error)
    return None
