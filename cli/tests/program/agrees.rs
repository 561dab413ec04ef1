//! Pages, the command line and every export find the same entries: those that a plain filter finds
//! in the files.

use std::{
    collections::BTreeSet,
    io::{Cursor, Read as _},
    path::Path,
    process::{Command, Output},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

use serde_json::Value;
use tracing_audit::{Actor, AuditLog, Resource, Severity, Timestamp, audit};
use tracing_subscriber::prelude::*;

use crate::{
    cli::{code, err, json_lines, out, run},
    followed_through_kills,
    serving::{Server, serve},
    support,
};

#[path = "../../../src/query/tests/filters/plain.rs"]
mod plain;

/// A parameter: its name, whether its value is excluded, and the value.
type Parameter = (String, bool, String);

const TENANTS: [Option<&str>; 3] = [Some("acme"), Some("globex"), None];
const TYPES: [&str; 5] = [
    "auth.login",
    "auth.login.failed",
    "auth.logout",
    "authz.denied",
    "file.read",
];
const ACTORS: [&str; 5] = ["ann", "Ann", "c, \"d\"\n=e", "system", "GRÜN"];
const ADDRESSES: [&str; 4] = ["192.0.2.1", "192.0.2.77", "::ffff:192.0.2.1", "2001:db8::1"];
const SEVERITIES: [Severity; 4] = [
    Severity::Info,
    Severity::Warning,
    Severity::Error,
    Severity::Critical,
];
const OUTCOMES: [Option<&str>; 3] = [Some("success"), Some("failure"), None];

fn one_of<T: Copy>(values: &[T]) -> T {
    values[fastrand::usize(..values.len())]
}

/// Records some events in a stream of their own, whose files rotate.
fn record(dir: &Path, events: usize) {
    let log = AuditLog::builder(dir)
        .source("app")
        .lifecycle(false)
        .rotate_bytes(8 << 10)
        .live_grace(Duration::ZERO)
        .open()
        .unwrap();
    let subscriber = tracing_subscriber::registry().with(log.layer());
    tracing::subscriber::with_default(subscriber, || {
        for number in 0..events {
            let actor = one_of(&ACTORS);
            let resource = Resource::new("file", number % 7).name(one_of(&ACTORS));
            audit!(
                dyn one_of(&TYPES),
                severity = one_of(&SEVERITIES),
                actor = Actor::new(one_of(&["user", "system"]), actor),
                resource = resource,
                tenant_id = one_of(&TENANTS),
                outcome.type = one_of(&OUTCOMES),
                ip_address = one_of(&ADDRESSES),
                number = number % 5,
                text = one_of(&ACTORS),
                "{actor} did something"
            )
            .ignore();
        }
    });
    log.close().unwrap();
}

/// A log of some streams, in sealed and in live files.
fn log() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..6 {
        record(dir.path(), 60);
    }
    dir
}

fn parameter(entries: &[Value]) -> Parameter {
    let instant = || {
        let entry = &entries[fastrand::usize(..entries.len())];
        entry["timestamp"].as_str().unwrap()
    };
    let excluded = fastrand::u8(..4) == 0;
    let (name, value) = match fastrand::u8(..14) {
        0 => return ("start_date".into(), false, instant().into()),
        1 => return ("end_date".into(), false, instant().into()),
        2 => ("event_type", one_of(&TYPES)),
        3 => ("event_type", one_of(&["auth.*", "auth.login.*", "file.*"])),
        4 => ("actor", one_of(&ACTORS)),
        5 => ("actor_type", one_of(&["user", "system"])),
        6 => ("resource", one_of(&["0", "3", "ann"])),
        7 => ("severity", one_of(&["info", "warning", "error"])),
        8 => ("outcome", one_of(&["success", "failure", "unknown"])),
        9 => (
            "ip_address",
            one_of(&["192.0.2.1", "192.0.2.0/26", "2001:db8::/32"]),
        ),
        10 | 11 => ("tenant_id", one_of(&["acme", "globex"])),
        12 => ("q", one_of(&["ANN did", "grün", "login", "=E"])),
        _ => ("details.number", one_of(&["1", "2.0"])),
    };
    (name.into(), excluded, value.into())
}

