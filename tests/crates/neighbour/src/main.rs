//! Prints what `serde_json` does in a program that is linked with `tracing-audit`, then the lines of
//! a log in the directory that is given.

use std::{error::Error, fs};

use serde::Serialize;
use serde_json::{Value, json};
use tracing_audit::{AuditLog, audit};
use tracing_subscriber::prelude::*;

/// Its fields are in no alphabetical order.
#[derive(Serialize)]
struct Invoice {
    total: f64,
    id: u32,
    lines: Vec<Line>,
}

#[derive(Serialize)]
struct Line {
    text: String,
    amount: i64,
}

fn main() -> Result<(), Box<dyn Error>> {
    println!("{}", json!({"b": 1, "a": 2}));
    println!("{}", serde_json::from_str::<Value>("1.0e400").is_ok());
    let raw = r#"{"$serde_json::private::RawValue":"[1]"}"#;
    println!("{}", serde_json::from_str::<Value>(raw)?);

    let dir = std::env::args_os().nth(1).ok_or("no directory is given")?;
    let log = AuditLog::builder(&dir)
        .source("neighbour")
        .max_record_bytes(2048)
        .open()?;
    let subscriber = tracing_subscriber::registry().with(log.layer());
    tracing::subscriber::with_default(subscriber, || {
        let mut invoice = Invoice {
            total: 1.5,
            id: 7,
            lines: vec![Line { text: "Paper".to_owned(), amount: 2 }],
        };
        audit!("invoice.sent", resource.type = "invoice", resource.attributes = &invoice, z = 1, a = 2);
        invoice.lines.push(Line { text: "x".repeat(5000), amount: 3 });
        audit!("invoice.long", resource.attributes = &invoice, z = 1, a = 2);
        tracing::info!(target: "audit", event_type = "invoice.plain", z.y = 1, z.b = 2.5, a = 3);
    });
    log.close()?;
    let mut files: Vec<_> = fs::read_dir(std::path::Path::new(&dir).join("live"))?
        .map(|file| file.map(|file| file.path()))
        .collect::<Result<_, _>>()?;
    files.sort();
    for file in files {
        print!("{}", fs::read_to_string(file)?);
    }
    Ok(())
}
