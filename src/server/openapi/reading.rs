//! The operations that read the log, and the probes.

use serde_json::{Value, json};
use utoipa::openapi::{
    Content, ResponseBuilder, Type,
    path::Parameter,
    schema::{ArrayBuilder, ObjectBuilder},
};

use super::{
    described::{Described, Get, content, header, json, maybe_header, response, text},
    entry::Entry,
    examples,
    parameters::{self, choice, in_header},
};
use crate::export::ExportFormat;

pub(super) fn operations() -> Vec<Described> {
    vec![
        page(),
        one(),
        stats(),
        stream(),
        export(),
        event_types(),
        event_type(),
        metrics(),
        healthz(),
        readyz(),
        openapi(),
    ]
}

fn page() -> Described {
    let order = "`desc`: the newest first. `asc`: the oldest first. `arrival`: as they arrived, so \
                 that a poller gets what comes late, too.";
    let cursor = "The `next_cursor` of an earlier page, of the same order and filter; for the token \
                  of a tenant, of a page that such a token was given. `now`, with `order=arrival`, \
                  begins with what comes. Not beside `offset`.";
    let links = maybe_header(
        "The next and the first page: `next`, `first` (RFC 8288).",
        text(),
    );
    let page = response("A page")
        .content("application/json", json("Page", examples::page()))
        .header("Link", links);
    Described::new(Get, "/entries", "entries", "A page of entries")
        .for_scope("read")
        .parameters(parameters::filter())
        .parameter(parameters::limit(100, 1000))
        .parameter(choice(
            "order",
            order,
            &["desc", "asc", "arrival"],
            Some("desc"),
        ))
        .parameter(parameters::cursor(cursor))
        .parameter(parameters::offset(10_000))
        .parameter(parameters::include())
        .responds("200", page)
}

fn one() -> Described {
    Described::new(Get, "/entries/{id}", "entry", "One entry")
        .for_scope("read")
        .answers(
            "200",
            "The entry, as it was stored",
            "Entry",
            examples::entry(),
        )
        .refuses(&["404"])
}

fn stats() -> Described {
    let steps = [
        "second",
        "5-seconds",
        "10-seconds",
        "30-seconds",
        "minute",
        "10-minutes",
        "hour",
        "6-hours",
        "day",
        "month",
        "year",
    ];
    let step = "The length of the steps, of which there may be at most 1000. Without it, the \
                shortest of which the range has at most 400, but a `minute` at least. For steps of \
                seconds, all entries of the range are read.";
    Described::new(Get, "/stats", "stats", "Counts of entries")
        .description("How many entries there are, over time and by their values.")
        .for_scope("read")
        .parameters(parameters::filter())
        .parameter(choice("step", step, &steps, None))
        .parameter(parameters::top(10, 100))
        .parameter(parameters::fields())
        .parameter(parameters::include())
        .answers("200", "The counts", "Stats", examples::stats())
}

fn stream() -> Described {
    let cursor = "The id of an event of an earlier stream. Without it, and without \
                  `Last-Event-ID`, the stream begins with what comes.";
    let last = in_header(
        "Last-Event-ID",
        "The same; it goes before `cursor`.",
        "a1~0",
    );
    let unbuffered = header("`no`: a proxy must not keep the answer back.", text());
    let events = response("The events, until the client or the server ends them")
        .content("text/event-stream", content(text()))
        .header("X-Accel-Buffering", unbuffered);
    Described::new(Get, "/stream", "stream", "Entries as they come")
        .description(
            "Server-sent events. The data of `entries` is a page as `GET /entries` has it; that \
             of `progress` is a page without entries, which says up to when the log is complete; \
             that of `end` says `why` the server ends the stream. Connect again with the id of the \
             last event, and nothing is missed or comes twice.",
        )
        .for_scope("read")
        .parameters(parameters::filter())
        .parameter(parameters::cursor(cursor))
        .parameter(parameters::include())
        .parameter(last)
        .responds("200", events)
}

fn export() -> Described {
    let known = response("The client has the file already, as `If-None-Match` says")
        .header("ETag", maybe_header("The tag of the file.", text()))
        .header("Accept-Ranges", maybe_header("`bytes`.", text()));
    let range = header("Which bytes of how many the part has.", text());
    Described::new(Get, "/export", "export", "A range of time as one file")
        .description(
            "A download is whole, or it is refused or breaks off. A ZIP or gzip file of a range \
             of time alone has a length, an entity tag and byte ranges, so that it can be \
             resumed; everything else is made while it is sent. `HEAD` gives the headers alone.",
        )
        .for_scope("export")
        .parameters(download_parameters())
        .responds("200", download("The file"))
        .responds(
            "206",
            download("The part of the file that `Range` names").header("Content-Range", range),
        )
        .responds("304", known)
        .refuses(&["412", "416", "505"])
}

