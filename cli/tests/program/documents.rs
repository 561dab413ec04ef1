//! The guide, as its reader uses it: each command is understood, and the poller is run.

use std::{
    collections::BTreeSet,
    fs,
    io::BufRead as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;
use tracing_audit::AuditLog;

use crate::cli::{Running, err, out, program, run};
use crate::support::until;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The chapters and the README, with their names.
fn documents() -> Vec<(String, String)> {
    let chapters = fs::read_dir(repository().join("docs")).unwrap();
    let chapters = chapters.map(|entry| entry.unwrap().path());
    let is_text = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "md");
    let chapters = chapters.filter(is_text);
    let all = chapters.chain([repository().join("README.md")]);
    let named = all.map(|path| {
        (
            path.display().to_string(),
            fs::read_to_string(&path).unwrap(),
        )
    });
    named.collect()
}

/// The blocks of code with their languages, and the code in sentences.
fn code(text: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    for (n, part) in text.split("```").enumerate() {
        match n % 2 {
            0 => found.extend(part.split('`').skip(1).step_by(2).map(|code| ("sh", code))),
            _ => found.extend(part.split_once('\n')),
        }
    }
    found
}

/// The arguments of each `tracing-audit` in a text for the shell.
fn commands(text: &str) -> Vec<Vec<String>> {
    let mut found: Vec<Vec<String>> = Vec::new();
    let mut in_command = false;
    for word in words(&text.replace("\\\n", " ")) {
        let begins = word == "tracing-audit" || word.ends_with("$(tracing-audit");
        let ends = ["\n", "|", "&", "&&", ";", ">", "<"].contains(&word.as_str());
        if begins {
            found.push(Vec::new());
        } else if in_command && !ends {
            let last = found.last_mut().unwrap();
            last.push(word.trim_end_matches(')').to_owned());
        }
        in_command = begins || (in_command && !ends && !word.ends_with(')'));
    }
    found
}

/// The words of a text for the shell, without quotes and comments; each end of a line is a word.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut word, mut quote, mut in_comment) = (String::new(), None, false);
    for c in text.chars().chain(['\n']) {
        match quote {
            _ if in_comment && c != '\n' => {}
            Some(open) if c == open => quote = None,
            Some(_) => word.push(c),
            None if c == '\'' || c == '"' => quote = Some(c),
            None if c == '#' && word.is_empty() => in_comment = true,
            None if c.is_whitespace() => {
                words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty()));
                if c == '\n' {
                    in_comment = false;
                    words.push("\n".to_owned());
                }
            }
            None => word.push(c),
        }
    }
    words
}

#[test]
fn each_command_of_the_guide_is_understood() {
    let mut understood = BTreeSet::new();
    // Commands name this file, which is read first of all.
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("audit.toml"), "").unwrap();
    for (name, text) in documents() {
        let shell = code(&text)
            .into_iter()
            .filter(|(language, _)| *language == "sh");
        for command in shell.flat_map(|(_, code)| commands(code)) {
            // The arguments are checked as far as they can be without running the command.
            let output = program()
                .args(&command)
                .arg("--help")
                .current_dir(place.path())
                .output()
                .unwrap();
            assert!(
                output.status.success(),
                "{name}: {command:?}: {}",
                err(&output)
            );
            understood.insert(command);
        }
    }
    assert!(understood.len() > 60, "{understood:#?}");
}

/// A log with a token, and a server of it.
fn served() -> (tempfile::TempDir, String, Running, String) {
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::builder(dir.path()).source("shop");
    log.open().unwrap().close().unwrap();
    let made = run(dir.path(), &["token", "create", "--name", "poller"]);
    let mut command = program();
    command.args(["serve", "--listen", "127.0.0.1:0", "--dir"]);
    let mut server = Running::start(command.arg(dir.path()));
    let mut first = String::new();
    server.stdout().read_line(&mut first).unwrap();
    let url = first[first.find("http://").unwrap()..]
        .trim_end()
        .to_owned();
    (dir, out(&made).trim_end().to_owned(), server, url)
}

#[test]
fn the_poller_gets_each_entry_once() {
    let (dir, token, server, url) = served();
    let chapter = fs::read_to_string(repository().join("docs/siem.md")).unwrap();
    let programs = code(&chapter)
        .into_iter()
        .filter(|(language, _)| *language == "python");
    let [(_, poller)] = programs.collect::<Vec<_>>()[..] else {
        panic!("docs/siem.md has another number of programs in Python");
    };
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("poller.py"), poller).unwrap();
    let poll = || {
        let output = Command::new("python3")
            .arg("poller.py")
            .current_dir(place.path())
            .env("AUDIT_URL", &url)
            .env("AUDIT_TOKEN", &token)
            .env("AUDIT_ONCE", "1")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", err(&output));
        let lines = out(&output);
        lines.lines().map(id).collect::<Vec<_>>()
    };
    let mut got = poll();
    assert!(!got.is_empty());
    run(dir.path(), &["token", "create", "--name", "another"]);
    let all = || -> Vec<_> {
        out(&run(dir.path(), &["query", "--limit", "0"]))
            .lines()
            .map(id)
            .collect()
    };
    until("the poller has every entry", || {
        got.extend(poll());
        got.len() >= all().len()
    });
    let mut expected = all();
    got.sort();
    expected.sort();
    assert_eq!(got, expected);
    assert_eq!(server.interrupt(), Some(0));
}

fn id(line: &str) -> String {
    let entry: Value = serde_json::from_str(line).unwrap();
    entry["id"].as_str().unwrap().to_owned()
}
