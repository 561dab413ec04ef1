//! `docs/webhooks.md`, as the developer of a receiver uses it: its code in every language is run
//! as it stands there, with real deliveries, and its examples are real deliveries.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use serde_json::{Value, value::RawValue};
use tracing_audit::{
    AuditLog, RawEntry, audit,
    webhook::{Batch, FormatName, FormatOptions, SigningSecret, Webhook, sign},
};

use crate::receiver::{Receiver, Request};
use crate::shop::within;

#[path = "../support/receivers/verify.rs"]
#[expect(unreachable_pub, reason = "the chapter's code is for any module")]
mod verify;

const CHAPTER: &str = include_str!("../../docs/webhooks.md");

/// A language of the chapter: the name that its block of code has, the file that the block
/// becomes, the file that calls it, and the commands that make a program of both and run it.
struct Language {
    name: &'static str,
    file: &'static str,
    driver: &'static str,
    commands: &'static [&'static [&'static str]],
}

const LANGUAGES: [Language; 7] = [
    Language {
        name: "python",
        file: "verify.py",
        driver: "driver.py",
        commands: &[&["python3", "driver.py"]],
    },
    Language {
        name: "js",
        file: "verify.mjs",
        driver: "driver.mjs",
        commands: &[&["node", "driver.mjs"]],
    },
    Language {
        name: "go",
        file: "verify.go",
        driver: "driver.go",
        commands: &[
            &["go", "build", "-o", "program", "verify.go", "driver.go"],
            &["./program"],
        ],
    },
    Language {
        name: "java",
        file: "WebhookSignature.java",
        driver: "Driver.java",
        commands: &[
            &["javac", "WebhookSignature.java", "Driver.java"],
            &["java", "Driver"],
        ],
    },
    Language {
        name: "php",
        file: "verify.php",
        driver: "driver.php",
        commands: &[&["php", "driver.php"]],
    },
    Language {
        name: "ruby",
        file: "verify.rb",
        driver: "driver.rb",
        commands: &[&["ruby", "driver.rb"]],
    },
    Language {
        name: "csharp",
        file: "WebhookSignature.cs",
        driver: "Driver.cs",
        commands: &[
            &[
                "mcs",
                "-out:program.exe",
                "WebhookSignature.cs",
                "Driver.cs",
            ],
            &["mono", "program.exe"],
        ],
    },
];

/// The chapter's blocks of code in this language.
fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("\n```{language}\n");
    let after = CHAPTER.split(&fence).skip(1);
    after
        .map(|rest| &rest[..=rest.find("\n```").unwrap()])
        .collect()
}

/// The one block that there is.
fn block(language: &str) -> &'static str {
    let found = blocks(language);
    assert_eq!(found.len(), 1, "{language}");
    found[0]
}

/// A request that a receiver verifies, and whether it should take it. That depends on the time: a
/// signature is good for five minutes.
struct Case {
    name: &'static str,
    secret: String,
    id: String,
    timestamp: String,
    signature: String,
    body: Vec<u8>,
    good: bool,
}

impl Case {
    /// A request as it came.
    fn real(name: &'static str, request: &Request, secret: &str, good: bool) -> Self {
        Self {
            name,
            secret: secret.to_owned(),
            id: request.id().to_owned(),
            timestamp: request.header("webhook-timestamp").to_owned(),
            signature: request.header("webhook-signature").to_owned(),
            body: request.body.clone(),
            good,
        }
    }

    /// The same, validly signed so many seconds earlier or later.
    fn sent_at(mut self, seconds: i64) -> Self {
        let timestamp = self.timestamp.parse::<i64>().unwrap() + seconds;
        let secret: SigningSecret = self.secret.parse().unwrap();
        self.timestamp = timestamp.to_string();
        self.signature = sign(&[secret], &self.id, timestamp, &self.body);
        self
    }
}

/// Deliveries of a webhook before and after its secret is rotated, and what an attacker makes of
/// them.
fn cases() -> Vec<Case> {
    let receiver = Receiver::new();
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::builder(dir.path())
        .lifecycle(false)
        .open()
        .unwrap();
    let old = SigningSecret::random().unwrap().reveal();
    log.webhooks()
        .add(to(&receiver, "siem").signing_secret(&old))
        .unwrap();
    let dispatcher = log.webhooks().run().unwrap();
    record(&log);
    receiver.wait_for("the first delivery", |came| came.first().map(drop));
    let new = log
        .webhooks()
        .rotate_secret("siem")
        .unwrap()
        .unwrap()
        .reveal();
    // The dispatcher takes over the new secret within a second.
    let rotated = receiver_gets(&receiver, &log, |request| {
        request.header("webhook-signature").contains(' ')
    });
    drop(dispatcher);
    log.close().unwrap();

    let other = SigningSecret::random().unwrap().reveal();
    receiver.look(|came| {
        let (first, rotated) = (&came[0].request, &came[rotated].request);
        let mut cases = vec![
            Case::real("a delivery", first, &old, true),
            Case::real("four minutes old", first, &old, true).sent_at(-240),
            Case::real("rotated, with the old secret", rotated, &old, true),
            Case::real("rotated, with the new secret", rotated, &new, true),
            Case::real("rotated, with another secret", rotated, &other, false),
            Case::real("another secret", first, &other, false),
        ];
        cases.extend(forged(first, &old));
        cases
    })
}

