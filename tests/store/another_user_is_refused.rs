//! Only the owner of a log and root write to it: any other user gets an error that names the owner,
//! and changes nothing.

use std::{fs, path::Path, process::Stdio};

use crate::user::{APP, OTHER, become_user, ends_well, home, is_root, play, tree};
use tracing_audit::AuditLog;

fn open(dir: &Path) -> tracing_audit::Result<AuditLog> {
    crate::support::builder(dir).open()
}

#[test]
fn act() {
    let Some((role, dir)) = crate::user::role() else {
        return;
    };
    match role.as_str() {
        "open" => open(&dir).unwrap().close().unwrap(),
        "be refused" => {
            let text = open(&dir).map(drop).unwrap_err().to_string();
            for part in ["uid 12345", "uid 23456", dir.to_str().unwrap()] {
                assert!(text.contains(part), "{text}");
            }
        }
        // The first user succeeds; the exit code shows which one that was.
        _ => match open(&dir) {
            Ok(log) => log.close().unwrap(),
            Err(error) => {
                let text = error.to_string();
                assert!(
                    text.contains("uid 12345") && text.contains("uid 23456"),
                    "{text}"
                );
                std::process::exit(100);
            }
        },
    }
}

#[test]
fn who_tries_changes_nothing() {
    if !is_root() {
        return;
    }
    // Closed to others, open to be looked at, and open to be written.
    for mode in [0o700, 0o755, 0o777] {
        let (above, dir) = home(APP, APP, mode);
        // Nothing is there yet.
        play((OTHER, OTHER), 0o022, (module_path!(), "be refused"), &dir);
        assert_eq!(tree(&dir).len(), 0, "{mode:o}");
        play((APP, APP), 0o022, (module_path!(), "open"), &dir);
        fs::set_permissions(&dir, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        let before = tree(above.path());
        play((OTHER, OTHER), 0o022, (module_path!(), "be refused"), &dir);
        assert_eq!(tree(above.path()), before, "{mode:o}");
    }
}

#[test]
fn of_two_who_begin_a_log_at_once_one_has_it() {
    if !is_root() {
        return;
    }
    for round in 0..20 {
        let (_above, dir) = home(0, 0, 0o777);
        let users = [APP, OTHER];
        let children = users.map(|uid| {
            let mut child = become_user((uid, uid), 0o022, (module_path!(), "begin"), &dir);
            child.stdout(Stdio::piped()).stderr(Stdio::piped());
            (uid, child.spawn().unwrap())
        });
        let outputs = children.map(|(uid, child)| (uid, child.wait_with_output().unwrap()));
        let (winners, refused): (Vec<_>, Vec<_>) = outputs
            .into_iter()
            .partition(|(_, output)| output.status.code() != Some(100));
        assert_eq!((winners.len(), refused.len()), (1, 1), "round {round}");
        let (winner, output) = winners.first().unwrap();
        ends_well(output, "the first");
        crate::user::all_belongs_to(*winner, &dir);
        play((*winner, *winner), 0o022, (module_path!(), "open"), &dir);
    }
}
