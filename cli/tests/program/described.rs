//! The served API is what its description says, whatever is asked of it.

use std::{path::Path, process::Command};

#[test]
fn no_request_that_schemathesis_makes_up_has_an_answer_that_is_not_described() {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let output = Command::new("scripts/schemathesis")
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .env("CARGO_TARGET_DIR", target)
        .env("PROGRAM", env!("CARGO_BIN_EXE_tracing-audit"))
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    let problem = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{shown}\n{problem}");
    // Of all operations only the stream is left out.
    let tested = number_after(&shown, "Tested: ");
    let selected = shown.split("Selected: ").nth(1).unwrap();
    assert_eq!(tested + 1, number_after(selected, "/"), "{shown}");
}

fn number_after(text: &str, words: &str) -> usize {
    let rest = text.split(words).nth(1).unwrap_or_else(|| panic!("{text}"));
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap();
    rest[..digits].parse().unwrap()
}
