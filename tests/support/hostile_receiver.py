"""A receiver that verifies each request, and treats the sender badly.

Called with a JSON object: `port`, `log` (a file), `seed`, `secrets` (for each path those that a request must be signed with), `gone_from` (the
first number that /gone wants no more of), `calm` (then it only refuses what is too big, or is gone). A request is written to the log, one JSON object
a line, before it is answered. Prints a line when it listens, and ends when its standard input does.
"""

import http.server
import json
import os
import random
import sys
import threading
import time

from standardwebhooks import Webhook

settings = json.loads(sys.argv[1])
chance = random.Random(settings["seed"])
log = os.open(settings["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
lock = threading.Lock()

# How often each of these is done, in a hundred; the rest is a plain success.
BAD = {500: 5, 400: 2, 401: 2, 404: 1, 301: 2, 408: 1, "close": 4, "garbage": 2, "half": 2, "hang": 1}
GOOD = {201: 5, 204: 5, "long": 2, "drip": 1, "lost": 4}


def seen_before():
    """The ids that /overloaded has seen, in this life or one before."""
    with open(settings["log"], encoding="utf-8") as lines:
        for line in lines:
            try:
                one = json.loads(line)
            except ValueError:
                continue  # Death cut it off, or it is the empty one before each.
            if one["path"] == "/overloaded" and "id" in one:
                yield one["id"]


overloaded = set(seen_before())


def write(record):
    # In one call, so that death leaves all of it or what no line follows on.
    os.write(log, ("\n" + json.dumps(record) + "\n").encode())


def choose(path, request_id, events):
    """The answer, and whether the events are taken."""
    if any(event["big"] for event in events):
        return 413, False
    if path == "/gone":
        return (200, True) if all(event["n"] < settings["gone_from"] for event in events) else (410, False)
    if path == "/overloaded" and request_id not in overloaded:
        is_first = not overloaded
        overloaded.add(request_id)
        # However few come, one of them is to be asked for patience.
        return 429 if is_first else chance.choice([429, 429, 503, "drip_on", "hang_on"]), False
    if settings["calm"]:
        return 200, True
    at = chance.random() * 100
    for share, taken in ((BAD, False), (GOOD, True)):
        for answer, percent in share.items():
            at -= percent
            if at < 0:
                return answer, taken
    return 200, True


class Receiver(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        with lock:
            try:
                for secret in settings["secrets"][self.path]:
                    Webhook(secret).verify(body, dict(self.headers), json_parse=False)
                late = time.time() - int(self.headers["webhook-timestamp"])
                assert -2 < late < 15, f"signed {late} s ago: not for this attempt"
                found = json.loads(body)
                events = [self.event(one) for one in (found if isinstance(found, list) else [found])]
            except Exception as e:
                write({"path": self.path, "invalid": f"{type(e).__name__}: {e}", "headers": dict(self.headers)})
                return self.answer(500)
            answer, taken = choose(self.path, self.headers["webhook-id"], events)
            write({"path": self.path, "id": self.headers["webhook-id"], "answer": str(answer), "taken": taken, "at": time.time(),
                   "events": events})
        if isinstance(answer, int):
            return self.answer(answer)
        self.close_connection = True
        getattr(self, answer)()

    @staticmethod
    def event(one):
        data = one["data"]
        assert (one["type"], one["timestamp"]) == (data["event_type"], data["timestamp"])
        details = data["details"]
        return {"n": details["n"], "big": "big" in details, "type": one["type"], "id": data["id"], "stream": data["stream"], "seq": data["seq"]}

    def answer(self, status):
        self.send_response(status)
        if status == 301:
            self.send_header("location", f"http://127.0.0.1:{settings['port']}/elsewhere")
        if status == 429:
            self.send_header("retry-after", "2")
        if status != 204:
            self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"" if status == 204 else b"ok")

    def close(self):
        pass

    def garbage(self):
        self.wfile.write(bytes(chance.randrange(256) for _ in range(200)))

    def half(self):
        self.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-le")

    def hang(self):
        time.sleep(chance.uniform(0.1, 1.0))

    def long(self):
        """More than anyone wants to read."""
        self.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n" + b"x" * 1_000_000)

    def lost(self):
        """Taken, but the sender doesn't get to know."""

    def drip(self):
        self.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r")
        for byte in (b"\n", b"o", b"k"):
            time.sleep(1 if byte == b"o" else 0.1)
            self.wfile.write(byte)

    def drip_on(self):
        for byte in b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok":
            self.wfile.write(bytes([byte]))
            time.sleep(1)

    def hang_on(self):
        time.sleep(100)

    def log_message(self, *args):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_port = True  # The test keeps the port bound, so that nobody takes it while this is dead.
    request_queue_size = 64

    def handle_error(self, *args):
        """The sender died, or hung up."""


def end_with_the_test():
    sys.stdin.read()
    os._exit(0)


threading.Thread(target=end_with_the_test, daemon=True).start()
with Server(("127.0.0.1", settings["port"]), Receiver) as server:
    print("listening", flush=True)
    server.serve_forever()