fn download_parameters() -> impl Iterator<Item = Parameter> {
    let formats: Vec<_> = ExportFormat::names().collect();
    let own = [
        choice("format", "The form of the file.", &formats, Some("zip")),
        choice(
            "order",
            "The order of entries; not for `zip` and `gz`.",
            &["asc", "desc", "arrival"],
            None,
        ),
        choice(
            "details",
            "The details in one column of JSON, or in a column each; only for `csv`.",
            &["json", "columns"],
            None,
        ),
        choice(
            "bom",
            "Whether the file begins with a byte order mark, as Excel wants it; only for `csv`.",
            &["true", "false"],
            None,
        ),
        in_header(
            "Range",
            "One range of bytes, for a file with a length.",
            "bytes=4096-",
        ),
        in_header("If-Range", "The tag of the file that the range is of.", TAG),
        in_header("If-Match", "The tags of the files that are wanted.", TAG),
        in_header(
            "If-None-Match",
            "The tags of the files that the client has.",
            TAG,
        ),
    ];
    own.into_iter().chain(parameters::filter())
}

const TAG: &str = "\"7f3a9c04d1e2\"";

fn download(description: &str) -> ResponseBuilder {
    let name = header("`attachment`, with a name for the file.", text());
    let list = ArrayBuilder::new().items(<Entry as utoipa::PartialSchema>::schema());
    let response = response(description)
        .header("Content-Disposition", name)
        .header(
            "ETag",
            maybe_header("The tag of a file that can be resumed.", text()),
        )
        .header(
            "Accept-Ranges",
            maybe_header("`bytes`, of a file that can be resumed.", text()),
        )
        .content("application/json", content(list))
        .content("application/x-ndjson", content(text()))
        .content("text/csv", content(text()));
    let bytes = ExportFormat::names().filter_map(|name| name.parse().ok());
    let bytes = bytes.filter(|format: &ExportFormat| !format.is_text());
    let bytes = bytes.map(ExportFormat::media_type);
    bytes.fold(response, |response, kind| {
        response.content(kind, Content::default())
    })
}

fn event_types() -> Described {
    Described::new(
        Get,
        "/event-types",
        "eventTypes",
        "The event types of all sources",
    )
    .for_scope("read")
    .answers(
        "200",
        "The catalogue",
        "EventTypes",
        examples::event_types(),
    )
}

fn event_type() -> Described {
    let object = ObjectBuilder::new().schema_type(Type::Object);
    let mut schema = content(object);
    schema.example = Some(examples::event_type());
    Described::new(
        Get,
        "/event-types/{event_type}",
        "eventType",
        "The JSON Schema of the entries of an event type",
    )
    .for_scope("read")
    .responds(
        "200",
        response("The JSON Schema").content("application/schema+json", schema),
    )
    .refuses(&["404"])
}

fn metrics() -> Described {
    let metrics = response("The text").content("text/plain", content(text()));
    Described::new(
        Get,
        "/metrics",
        "metrics",
        "Metrics, as Prometheus reads them",
    )
    .description("For tokens of all tenants. The server's operator can open it to anyone.")
    .for_scope("read")
    .responds("200", metrics)
}

fn healthz() -> Described {
    let status = json!({"status": "ok"});
    Described::new(Get, "/healthz", "healthz", "Whether the process answers").answers(
        "200",
        "The process answers",
        "Health",
        status,
    )
}

fn readyz() -> Described {
    let ready = json!({"status": "ready", "problems": []});
    let problem = "audit events can't be written: no storage space";
    let not_ready = json!({"status": "not ready", "problems": [problem]});
    Described::new(Get, "/readyz", "readyz", "Whether the log takes events")
        .answers("200", "The log takes events", "Readiness", ready)
        .answers("503", "Something is wrong", "Readiness", not_ready)
}

fn openapi() -> Described {
    let example: Value = json!({"openapi": "3.1.0"});
    Described::new(Get, "/openapi.json", "openapi", "This description")
        .answers("200", "The description", "OpenApi", example)
        .refuses(&["400", "421", "503"])
}
