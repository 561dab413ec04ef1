//! Linking this crate changes nothing in a program's other crates: Cargo unites the features of a
//! crate that several depend on, so none that alters behaviour is switched on here.

#![allow(clippy::unwrap_used, reason = "what goes wrong here fails the test")]
#![cfg(feature = "macros")]

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The public features but `webhook-tls`, which says itself what it switches on.
const FEATURES: [&str; 8] = [
    "console",
    "export",
    "macros",
    "opentelemetry",
    "pdf",
    "server",
    "tower",
    "webhook",
];

/// What must never be switched on, because it changes what other code in the program does. A `*` at
/// the end stands for anything.
const DENIED: [(&str, &[&str]); 11] = [
    (
        "serde_json",
        &[
            "arbitrary_precision",
            "float_roundtrip",
            "preserve_order",
            "raw_value",
            "unbounded_depth",
        ],
    ),
    ("toml", &["preserve_order"]),
    (
        "tracing",
        &["log", "log-always", "max_level_*", "release_max_level_*"],
    ),
    ("tracing-core", &["valuable"]),
    (
        "tracing-subscriber",
        &["env-filter", "parking_lot", "tracing-log"],
    ),
    ("log", &["max_level_*", "release_max_level_*"]),
    // Each takes the place of the one that the program has chosen.
    (
        "flate2",
        &["any_c_zlib", "any_zlib", "cloudflare_zlib", "zlib*"],
    ),
    // Where there are two providers, or none, `rustls` panics unless one is installed.
    (
        "rustls",
        &["aws*", "fips", "prefer-post-quantum", "ring", "tls12"],
    ),
    ("tokio", &["full", "parking_lot", "test-util", "tracing"]),
    ("uuid", &["fast-rng"]),
    ("getrandom", &["wasm_js"]),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Each crate that a user gets, with the features it is built with.
fn features_with(features: &[&str]) -> BTreeMap<String, Vec<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--edges=normal", "--prefix=none"])
        .args(["--format={p}|{f}", "--target=x86_64-unknown-linux-gnu"])
        .args(["--no-default-features", "--features", &features.join(",")])
        .current_dir(root())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let problem = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{problem}");
    let mut crates = BTreeMap::new();
    for line in text.lines() {
        let (package, features) = line.trim_end_matches(" (*)").split_once('|').unwrap();
        let name = package.split(' ').next().unwrap();
        let switched_on: &mut Vec<String> = crates.entry(name.to_owned()).or_default();
        let features = features.split(',').filter(|feature| !feature.is_empty());
        switched_on.extend(features.map(str::to_owned));
        switched_on.sort();
        switched_on.dedup();
    }
    crates
}

fn is_denied(denied: &str, feature: &str) -> bool {
    match denied.strip_suffix('*') {
        Some(beginning) => feature.starts_with(beginning),
        None => feature == denied,
    }
}

#[test]
fn no_feature_that_alters_behaviour_is_switched_on() {
    let crates = features_with(&FEATURES);
    for (name, denied) in DENIED {
        let features = crates.get(name).into_iter().flatten();
        for feature in features {
            let found = denied.iter().find(|denied| is_denied(denied, feature));
            assert_eq!(found, None, "{name}/{feature} is switched on");
        }
    }
}

/// A feature that is switched on in a shared crate is seen in review. Run with `UPDATE=1` to write
/// the list anew.
#[test]
fn the_features_of_shared_crates_are_those_of_the_list() {
    let mut list = String::new();
    for (title, features) in [
        ("with default features", &["macros"][..]),
        ("with all features but webhook-tls", &FEATURES),
    ] {
        let _ = writeln!(list, "# {title}");
        for (name, features) in features_with(features) {
            let _ = writeln!(list, "{}", format!("{name} {}", features.join(" ")).trim());
        }
    }
    let path = root().join("tests/shared_features.txt");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &list).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap();
    let differ = |a: &str, b: &str| {
        let lines: Vec<_> = b.lines().collect();
        let missing = a.lines().filter(|line| !lines.contains(line));
        missing.map(str::to_owned).collect::<Vec<_>>()
    };
    let (new, gone) = (differ(&list, &committed), differ(&committed, &list));
    assert!(
        list == committed,
        "{} is another: look at what is new, then run this test with UPDATE=1\nnew: {new:#?}\ngone: {gone:#?}",
        path.display()
    );
}