/// What a receiver must refuse of what an attacker makes of a request.
fn forged(request: &Request, secret: &str) -> [Case; 7] {
    let real = |name| Case::real(name, request, secret, false);
    let mut changed = real("a changed body");
    let at = changed.body.len() / 2;
    changed.body[at] ^= 1;
    let mut renamed = real("another id");
    renamed.id.push('0');
    let mut unsigned = real("no signature");
    unsigned.signature.clear();
    let mut untimed = real("a time that is no number");
    untimed.timestamp = "today".to_owned();
    let mut short = real("the beginning of a signature");
    short.signature.truncate(8);
    let old = real("six minutes old").sent_at(-360);
    let early = real("six minutes early").sent_at(360);
    [changed, renamed, unsigned, untimed, short, old, early]
}

/// Records events until one arrives as wanted; gives its number.
fn receiver_gets(receiver: &Receiver, log: &AuditLog, wanted: impl Fn(&Request) -> bool) -> usize {
    receiver.wait_for("a delivery as wanted", |came| {
        record(log);
        came.iter().position(|came| wanted(&came.request))
    })
}

fn to(receiver: &Receiver, name: &str) -> Webhook {
    Webhook::new(name, &receiver.url, ["user.*"])
        .allow_http()
        .egress(["loopback"])
}

/// The event of the chapter's examples.
fn record(log: &AuditLog) {
    within(log, || {
        audit!(
            "user.role.changed",
            actor.id = "ann",
            actor.name = "Zoë Müller",
            resource.type = "user",
            resource.id = "bob",
            role = "admin",
            "Bob became an admin"
        );
    });
}

#[test]
fn the_code_in_every_language_verifies_real_deliveries() {
    assert_eq!(
        block("rust"),
        include_str!("../support/receivers/verify.rs"),
        "the code in Rust is that of the chapter"
    );
    let dir = tempfile::tempdir().unwrap();
    // The programs are made before anything is signed, however long that takes.
    for_each_language(|language| make(language, &dir.path().join(language.name)));
    let cases = cases();
    let paths = write(dir.path(), &cases);
    for case in &cases {
        let verified = verify::verify(
            &case.secret,
            &case.id,
            &case.timestamp,
            &case.signature,
            &case.body,
        );
        assert_eq!(verified, case.good, "rust: {}", case.name);
    }
    for_each_language(|language| {
        let verified = run(language, &dir.path().join(language.name), &paths);
        for (case, verified) in cases.iter().zip(&verified) {
            assert_eq!(*verified, case.good, "{}: {}", language.name, case.name);
        }
        assert_eq!(verified.len(), cases.len(), "{}", language.name);
    });
}

/// Acts on all languages, side by side.
fn for_each_language(act: impl Fn(&Language) + Sync) {
    thread::scope(|scope| {
        for language in &LANGUAGES {
            scope.spawn(|| act(language));
        }
    });
}

/// Writes each case into a directory of its own.
fn write(dir: &Path, cases: &[Case]) -> Vec<PathBuf> {
    let of_case = |(number, case): (usize, &Case)| {
        let path = dir.join(format!("case-{number}"));
        fs::create_dir(&path).unwrap();
        fs::write(path.join("secret"), &case.secret).unwrap();
        fs::write(path.join("id"), &case.id).unwrap();
        fs::write(path.join("timestamp"), &case.timestamp).unwrap();
        fs::write(path.join("signature"), &case.signature).unwrap();
        fs::write(path.join("body"), &case.body).unwrap();
        path
    };
    cases.iter().enumerate().map(of_case).collect()
}

/// Makes a program of the chapter's code.
fn make(language: &Language, dir: &Path) {
    fs::create_dir(dir).unwrap();
    fs::write(dir.join(language.file), block(language.name)).unwrap();
    let driver = Path::new("tests/support/receivers").join(language.driver);
    fs::copy(driver, dir.join(language.driver)).unwrap();
    let (_, commands) = language.commands.split_last().unwrap();
    for words in commands {
        said(words, dir, &[]);
    }
}