/// Whether there is a range without any instant in it, which is refused.
fn is_empty_range(parameters: &[Parameter]) -> bool {
    let value = |name: &str| {
        let found = parameters.iter().find(|parameter| parameter.0 == name);
        found.map(|(_, _, value)| value)
    };
    let range = value("start_date").zip(value("end_date"));
    range.is_some_and(|(start, end)| start >= end)
}

/// Some parameters, of which a range has one start and one later end.
fn parameters(entries: &[Value]) -> Vec<Parameter> {
    let mut found: Vec<Parameter> = Vec::new();
    for _ in 0..fastrand::usize(0..4) {
        let parameter = parameter(entries);
        let is_twice = found.iter().any(|before| before.0 == parameter.0);
        if !(parameter.0.ends_with("_date") && is_twice) {
            found.push(parameter);
        }
        if is_empty_range(&found) {
            found.pop();
        }
    }
    found
}

fn text((_, excluded, value): &Parameter) -> String {
    match excluded {
        true => format!("!{value}"),
        false => value.clone(),
    }
}

/// The same parameters as flags.
fn flags(parameters: &[Parameter]) -> Vec<String> {
    let flag = |parameter: &Parameter| match parameter.0.strip_prefix("details.") {
        Some(path) => ["--details".into(), format!("{path}={}", text(parameter))],
        None => [
            format!("--{}", parameter.0.replace('_', "-")),
            text(parameter),
        ],
    };
    parameters.iter().flat_map(flag).collect()
}

/// Asks the server with a program that knows whether an answer was whole: it ends with 0 then.
fn ask(server: &Server, token: &str, path: &str, parameters: &[Parameter]) -> Output {
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--fail-with-body", "-G", "-H"]);
    curl.arg(format!("authorization: Bearer {token}"));
    for parameter in parameters {
        let given = format!("{}={}", parameter.0, text(parameter));
        curl.args(["--data-urlencode", &given]);
    }
    let url = format!("http://{}/audit/{path}", server.address);
    curl.arg(url).output().unwrap()
}

/// A whole answer.
fn fetch(server: &Server, token: &str, path: &str, parameters: &[Parameter]) -> Output {
    let output = ask(server, token, path, parameters);
    assert_eq!(code(&output), 0, "{}{}", out(&output), err(&output));
    output
}

fn id(entry: &Value) -> String {
    entry["id"].as_str().unwrap().to_owned()
}

fn of_lines(lines: &str) -> Vec<String> {
    let entries = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    entries.map(|entry: Value| id(&entry)).collect()
}

/// The ids of the entries in a file of this format, each as often as it is there.
fn of_export(format: &str, bytes: &[u8]) -> Vec<String> {
    let mut text = String::new();
    match format {
        "zip" => {
            let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
            for at in 0..archive.len() {
                let mut file = archive.by_index(at).unwrap();
                if file.name().unwrap().ends_with(".jsonl") {
                    file.read_to_string(&mut text).unwrap();
                }
            }
        }
        "pdf" => return of_document(bytes),
        "gz" => {
            let mut reader = flate2::read::MultiGzDecoder::new(bytes);
            reader.read_to_string(&mut text).unwrap();
        }
        _ => text = String::from_utf8(bytes.to_owned()).unwrap(),
    }
    match format {
        "json" => {
            let entries: Vec<Value> = serde_json::from_str(&text).unwrap();
            entries.iter().map(id).collect()
        }
        "csv" => {
            let mut reader = csv::Reader::from_reader(text.as_bytes());
            let at = reader
                .headers()
                .unwrap()
                .iter()
                .position(|name| name == "id");
            let rows = reader.records().map(|row| row.unwrap());
            rows.map(|row| row[at.unwrap()].to_owned()).collect()
        }
        _ => of_lines(&text),
    }
}

