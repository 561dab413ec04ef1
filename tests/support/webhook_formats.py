"""Verifies the requests in a directory with the public libraries of their formats.

Each case is <name>.json, with its format, headers, the secrets it was signed with and the lines it tells of, and <name>.body.
Prints how many of each format were verified, as JSON.
"""

import base64
import collections
import http.server
import json
import logging
import os
import pathlib
import re
import sys
import threading

from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from splunk_handler import SplunkHandler
from splunk_hec_handler import SplunkHecHandler
from standardwebhooks import Webhook, WebhookVerificationError


def refused(check, *args):
    try:
        check(*args)
    except (WebhookVerificationError, InvalidSignature):
        return True
    return False


def verify_ed25519(public, headers, body):
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public.removeprefix("whpk_")))
    text = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    signatures = [s.removeprefix("v1a,") for s in headers["webhook-signature"].split(" ") if s.startswith("v1a,")]
    assert len(signatures) == 1, signatures
    key.verify(base64.b64decode(signatures[0]), text)


def check_signatures(case, body):
    headers = case["headers"]
    for secret in case["secrets"]:
        Webhook(secret).verify(body, headers, json_parse=False)
        assert refused(Webhook(secret).verify, body + b" ", headers), "a changed body"
        assert refused(Webhook(secret).verify, body, headers | {"webhook-id": "msg_other"}), "another id"
    assert refused(Webhook("whsec_" + base64.b64encode(bytes(32)).decode()).verify, body, headers), "another secret"
    verify_ed25519(case["public"], headers, body)
    assert refused(verify_ed25519, case["public"], headers, body + b" "), "a changed body"


def check_native(case, body):
    payload = json.loads(body)
    payloads = payload if case["batched"] else [payload]
    for one, record in zip(payloads, case["records"], strict=True):
        assert one == {"type": record["event_type"], "timestamp": record["timestamp"], "data": record}


def check_cloud_event(event, record):
    assert event.get_specversion() == "1.0" and event.get_datacontenttype() == "application/json"
    assert event.get_id() == record["id"] and event.get_type() == record["event_type"]
    assert event.get_time().isoformat(timespec="microseconds").replace("+00:00", "Z") == record["timestamp"]
    assert event.get_source() == "urn:tracing-audit:" + record["source"]
    assert event.get_extension("sequence") == f"{record['seq']:020}" and event.get_extension("stream") == record["stream"]
    # No attribute has control characters.
    assert event.get_extension("authid") == re.sub(r"[\0-\x1f\x7f-\x9f]", "\ufffd", record["actor"]["id"])
    resource = record.get("resource")
    assert event.get_subject() == (f"{resource['type']}/{resource['id']}" if resource else None)
    assert event.get_data() == record


def check_cloud_events(case, body):
    (record,) = case["records"]
    check_cloud_event(from_http_event(HTTPMessage(headers=case["headers"], body=body)), record)


def check_cloud_events_batch(case, body):
    # The library reads no batches; each of its objects is an event in structured mode.
    assert case["headers"]["content-type"] == "application/cloudevents-batch+json"
    for one, record in zip(json.loads(body), case["records"], strict=True):
        headers = {"content-type": "application/cloudevents+json"}
        check_cloud_event(from_http_event(HTTPMessage(headers=headers, body=json.dumps(one).encode())), record)


class Collector(http.server.BaseHTTPRequestHandler):
    """Keeps what is sent to it."""

    requests = []

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        self.requests.append((self.path, self.headers["authorization"], body))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


# Whatever proxies the environment has.
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"
collector = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
threading.Thread(target=collector.serve_forever, daemon=True).start()


class AsItIs(logging.Formatter):
    def format(self, record):
        return record.msg


def sent_by_splunk_handler(events):
    """What `splunk-handler` sends for these events, in one request."""
    first = events[0]
    handler = SplunkHandler("127.0.0.1", collector.server_port, "token", first["index"], allow_overrides=True, hostname=first["host"],
                            protocol="http", source=first["source"], sourcetype=first["sourcetype"], verify=False, flush_interval=600)
    handler.setFormatter(AsItIs())
    for event in events:
        assert event["source"] == first["source"]
        handler.emit(logging.makeLogRecord({"msg": event["event"], "_time": event["time"]}))
    handler.close()
    return Collector.requests.pop()


