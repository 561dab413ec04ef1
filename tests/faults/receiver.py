"""A receiver of webhooks on loopback, which remembers what it took, and refuses some of it."""

import json
import random
import threading
import time
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Receiver:
    def __init__(self, seed):
        # The delivery ids under which each event came.
        self.came = defaultdict(set)
        self.refused = 0
        self.refuses = 0.1
        self.lock = threading.Lock()
        self.rng = random.Random(seed)
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                events = body if isinstance(body, list) else [body]
                status = receiver.take(self.headers["webhook-id"], events)
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 100

            def handle_error(self, *_):
                """A sender that was killed leaves a broken connection."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, delivery, events):
        with self.lock:
            if self.rng.random() < self.refuses:
                self.refused += 1
                return 503
            for event in events:
                self.came[event["data"]["id"]].add(delivery)
        return 204

    def wait_for(self, ids, patience):
        """Waits until all of them have come; gives those that haven't."""
        end = time.monotonic() + patience
        while True:
            with self.lock:
                missing = ids - set(self.came)
            if not missing or time.monotonic() > end:
                return missing
            time.sleep(0.05)

    def close(self):
        self.server.shutdown()
        self.server.server_close()
