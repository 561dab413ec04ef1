//! Downloads that other programs read: JSON and CSV, as the documents of other systems ask for
//! them.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use axum::http::header;
use serde_json::{Value, json};
use tracing_audit::{Actor, Timestamp, audit, http::RouterOptions};
use tracing_subscriber::prelude::*;

use crate::http::{Served, served};

/// Texts that would break a table, or a spreadsheet.
pub(crate) const HOSTILE: [&str; 8] = [
    "=cmd|' /C calc'!A0",
    "+1",
    "@SUM(A1:A9)",
    "-2+3",
    "\t=1",
    "a \"quoted\", text;\r\nin two lines",
    "plain ü €",
    "'=already",
];

pub(crate) fn write_hostile(served: &Served) {
    let subscriber = tracing_subscriber::registry().with(served.log.layer());
    tracing::subscriber::with_default(subscriber, || {
        for (number, text) in HOSTILE.iter().enumerate() {
            let receipt = audit!(
                "report.made",
                actor = Actor::user(*text).name("ann"),
                change = -5,
                text = *text,
                order = json!({ "id": number, "lines": [1, 2] }),
                tags = ["a", "b"],
                "{}",
                text
            );
            receipt.wait().unwrap();
        }
    });
}

/// What Python's csv module makes of it.
pub(crate) fn rows(csv: &[u8]) -> Vec<Value> {
    let script = "import csv, io, json, sys\n\
        text = io.TextIOWrapper(sys.stdin.buffer, encoding='utf-8', newline='')\n\
        json.dump(list(csv.DictReader(text, strict=True)), sys.stdout)";
    let mut python = Command::new("python3")
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    python.stdin.take().unwrap().write_all(csv).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A text as it stands in a cell.
fn shown(text: &str) -> String {
    match text.starts_with(['=', '+', '-', '@', '\t']) {
        true => format!("'{text}"),
        false => text.to_owned(),
    }
}

#[tokio::test]
async fn certify_clouds_gets_json_as_its_document_says() {
    let served = served(300, RouterOptions::new());
    let path = "/audit/export?format=json&start_date=2025-01-01&end_date=2025-01-31";
    let none = served.get(path).await;
    assert_eq!((none.status.as_u16(), none.json()), (200, json!([])));

    let today = Timestamp::now().to_string()[..10].to_owned();
    let path = format!("/audit/export?format=json&start_date={today}&end_date={today}");
    let all = served.get(&path).await;
    assert_eq!(all.header(header::CONTENT_TYPE), "application/json");
    let name = format!("attachment; filename=\"audit-{today}-{today}.json\"");
    assert_eq!(all.header(header::CONTENT_DISPOSITION), name);
    let all = all.json();
    let sent = |entry: &&Value| entry["event_type"] == "invoice.sent";
    let sent: Vec<_> = all.as_array().unwrap().iter().filter(sent).collect();
    assert_eq!(sent.len(), 300);
    assert!(sent.is_sorted_by_key(|entry| entry["id"].as_str().unwrap()));
    let path = format!("{path}&order=desc&category=invoice");
    let newest = served.get(&path).await.json();
    assert_eq!(newest.as_array().unwrap().first(), sent.last().copied());
}

#[tokio::test]
async fn a_table_reads_back_in_python() {
    let served = served(0, RouterOptions::new());
    write_hostile(&served);
    let path = "/audit/export?format=csv&event_type=report.made";
    let csv = served.get(path).await;
    let media_type = "text/csv; charset=utf-8; header=present";
    assert_eq!(csv.header(header::CONTENT_TYPE), media_type);
    assert!(csv.body.starts_with(b"stream,seq,id,timestamp,"));
    assert!(csv.body.ends_with(b"\r\n"));
    let columns = format!("{path}&details=columns&bom=true");
    let columns = served.get(&columns).await;
    let without_bom = columns.body.strip_prefix(b"\xef\xbb\xbf").unwrap();
    let entries = served.get("/audit/export?format=json&event_type=report.made");
    let entries = entries.await.json();
    let entries = entries.as_array().unwrap();
    for (rows, flat) in [(rows(&csv.body), false), (rows(without_bom), true)] {
        assert_eq!(rows.len(), HOSTILE.len());
        for ((row, entry), text) in rows.iter().zip(entries).zip(HOSTILE) {
            for (column, field) in [
                ("stream", &entry["stream"]),
                ("id", &entry["id"]),
                ("timestamp", &entry["timestamp"]),
                ("actor.type", &entry["actor"]["type"]),
                ("actor.name", &entry["actor"]["name"]),
                ("context.captured", &json!("")),
            ] {
                assert_eq!(&row[column], field, "{column}");
            }
            assert_eq!(row["seq"], entry["seq"].to_string());
            assert_eq!(row["tags"], r#"["a","b"]"#);
            assert_eq!(row["resource.id"], "");
            for column in ["description", "actor.id"] {
                assert_eq!(row[column], shown(text), "{column}");
            }
            if flat {
                assert_eq!(row["details.text"], shown(text));
                assert_eq!(row["details.change"], "-5");
                assert_eq!(
                    row["details.order.id"],
                    entry["details"]["order"]["id"].to_string()
                );
                assert_eq!(row["details.order.lines"], "[1,2]");
                assert_eq!(row["details"], "");
            } else {
                let details: Value =
                    serde_json::from_str(row["details"].as_str().unwrap()).unwrap();
                assert_eq!(details, entry["details"]);
                assert!(row.get("details.text").is_none());
            }
        }
    }
}

#[tokio::test]
async fn columns_are_bounded_and_nothing_is_lost() {
    let served = served(0, RouterOptions::new());
    let subscriber = tracing_subscriber::registry().with(served.log.layer());
    tracing::subscriber::with_default(subscriber, || {
        for n in 0..400 {
            let receipt = audit!("report.made", own = json!({ format!("name-{n:03}"): n }));
            receipt.ignore();
        }
    });
    served.log.flush().unwrap();
    let path = "/audit/export?format=csv&event_type=report.made&details=columns";
    let rows = rows(&served.get(path).await.body);
    assert_eq!(rows.len(), 400);
    let names = rows[0].as_object().unwrap().keys();
    assert_eq!(
        names.filter(|name| name.starts_with("details.")).count(),
        250
    );
    for (n, row) in rows.iter().enumerate() {
        let column = row.get(format!("details.own.name-{n:03}"));
        let rest = json!({ "own": { format!("name-{n:03}"): n } }).to_string();
        match column {
            Some(value) => assert_eq!(
                (value, &row["details"]),
                (&json!(n.to_string()), &json!(""))
            ),
            None => assert_eq!(row["details"], rest),
        }
    }
}

#[tokio::test]
async fn wrong_parameters_of_a_download_are_named() {
    let served = served(0, RouterOptions::new());
    for (parameters, name) in [
        ("format=csv&details=x", "details"),
        ("format=csv&bom=1", "bom"),
        ("format=json&bom=true", "bom"),
        ("details=columns", "details"),
        ("format=xlsx", "format"),
        ("format=zip&order=desc", "order"),
    ] {
        let path = format!("/audit/export?{parameters}");
        let problem = served.get(&path).await.problem(400);
        assert_eq!(problem["parameter"], name, "{problem}");
    }
    let unknown = served.get("/audit/export?format=xlsx").await.problem(400);
    let detail = unknown["detail"].as_str().unwrap();
    assert!(
        detail.contains("zip, gz, ndjson, json, csv, pdf"),
        "{detail}"
    );
}

#[tokio::test]
async fn unqork_gets_a_zip_of_a_date_and_time_range() {
    let served = served(300, RouterOptions::new());
    let all = "/audit/export?format=json&category=invoice";
    let all = served.get(all).await.json();
    let time = |n: usize| all[n]["timestamp"].as_str().unwrap();
    let path = format!(
        "/audit/export?format=zip&start_date={}&end_date={}",
        time(100),
        time(200)
    );
    let answer = served.get(&path).await;
    assert_eq!(answer.header(header::CONTENT_TYPE), "application/zip");
    let name = answer.header(header::CONTENT_DISPOSITION);
    let (from, to) = (&time(100)[..10], &time(200)[..10]);
    assert_eq!(
        name,
        format!("attachment; filename=\"audit-{from}-{to}.zip\"")
    );
    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(answer.body)).unwrap();
    let mut found = Vec::new();
    for n in 0..zip.len() {
        let file = zip.by_index(n).unwrap();
        if file.name().unwrap() != "manifest.json" {
            let text = std::io::read_to_string(file).unwrap();
            found.extend(text.lines().map(|line| serde_json::from_str(line).unwrap()));
        }
    }
    let is_inside = |entry: &&Value| {
        let at = entry["timestamp"].as_str().unwrap();
        (time(100)..time(200)).contains(&at)
    };
    let expected: Vec<Value> = all
        .as_array()
        .unwrap()
        .iter()
        .filter(is_inside)
        .cloned()
        .collect();
    found.sort_by_key(|entry: &Value| entry["id"].to_string());
    assert!(
        found.len() > 90 && found == expected,
        "{} entries",
        found.len()
    );
}
