//! Advice about the problems of the log; `docs/operations.md` says more about each.

/// How the text of a problem begins, and what to do about it.
const ADVICE: &[(&str, &str)] = &[
    (
        "audit events can't be written and wait in the journal",
        "Make room, or repair the disk. Writing goes on by itself. Remove no files of the log by \
         hand: `tracing-audit prune` removes them and records it.",
    ),
    (
        "the journal is nearly full",
        "Find out what slows the disk. If it is a burst, give a larger journal.",
    ),
    ("only ", "Make room, or shorten the retention."),
    (
        "old files of the audit log are not pruned yet",
        "Check the clock. If it is right, run `tracing-audit prune --trust-clock`, or wait three \
         days at most.",
    ),
    (
        "old files of the audit log are not pruned, because another process holds the lock",
        "Find the process with `fuser` and the path of the lock, and end it if it hangs.",
    ),
    (
        "the journal of the audit log is gone",
        "Restart the process. Find out who deleted or replaced the file.",
    ),
    (
        "the lock of the audit log is gone",
        "Restart the process. Find out who deleted the file.",
    ),
    (
        "the audit log's directory was moved",
        "Move the directory back, or restart the process to use the new one.",
    ),
    (
        "a thread of the audit log died",
        "Restart the process, which writes the events of the journal. Report the bug with the text.",
    ),
    (
        "a `tracing` layer panicked",
        "Mend the layer; the problem itself is in the application's output.",
    ),
    (
        "`on_problem` panicked",
        "Mend the callback; the problem itself is in the application's output.",
    ),
    (
        "audit events of this forked process are not recorded",
        "Remove the cause that the text names, such as a full disk. The next event tries again.",
    ),
    ("the log is closed", "Close the log after the last event."),
    (
        "every token is refused",
        "Restore the file of the tokens from a backup; or remove the damaged file and create \
         tokens anew.",
    ),
];

/// The advice about a problem, if there is one.
pub(super) fn about(problem: &str) -> Option<&'static str> {
    let found = ADVICE.iter().find(|(start, _)| problem.starts_with(start));
    found.map(|(_, advice)| *advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The texts in the first column of the table of reasons.
    fn described() -> Vec<String> {
        let page = include_str!("../../../../docs/operations.md");
        let table = page.split("### Reasons in `/readyz`").nth(1).unwrap();
        let rows = table.lines().skip_while(|line| !line.starts_with("|---"));
        let rows = rows.skip(1).take_while(|line| line.starts_with('|'));
        let mut texts = Vec::new();
        for row in rows {
            let cell = row.split('|').nth(1).unwrap().trim();
            let texts_in = |end: &str| -> Vec<String> {
                let parts = cell.trim_matches('`').split(end);
                parts
                    .map(|text| text.trim_matches([',', ' ']).to_owned())
                    .collect()
            };
            // A text that has a backtick stands between two of them.
            texts.extend(match cell.starts_with("``") {
                true => texts_in("`` , ``".replace(" , ", ", ").as_str()),
                false => texts_in("`, `"),
            });
        }
        texts
    }

    #[test]
    fn each_reason_that_is_described_has_an_advice() {
        let described = described();
        assert!(described.len() > 12, "{described:?}");
        for text in described {
            assert!(about(text.trim()).is_some(), "{text}");
        }
        assert_eq!(about("something else"), None);
    }
}
