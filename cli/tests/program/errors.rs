//! The errors of the program: each names the flag, and says what to write instead.

use std::{fs, net::TcpListener, path::Path};

use crate::cli::{code, err, out, program, run};
use crate::commands::log;

/// Runs command lines on a log, and checks their exit code and what they say.
fn say(dir: &Path, exit: i32, lines: &[(&[&str], &str)]) {
    for (args, says) in lines {
        let output = run(dir, args);
        let said = err(&output);
        assert_eq!(code(&output), exit, "{args:?}: {said}");
        assert!(said.contains(says), "{args:?}: {said}");
    }
}

#[test]
fn an_error_speaks_of_flags_and_not_of_parameters_of_the_library() {
    let dir = log(12);
    let backwards = ["--start-date", "2026-02-02", "--end-date", "2026-01-01"];
    let hook = [
        "webhook",
        "add",
        "--name",
        "a",
        "--event-type",
        "*",
        "--url",
    ];
    say(
        dir.path(),
        2,
        &[
            (
                &[&["query"], &backwards[..]].concat(),
                "--start-date: the range from it to --end-date is empty",
            ),
            (
                &["stats", "--step", "minute", "--start-date", "2001-01-01"],
                "a shorter range with --start-date and --end-date",
            ),
            (&["export", "--output", "x.xlsx"], "or give --format\n"),
            (
                &[&hook[..], &["https://127.0.0.1/x"]].concat(),
                "to allow it, give --egress loopback or --egress 127.0.0.1",
            ),
            (
                &[&hook[..], &["siem.example.com/hooks"]].concat(),
                "write it like https://siem.example.com/hooks",
            ),
        ],
    );
}

#[test]
fn an_error_about_one_of_some_words_names_the_flag_once_and_all_words() {
    let dir = log(12);
    for (args, flag, words) in [
        (
            &["query", "--order", "up"][..],
            "order",
            "desc, asc, arrival",
        ),
        (
            &["token", "create", "--name", "a", "--scope", "up"],
            "scope",
            "read, export, admin",
        ),
        (
            &["serve", "--permissions", "up"],
            "permissions",
            "owner, group-read",
        ),
    ] {
        let output = run(dir.path(), args);
        let said = err(&output);
        assert_eq!(code(&output), 2, "{said}");
        assert_eq!(said.matches(&format!("{flag}: ")).count(), 0, "{said}");
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn an_error_about_a_number_says_which_numbers_there_are() {
    let dir = log(12);
    say(
        dir.path(),
        2,
        &[
            (
                &["query", "--limit", "abc"],
                "give a whole number, 0 or more",
            ),
            (
                &["query", "--limit", "-1"],
                "give a whole number, 0 or more",
            ),
            (
                &["query", "--offset", "-1"],
                "give a whole number, 0 or more",
            ),
            (&["stats", "--top", "x"], "from 0 to 65535"),
            (&["tail", "-n", "x"], "give a whole number, 0 or more"),
            (&["tail", "-n", "-5"], "give a whole number, 0 or more"),
            (
                &["prune", "--retention-days", "0"],
                "whole number, 1 or more",
            ),
            (&["prune", "--max-bytes", "1k"], "whole number, 0 or more"),
            (&["serve", "--stop-within", "0"], "from 1 to 3600"),
            (&["demo", "--rate", "fast"], "give a number like 20 or 0.5"),
        ],
    );
}

#[test]
fn a_file_or_a_directory_that_is_not_there_is_named_with_what_to_do() {
    let dir = log(12);
    let to = tempfile::tempdir().unwrap();
    let file = to.path().join("Cargo.toml");
    fs::write(&file, "").unwrap();
    let shown = file.display();
    say(
        &file,
        1,
        &[(
            &["query"],
            &format!("{shown} is a file; give the directory of a log with --dir\n"),
        )],
    );
    let none = to.path().join("none");
    let output = none.join("x.zip").display().to_string();
    say(
        dir.path(),
        1,
        &[(
            &["export", "-o", &output],
            &format!("there is no directory {}; create it first", none.display()),
        )],
    );
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    say(
        dir.path(),
        1,
        &[(
            &["serve", "--listen", &address],
            "give another address with --listen",
        )],
    );
}

#[test]
fn the_usage_of_a_new_webhook_has_both_ways_to_give_its_url() {
    let dir = log(12);
    let both = "<--url <URL>|--url-file <FILE>>";
    let help = out(&run(dir.path(), &["webhook", "add", "--help"]));
    assert!(help.contains(both), "{help}");
    let add = ["webhook", "add", "--name", "a", "--event-type", "*"];
    say(dir.path(), 2, &[(&add, both)]);
}

#[test]
fn the_checks_of_verify_are_a_list_whose_lines_align() {
    let help = out(&program().args(["verify", "--help"]).output().unwrap());
    let (_, rest) = help.split_once("Checks:\n").unwrap();
    let (list, _) = rest.split_once("The check can't").unwrap();
    assert_eq!(list.matches("  - ").count(), 4);
    for line in list.lines() {
        assert!(
            line.starts_with("  - ") || line.starts_with("    "),
            "{help}"
        );
    }
}
