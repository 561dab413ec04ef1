//! `verify`: what it accepts, and what it finds.

use std::{fs, path::Path, process::Output};

use serde_json::Value;

use crate::cli::{code, err, out, run};
use crate::commands::{log, sealed};

#[test]
fn verify_accepts_the_losses_that_the_log_records_and_no_others() {
    let dir = log(12);
    let line = |seq: u64, event_type: &str, details: &str| {
        format!(
            concat!(
                r#"{{"stream":"cash-0a1b2c","seq":{},"id":"0193f2a4-7c1e-7d31-9f65-1f0f5b0c2c{:02}","timestamp":"2026-11-21T10:15:00.000000Z","#,
                r#""event_type":"{}","details":{}}}"#,
                "\n"
            ),
            seq, seq, event_type, details
        )
    };
    let live = dir
        .path()
        .join("live/20261121T101500.000000Z-cash-0a1b2c-00000001.jsonl");
    let write = |recorded: &[(&str, &str)]| {
        let mut lines = line(1, "user.updated", "{}") + &line(2, "user.updated", "{}");
        for (seq, (event_type, details)) in (6..).zip(recorded) {
            lines += &line(seq, event_type, details);
        }
        fs::write(&live, lines).unwrap();
        run(dir.path(), &["verify"])
    };
    let lost = "audit.log.lost";
    let cut = "audit.log.live_file_cut";
    for (recorded, missing) in [
        (&[(lost, "{}")][..], "entries 3 to 5 are missing"),
        (
            &[(lost, r#"{"count":2,"after_seq":2}"#)],
            "entry 5 is missing",
        ),
        (
            &[(cut, r#"{"count":3,"after_seq":1}"#)],
            "entry 5 is missing",
        ),
        (
            &[
                (lost, r#"{"count":1,"after_seq":2}"#),
                (cut, r#"{"count":1,"after_seq":4}"#),
            ],
            "entry 4 is missing",
        ),
    ] {
        let found = write(recorded);
        assert_eq!(code(&found), 1, "{recorded:?}: {}", out(&found));
        assert!(
            out(&found).contains(missing),
            "{recorded:?}: {}",
            out(&found)
        );
    }
    let told = |found: &Output| {
        code(found) == 0 && out(found).contains("entries 3 to 5 are lost, and recorded as lost")
    };
    // Two entries may account for parts of a hole, and for the same part.
    for recorded in [
        &[(lost, r#"{"count":3,"after_seq":2}"#)][..],
        &[
            (cut, r#"{"count":2,"after_seq":3}"#),
            (lost, r#"{"count":2,"after_seq":2}"#),
        ],
    ] {
        let found = write(recorded);
        assert!(told(&found), "{recorded:?}: {}", out(&found));
    }

    // The same once it is sealed.
    let recovered = run(dir.path(), &["recover"]);
    assert_eq!(code(&recovered), 0, "{}", err(&recovered));
    assert!(
        sealed(dir.path())
            .iter()
            .any(|path| path.to_string_lossy().contains("cash-0a1b2c"))
    );
    let found = run(dir.path(), &["verify"]);
    assert!(told(&found), "{}", out(&found));
}

#[test]
fn verify_finds_what_is_wrong_and_says_where() {
    let dir = log(30);
    let fine = run(dir.path(), &["verify"]);
    assert_eq!(code(&fine), 0, "{}{}", out(&fine), err(&fine));
    assert!(
        out(&fine).starts_with("ok: 30 entries of 1 stream in "),
        "{}",
        out(&fine)
    );
    let files = sealed(dir.path());
    let [first, middle, last] = [&files[0], &files[1], files.last().unwrap()];
    let name = |path: &Path| path.strip_prefix(dir.path()).unwrap().display().to_string();
    let finds = |what: &str, place: &str| {
        let found = run(dir.path(), &["verify"]);
        assert_eq!(code(&found), 1, "{what}: {}", out(&found));
        let text = out(&found);
        let line = text
            .lines()
            .find(|line| line.starts_with("problem") && line.contains(place));
        assert!(line.is_some(), "{what} at {place}: {text}");
        let report: Value =
            serde_json::from_str(&out(&run(dir.path(), &["verify", "--format", "json"]))).unwrap();
        assert_eq!(
            (
                report["ok"].as_bool(),
                report["findings"][0]["level"].as_str()
            ),
            (Some(false), Some("problem")),
            "{report}"
        );
        text
    };

    let whole = fs::read(middle).unwrap();
    let mut flipped = whole.clone();
    let at = flipped.len() / 2;
    flipped[at] ^= 0x10;
    fs::write(middle, &flipped).unwrap();
    finds("a flipped bit", &name(middle));
    fs::write(middle, &whole[..whole.len() - 5]).unwrap();
    let text = finds("a truncated file", &name(middle));
    assert_eq!(
        text.lines()
            .filter(|line| line.starts_with("problem"))
            .count(),
        1,
        "one damage is one finding: {text}"
    );
    fs::write(middle, [&whole[..], b"x"].concat()).unwrap();
    let text = finds("an appended byte", &name(middle));
    assert!(text.contains("data was added after its end"), "{text}");
    fs::remove_file(middle).unwrap();
    let text = finds("a removed file", "stream shop-");
    assert!(text.contains(" missing, between sealed/"), "{text}");
    fs::write(middle, &whole).unwrap();

    let foreign = middle.with_file_name("notes.txt");
    fs::write(&foreign, "mine").unwrap();
    finds("a foreign file", &name(&foreign));
    fs::remove_file(&foreign).unwrap();
    let ring = dir.path().join("state/journal/shop-0a1b2c.ring.damaged");
    fs::write(&ring, "").unwrap();
    finds(
        "a damaged journal",
        "state/journal/shop-0a1b2c.ring.damaged",
    );
    fs::remove_file(&ring).unwrap();

    // No entry records that retention removed it.
    fs::remove_file(first).unwrap();
    let text = finds("a removed first file", "stream shop-");
    assert!(text.contains("its first, "), "{text}");
    assert!(last.exists());
}
