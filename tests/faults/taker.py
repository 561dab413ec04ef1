"""A receiver of webhooks in a process of its own, which may be killed: `taker.py PORT FILE SEED`.

It checks each request's signature as Standard Webhooks specifies, and says what it took in a line of
the file `FILE` before it answers. What it refuses it does not take. Whether a request is too large
(413) depends on its id alone, so that one which was taken is never cut in halves later.
"""

import base64
import hashlib
import hmac
import json
import random
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

LOCK = threading.Lock()


def signers(secrets, headers, body):
    """The places in the list of the secrets that signed the request."""
    signed = b".".join(
        [headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), body]
    )
    given = headers.get("webhook-signature", "").split(" ")
    found = []
    for place, secret in enumerate(secrets):
        key = base64.b64decode(secret.removeprefix("whsec_"))
        mac = base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
        if f"v1,{mac}" in given:
            found.append(place)
    return found


def ends_whole(file):
    text = Path(file).read_bytes()
    return not text or text.endswith(b"\n")


def serve(port, file, seed):
    rng = random.Random(seed)
    taken = open(file, "ab", buffering=0)
    if not ends_whole(file):
        # The receiver before this one died in the middle of a line, which must not spoil the next.
        taken.write(b"\n")
    settings = Path(file).with_name("taker.json")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            with LOCK:
                status = self.take(body)
            if status is None:
                self.close_connection = True
                return
            self.send_response(status)
            if status == 429:
                self.send_header("retry-after", "1")
            self.send_header("content-length", "0")
            self.end_headers()

        def take(self, body):
            """The status to answer with; `None` is no answer."""
            now = json.loads(settings.read_text())
            events = json.loads(body)
            events = events if isinstance(events, list) else [events]
            chance = rng.random()
            id = self.headers["webhook-id"]
            if len(events) > 1 and hashlib.sha256(id.encode()).digest()[0] < now["too_large"]:
                return 413
            if chance < now["refused"]:
                return rng.choice([500, 503, 503, 429])
            answered = chance >= now["refused"] + now["unanswered"]
            name = self.path.strip("/")
            line = {
                "webhook": name,
                "id": id,
                "sha": hashlib.sha256(body).hexdigest(),
                "events": [[one["data"][key] for key in ("id", "stream", "seq")] for one in events],
                "signers": signers(now["secrets"][name], self.headers, body),
                "answered": answered,
                "at": time.monotonic(),
            }
            taken.write(json.dumps(line).encode() + b"\n")
            return 204 if answered else None

        def log_message(self, *_):
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 100

        def handle_error(self, *_):
            """A sender that was killed leaves a broken connection."""

    Server(("127.0.0.1", port), Handler).serve_forever()


serve(int(sys.argv[1]), sys.argv[2], sys.argv[3])