def sent_by_splunk_hec_handler(event):
    """What `splunk-hec-handler` sends for this event."""
    handler = SplunkHecHandler("127.0.0.1", "token", port=collector.server_port, proto="http", hostname=event["host"], index=event["index"],
                               source=event["source"], sourcetype=event["sourcetype"], empty_body=True)
    handler.emit(logging.makeLogRecord({"msg": event["event"], "created": event["time"]}))
    handler.r.close()
    return Collector.requests.pop()


def hec_objects(text):
    """The objects of a request, which follow each other with nothing between them."""
    events = []
    while text:
        event, end = json.JSONDecoder().raw_decode(text)
        events.append(event)
        text = text[end:]
    return events


def check_splunk(case, body):
    events = hec_objects(body.decode())
    for event, record in zip(events, case["records"], strict=True):
        assert set(event) == {"time", "host", "source", "sourcetype", "index", "event"} and event["event"] == record
        assert f"{event['time']:.6f}"[-6:] == record["timestamp"][-7:-1]
    path, _, theirs = sent_by_splunk_handler(events)
    assert (path, hec_objects(theirs)) == ("/services/collector/event", events)
    for event in events:
        path, _, theirs = sent_by_splunk_hec_handler(event)
        (theirs,) = hec_objects(theirs)
        # Of fields to be indexed besides the event it sends none, and says so.
        assert (path, theirs.pop("fields"), theirs) == ("/services/collector/event", {}, event)


def plain(value):
    kind = value.WhichOneof("value")
    if kind == "kvlist_value":
        return {one.key: plain(one.value) for one in value.kvlist_value.values}
    if kind == "array_value":
        return [plain(one) for one in value.array_value.values]
    return None if kind is None else getattr(value, kind)


def check_otlp(case, body):
    request = json_format.Parse(body, ExportLogsServiceRequest(), ignore_unknown_fields=False)
    found = {}
    for resource_logs in request.resource_logs:
        resource = {one.key: plain(one.value) for one in resource_logs.resource.attributes}
        (scope_logs,) = resource_logs.scope_logs
        assert not scope_logs.scope.name
        for record in scope_logs.log_records:
            found[plain(record.body)["id"]] = (resource, record)
    assert len(found) == len(case["records"])
    for record in case["records"]:
        resource, log = found[record["id"]]
        assert resource == {"service.name": record["source"], "service.instance.id": record["stream"]}
        assert plain(log.body) == record and log.event_name == record["event_type"]
        assert log.time_unix_nano % 1_000_000_000 == int(record["timestamp"][-7:-1]) * 1000
        attributes = {one.key: plain(one.value) for one in log.attributes}
        assert attributes["audit.record.id"] == record["id"] and attributes["audit.sequence.number"] == record["seq"]
        assert attributes["audit.actor.id"] == record["actor"]["id"] and attributes["audit.outcome"] in ("success", "failure", "unknown")
        # As in the specification, not as Protocol Buffers would have bytes.
        raw = next(r for rl in json.loads(body)["resourceLogs"] for r in rl["scopeLogs"][0]["logRecords"]
                   if {"key": "audit.record.id", "value": {"stringValue": record["id"]}} in r["attributes"])
        context = record.get("context", {})
        assert (raw.get("traceId"), raw.get("spanId")) == (context.get("trace_id"), context.get("span_id"))


checks = {
    "native": check_native,
    "cloudevents": check_cloud_events,
    "cloudevents-binary": check_cloud_events,
    "cloudevents-batch": check_cloud_events_batch,
    "splunk-hec": check_splunk,
    "otlp": check_otlp,
}
verified = collections.Counter()
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.json")):
    case, body = json.loads(path.read_text()), path.with_suffix(".body").read_bytes()
    case["records"] = [json.loads(line) for line in case["lines"]]
    try:
        check_signatures(case, body)
        checks[case["format"]](case, body)
    except Exception as e:
        raise SystemExit(f"{path}: {type(e).__name__}: {e}\n{case['headers']}\n{body[:2000]}") from e
    verified[case["format"]] += 1
print(json.dumps(verified))