/// Runs the program that was made; gives what it says of each case.
fn run(language: &Language, dir: &Path, cases: &[PathBuf]) -> Vec<bool> {
    let said = said(language.commands.last().unwrap(), dir, cases);
    said.lines().map(|line| line.parse().unwrap()).collect()
}

/// Runs a command in a directory; gives what it writes.
fn said(words: &[&str], dir: &Path, arguments: &[PathBuf]) -> String {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).args(arguments).current_dir(dir);
    // Go keeps its files in here.
    command.env("GOCACHE", dir.join("cache")).env("GOPATH", dir);
    command.env("GO111MODULE", "off").env("CGO_ENABLED", "0");
    let output = command.output().unwrap_or_else(|error| {
        panic!("{error}: {} is missing; scripts/test installs it", words[0])
    });
    let problem = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {problem}");
    String::from_utf8(output.stdout).unwrap()
}

/// The chapter's examples as they stand there, by their formats.
fn examples() -> BTreeMap<&'static str, &'static str> {
    let mut found = BTreeMap::new();
    for section in CHAPTER.split("\n### `").skip(1) {
        let (name, rest) = section.split_once('`').unwrap();
        let text = rest.split("```json\n").nth(1).unwrap();
        found.insert(name, text.split("\n```").next().unwrap());
    }
    found
}

/// The entry of the examples as a line of a log: in the order that it has there, which some
/// formats keep.
fn example_entry(native: &str) -> String {
    let members: BTreeMap<&str, &RawValue> = serde_json::from_str(native).unwrap();
    let mut in_text = false;
    let mut is_kept = |c: &char| {
        in_text ^= *c == '"';
        in_text || !c.is_whitespace()
    };
    let entry = members["data"].get().chars();
    entry.filter(|c| is_kept(c)).collect()
}

/// Has an event delivered in each format, which a header names.
fn deliver_in_each_format() -> Receiver {
    let receiver = Receiver::new();
    let dir = tempfile::tempdir().unwrap();
    let builder = AuditLog::builder(dir.path()).source("billing");
    let log = builder.lifecycle(false).open().unwrap();
    for format in FormatName::ALL {
        let webhook = to(&receiver, format.as_str()).format(format, FormatOptions::default());
        let secret = SigningSecret::random().unwrap().reveal();
        let named = webhook.header("x-format", format.as_str());
        log.webhooks().add(named.signing_secret(secret)).unwrap();
    }
    let dispatcher = log.webhooks().run().unwrap();
    record(&log);
    receiver.wait_for("a delivery in each format", |came| {
        (came.len() >= FormatName::ALL.len()).then_some(())
    });
    drop(dispatcher);
    log.close().unwrap();
    receiver
}

#[test]
fn the_examples_of_formats_are_what_is_delivered() {
    let examples = examples();
    let entry = example_entry(examples["native"]);
    let receiver = deliver_in_each_format();
    receiver.look(|came| {
        for request in came.iter().map(|came| &came.request) {
            let format: FormatName = request.header("x-format").parse().unwrap();
            let example: Value = serde_json::from_str(examples[format.as_str()]).unwrap();
            let body = request.json();
            assert_eq!(shape(&body), shape(&example), "{format}: {body}");
            let encoded = encoded(format, &entry);
            assert_eq!(encoded, example, "{format}, of the example's entry");
            if format == FormatName::Native {
                assert_eq!(header_names(request), example_header_names());
            }
        }
    });
}

/// The names of the headers that came, but for the one of these tests.
fn header_names(request: &Request) -> BTreeSet<&str> {
    let names = request.headers.keys().map(String::as_str);
    names.filter(|name| *name != "x-format").collect()
}

/// The names of the headers in the chapter's delivery.
fn example_header_names() -> BTreeSet<&'static str> {
    let lines = block("http").lines().skip(1);
    lines
        .filter_map(|line| Some(line.split_once(':')?.0))
        .collect()
}

/// The body that this format makes of an entry.
fn encoded(format: FormatName, entry: &str) -> Value {
    let entries = [RawEntry::from_line(entry.as_bytes()).unwrap()];
    let batch = Batch {
        id: "msg_1",
        source: "billing",
        entries: &entries,
        batched: false,
    };
    let built = format.build(&FormatOptions::default()).unwrap();
    serde_json::from_slice(&built.encode(&batch).unwrap().body).unwrap()
}

/// The names in a value and the kinds of their values.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let members = members
                .iter()
                .map(|(name, value)| (name.clone(), shape(value)));
            Value::Object(members.collect())
        }
        Value::Array(values) => values.iter().map(shape).collect(),
        Value::String(_) => "a text".into(),
        Value::Number(_) => "a number".into(),
        other => other.clone(),
    }
}