/// The program of `tests/crates/neighbour`, copied out of the repository and built in the target
/// directory of this build, where most of what it needs is already.
fn neighbour(features: &[&str], log: &Path) -> Vec<String> {
    let from = root().join("tests/crates/neighbour");
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("neighbour");
    fs::create_dir_all(dir.join("src")).unwrap();
    fs::copy(from.join("src/main.rs"), dir.join("src/main.rs")).unwrap();
    let profiles = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let profiles = profiles.split_once("[profile.dev]").unwrap().1;
    let manifest = fs::read_to_string(from.join("Cargo.toml"))
        .unwrap()
        .replace("../../..", root().to_str().unwrap());
    let manifest = format!("{manifest}\n[profile.dev]{profiles}");
    fs::write(dir.join("Cargo.toml"), manifest).unwrap();
    // The dependencies are those that are here already.
    fs::copy(root().join("Cargo.lock"), dir.join("Cargo.lock")).unwrap();
    let target: PathBuf = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .unwrap()
        .into();
    let ran = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--offline"])
        .args(features)
        .arg("--target-dir")
        .arg(target)
        .arg("--")
        .arg(log)
        .current_dir(&dir)
        .env_remove("RUSTFLAGS")
        .output()
        .unwrap();
    let problem = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{problem}");
    let text = String::from_utf8(ran.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// The entries whose type begins like this.
fn entries(lines: &[String], event_type: &str) -> Vec<String> {
    let begins = format!("\"event_type\":\"{event_type}");
    let found = lines.iter().filter(|line| line.contains(&begins));
    found.cloned().collect()
}

/// From `"actor"` on: before it there are the stream, the id and the time.
fn since_actor(line: &str) -> &str {
    line.split_once(",\"actor\":").unwrap().1
}

#[test]
fn json_of_the_application_is_what_it_was_and_entries_have_their_order() {
    let dir = tempfile::tempdir().unwrap();
    let without = neighbour(&[], &dir.path().join("without"));
    let raw = r#"{"$serde_json::private::RawValue":"[1]"}"#;
    assert_eq!(without[..3], [r#"{"a":2,"b":1}"#, "false", raw]);

    let lines = entries(&without, "invoice.");
    let (sent, long, plain) = (&lines[0], &lines[1], &lines[2]);
    assert!(
        sent.contains(
            r#""attributes":{"total":1.5,"id":7,"lines":[{"text":"Paper","amount":2}]}},"details":{"z":1,"a":2}}"#
        ),
        "{sent}"
    );
    // Cut, and in order still.
    let places = [
        "{\"stream\":",
        "\"actor\":",
        "\"attributes\":{\"total\":1.5,\"id\":7,\"lines\":[{\"text\":",
        "\"details\":{\"z\":1,\"a\":2}",
        "\"truncated\":",
    ];
    let places = places.map(|text| long.find(text).unwrap_or_else(|| panic!("{text}: {long}")));
    assert!(places.is_sorted(), "{long}");
    assert!(
        plain.contains(r#""details":{"z":{"y":1,"b":2.5},"a":3}"#),
        "{plain}"
    );

    // What the application switches on for itself changes no entry.
    let everything = ["--no-default-features", "--features", "everything"];
    let with = neighbour(&everything, &dir.path().join("with"));
    assert_eq!(with[..2], [r#"{"b":1,"a":2}"#, "true"]);
    let rest = |lines: &[String]| -> Vec<String> {
        lines
            .iter()
            .map(|line| since_actor(line).to_owned())
            .collect()
    };
    assert_eq!(rest(&entries(&with, "invoice.")), rest(&lines));
    for opened in [&without, &with].map(|lines| entries(lines, "audit.log.opened")) {
        let places = ["\"pid\":", "\"when_full\":", "\"retention\":"];
        let places = places.map(|name| opened[0].find(name).unwrap());
        assert!(places.is_sorted(), "{}", opened[0]);
    }
}