/// The ids of the entries in the table of a document: each stands in a line of its own.
fn of_document(bytes: &[u8]) -> Vec<String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let mut pdftotext = Command::new("pdftotext");
    let text = pdftotext.arg("-raw").arg(file.path()).arg("-").output();
    let text = text.unwrap();
    assert!(text.status.success(), "{}", err(&text));
    let is_id = |line: &&str| uuid::Uuid::try_parse(line).is_ok();
    let text = out(&text);
    text.lines().filter(is_id).map(str::to_owned).collect()
}

/// All pages, each with some entries.
fn of_pages(server: &Server, token: &str, parameters: &[Parameter]) -> Vec<String> {
    let mut found = Vec::new();
    let order = one_of(&["asc", "desc", "arrival"]);
    let mut next = format!("entries?limit=37&order={order}");
    loop {
        let page = fetch(server, token, &next, parameters);
        let page: Value = serde_json::from_slice(&page.stdout).unwrap();
        found.extend(page["entries"].as_array().unwrap().iter().map(id));
        if page["has_more"] == false {
            return found;
        }
        let cursor = page["next_cursor"].as_str().unwrap();
        next = format!("entries?limit=37&order={order}&cursor={cursor}");
    }
}

/// Takes out what the token of one tenant may not ask: for other tenants. The server refuses it.
fn refuse_others(server: &Server, token: &str, asked: &mut Vec<Parameter>) {
    let is_other = |parameter: &Parameter| parameter.0 == "tenant_id" && text(parameter) != "acme";
    if asked.iter().any(is_other) {
        let refused = ask(server, token, "entries", asked);
        assert_eq!(code(&refused), 22, "{}", out(&refused));
        assert!(
            out(&refused).contains("\"parameter\":\"tenant_id\""),
            "{}",
            out(&refused)
        );
    }
    asked.retain(|parameter| !is_other(parameter));
}

const FORMATS: [&str; 6] = ["zip", "gz", "ndjson", "json", "csv", "pdf"];

fn sorted(mut ids: Vec<String>) -> Vec<String> {
    ids.sort_unstable();
    ids
}

#[test]
fn pages_flags_and_exports_find_what_a_plain_filter_finds() {
    let seed = fastrand::u64(..);
    fastrand::seed(seed);
    let dir = log();
    let create = ["token", "create", "--name", "t", "--scope", "export"];
    let token = |more: &[&str]| {
        let made = run(dir.path(), &[&create[..], more].concat());
        assert_eq!(code(&made), 0, "{}", err(&made));
        out(&made).trim_end().to_owned()
    };
    let tokens = [token(&[]), token(&["--tenant-id", "acme"])];
    let server = serve(dir.path(), &[]);
    let entries: Vec<Value> = support::records(dir.path())
        .into_iter()
        .filter(|entry| entry["source"] == "app")
        .collect();
    let to = tempfile::tempdir().unwrap();
    let mut sizes = BTreeSet::new();
    for round in 0..16 {
        let token = &tokens[round % 2];
        let mut asked = parameters(&entries);
        asked.push(("source".into(), false, "app".into()));
        if round % 2 == 1 {
            refuse_others(&server, token, &mut asked);
        }
        let mut wanted = asked.clone();
        if round % 2 == 1 {
            wanted.push(("tenant_id".into(), false, "acme".into()));
        }
        let plain = entries.iter().filter(|entry| plain::wants(entry, &wanted));
        let plain = sorted(plain.map(id).collect());
        sizes.insert(plain.len());
        let context = format!("seed {seed}: {wanted:?}");
        let pages = of_pages(&server, token, &asked);
        assert_eq!(sorted(pages), plain, "pages, {context}");

        let flags = flags(&wanted);
        let flags: Vec<_> = flags.iter().map(String::as_str).collect();
        let query = ["query", "--limit", "0", "--format", "ndjson"];
        let lines = run(dir.path(), &[&query[..], &flags].concat());
        let lines = json_lines(&lines).iter().map(id).collect();
        assert_eq!(sorted(lines), plain, "query, {context}");
        for format in FORMATS {
            let path = format!("export?format={format}");
            let download = fetch(&server, token, &path, &asked).stdout;
            assert_eq!(
                sorted(of_export(format, &download)),
                plain,
                "download of {format}, {context}"
            );
        }
        let format = one_of(&FORMATS);
        let file = to.path().join(format!("{round}.{format}"));
        let export = ["export", "--output", file.to_str().unwrap()];
        let export = run(dir.path(), &[&export[..], &flags].concat());
        assert_eq!(code(&export), 0, "{}", err(&export));
        let written = of_export(format, &std::fs::read(file).unwrap());
        assert_eq!(sorted(written), plain, "export of {format}, {context}");
    }
    assert!(sizes.len() > 3, "seed {seed}: all filters find {sizes:?}");
}

