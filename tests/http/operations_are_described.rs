//! `docs/operations.md` has each metric and each of the log's own entries, and names no others.

use std::{collections::BTreeSet, fs, path::Path};

use tracing_audit::{health::Problem, http::RouterOptions};

use crate::http::{Served, served};
use crate::support::files;

fn page() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md")).unwrap()
}

/// The names in a text that begin like this, of lower-case letters, digits, `_` and `.`.
fn names<'a>(text: &'a str, start: &'a str) -> impl Iterator<Item = String> + 'a {
    text.match_indices(start).map(move |(at, _)| {
        let of_name = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_.".contains(*c);
        let name: String = text[at..].chars().take_while(of_name).collect();
        name.trim_end_matches('.').to_owned()
    })
}

async fn served_with_a_webhook() -> Served {
    let served = served(1, RouterOptions::new());
    let webhook = serde_json::json!({
        "name": "siem", "url": "https://siem.example.com/hooks", "event_types": ["auth.*"],
    });
    assert_eq!(served.post("/audit/webhooks", webhook).await.status, 201);
    served
}

#[tokio::test]
async fn its_metrics_are_those_that_are_served() {
    let served = served_with_a_webhook().await;
    let text = served.get("/audit/metrics").await.body;
    let text = String::from_utf8(text).unwrap();
    let heads = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let mut known: BTreeSet<_> = heads.map(|head| head.split(' ').next().unwrap()).collect();
    // Only while a process delivers.
    known.insert("tracing_audit_webhook_dispatcher_start_time_seconds");
    let page = page();
    let named: BTreeSet<_> = names(&page, "tracing_audit_").collect();
    let named: BTreeSet<_> = named.iter().map(String::as_str).collect();
    assert_eq!(named, known);
}

/// The event types of the log's own entries, as they stand in the library's source.
fn own_event_types() -> BTreeSet<String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = BTreeSet::new();
    for file in files(&source) {
        let shown = file.strip_prefix(&source).unwrap().display().to_string();
        if shown.contains("test") || !shown.ends_with(".rs") {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        for kind in KINDS {
            let quoted = format!("\"{kind}");
            let literals = names_in_quotes(&text, &quoted);
            found.extend(literals.into_iter().filter(|name| name != kind));
        }
    }
    found
}

const KINDS: [&str; 9] = [
    "audit.access.",
    "audit.delivery.",
    "audit.hash_key.",
    "audit.hold.",
    "audit.log.",
    "audit.setting.",
    "audit.token.",
    "audit.view.",
    "audit.webhook.",
];

/// The whole texts in quotes that begin like this.
fn names_in_quotes(text: &str, quoted: &str) -> Vec<String> {
    let at = text.match_indices(quoted).map(|(at, _)| at + 1);
    let texts = at.map(|at| text[at..].split('"').next().unwrap());
    let is_type = |text: &&str| {
        text.chars()
            .all(|c| c.is_ascii_lowercase() || "._".contains(c))
    };
    texts.filter(is_type).map(str::to_owned).collect()
}

#[test]
fn its_entries_are_those_that_the_log_records() {
    let known = own_event_types();
    assert!(known.contains("audit.log.opened"), "{known:?}");
    let page = page();
    let named = KINDS.into_iter().flat_map(|kind| names(&page, kind));
    let named: BTreeSet<_> = named.filter(|name| name.matches('.').count() > 1).collect();
    assert_eq!(named, known);
}

/// Every problem that is reported, with `#` in the place of its reason.
fn problems() -> [Problem; 17] {
    let reason = || "#".to_owned();
    let low = |very| Problem::SpaceLow {
        free: 1,
        watermark: 2,
        very,
    };
    let held_back = Problem::PruneHeldBack {
        reason: reason(),
        lasting: true,
    };
    [
        Problem::WriteFailed(reason()),
        Problem::DiskFull(reason()),
        low(false),
        low(true),
        Problem::LiveFileLost(reason()),
        Problem::SealedFileLost(reason()),
        Problem::SealFailed(reason()),
        Problem::RecoveryFailed(reason()),
        Problem::PruneFailed(reason()),
        Problem::Dropped(1),
        Problem::JournalLost(reason()),
        Problem::LockLost(reason()),
        Problem::DirectoryMoved(reason()),
        Problem::ThreadDied(reason()),
        held_back,
        Problem::PruneLocked(reason()),
        Problem::StreamFailed(reason()),
    ]
}

#[test]
fn each_problem_has_a_row_that_begins_with_its_text() {
    let page = page();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let begins = rows.filter_map(|row| row.split('`').next());
    let begins: Vec<_> = begins.filter(|begin| begin.contains(' ')).collect();
    for problem in problems() {
        let text = problem.to_string().replace(['1', '2'], "…");
        let is_described = begins.iter().any(|begin| text.starts_with(begin));
        assert!(is_described, "docs/operations.md has no row of: {text}");
    }
}