/// The ids of the application's entries before this instant, while files come and go.
fn ids_before(dir: &Path, until: Timestamp) -> BTreeSet<String> {
    let entries = support::records(dir).into_iter();
    let wanted = entries.filter(|entry| {
        let time: Timestamp = entry["timestamp"].as_str().unwrap().parse().unwrap();
        entry["source"] != "tracing-audit" && time < until
    });
    wanted.map(|entry| id(&entry)).collect()
}

/// Ends what runs beside a test, also if the test fails.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// Applications come, are killed, and close their logs; what they left is recovered, sealed and
/// pruned, until `stop`.
fn change(dir: &Path, stop: &AtomicBool) {
    for round in 0.. {
        if stop.load(Relaxed) {
            return;
        }
        record(dir, 40);
        let victim = followed_through_kills::victim_in(dir);
        std::thread::sleep(Duration::from_millis(fastrand::u64(..40)));
        victim.kill::<String>();
        if round % 3 == 2 {
            let pruned = run(dir, &["prune", "--max-bytes", "60000"]);
            assert_eq!(code(&pruned), 0, "{}", err(&pruned));
        }
    }
}

/// An export of a complete range has the entries that are there before and after it; no others, and
/// none twice. Or the export isn't whole, and everybody can see that.
#[test]
fn what_was_announced_as_complete_is_complete_while_all_changes() {
    let dir = log();
    let dir = dir.path();
    let made = ["token", "create", "--name", "t", "--scope", "export"];
    let token = out(&run(dir, &made)).trim_end().to_owned();
    let server = serve(dir, &[]);
    let stop = AtomicBool::new(false);
    let mut whole = 0;
    let mut pruned = 0;
    std::thread::scope(|threads| {
        threads.spawn(|| change(dir, &stop));
        let _stop = StopAtEnd(&stop);
        for round in 0..60 {
            let page = fetch(&server, &token, "entries?limit=1", &[]);
            let page: Value = serde_json::from_slice(&page.stdout).unwrap();
            let until: Timestamp = page["complete_until"].as_str().unwrap().parse().unwrap();
            let asked = [
                ("end_date".into(), false, until.to_string()),
                ("source".into(), true, "tracing-audit".into()),
            ];
            // Without a filter on a field, blocks are copied.
            let asked = &asked[..1 + round % 2];
            let format = FORMATS[round / 2 % FORMATS.len()];
            let before = ids_before(dir, until);
            let path = format!("export?format={format}");
            let download = ask(&server, &token, &path, asked);
            let after = ids_before(dir, until);
            assert!(after.is_subset(&before), "something came before {until}");
            pruned += before.difference(&after).count();
            if code(&download) != 0 {
                continue;
            }
            whole += 1;
            let got = of_export(format, &download.stdout);
            let once: BTreeSet<_> = got.iter().cloned().collect();
            assert_eq!(got.len(), once.len(), "{format} has entries twice");
            assert!(after.is_subset(&once), "{format} lacks entries");
            if asked.len() == 2 {
                assert!(once.is_subset(&before), "{format} has others");
            }
        }
    });
    assert!(
        whole > 20 && pruned > 0,
        "{whole} were whole, {pruned} pruned"
    );
}
