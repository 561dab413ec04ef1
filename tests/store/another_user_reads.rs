//! A group can be allowed to read a log: that and nothing more.

use std::{collections::BTreeMap, fs, io, path::Path, time::Duration};

use crate::user::{APP, OTHER, STRANGER, all_belongs_to, home, is_root, play, token, tree};
use tracing_audit::{AuditLog, AuditReader, Permissions, Query, audit};
use tracing_subscriber::prelude::*;

/// An application at work, which dies of it.
fn write(dir: &Path, permissions: Option<Permissions>) {
    let mut builder = crate::support::builder(dir)
        .rotate_bytes(1000)
        .live_grace(Duration::ZERO);
    if let Some(permissions) = permissions {
        builder = builder.permissions(permissions);
    }
    let log = builder.open().unwrap();
    let subscriber = tracing_subscriber::registry().with(log.layer());
    let _default = tracing::subscriber::set_default(subscriber);
    for n in 0..20 {
        audit!("user.updated", n).wait().unwrap();
    }
    crate::support::until("a file is sealed", || {
        !crate::support::files(&dir.join("sealed")).is_empty()
    });
    log.tokens().create(token("app")).unwrap();
    let _ = log.hashes_of("ann@example.com");
    crate::forking::exit(0);
}

fn read(dir: &Path) -> tracing_audit::Result<usize> {
    let reader = AuditReader::open(dir)?;
    let page = reader.page(&Query::parse([("limit", "1000")])?)?;
    let report = reader.verify(|_, _| {})?;
    assert!(report.ok, "{report:?}");
    Ok(page.entries.len())
}

#[test]
fn act() {
    let Some((role, dir)) = crate::user::role() else {
        return;
    };
    match role.as_str() {
        "write" => write(&dir, None),
        "for the group" => write(&dir, Some(Permissions::GroupRead)),
        "for the owner" => write(&dir, Some(Permissions::Owner)),
        "read" => {
            let before = tree(&dir.join("live"));
            assert!(read(&dir).unwrap() >= 20);
            assert!(!before.is_empty(), "a live file is among what is read");
            for secret in ["tokens", "hash-keys"] {
                let path = dir.join("state").join(format!("{secret}.json"));
                let refused = fs::read(path).unwrap_err();
                assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied, "{secret}");
            }
            assert!(fs::read_dir(dir.join("state")).is_err());
            for (path, _) in tree(&dir.join("state/locks")) {
                // Who can open it can hold it.
                assert!(fs::File::open(dir.join("state/locks").join(path)).is_err());
            }
            assert!(fs::write(dir.join("live/x"), "").is_err());
        }
        _ => {
            let refused = read(&dir).unwrap_err().to_string();
            assert!(refused.contains("denied"), "{refused}");
        }
    }
}

/// What of a log its group can read, and nobody else.
fn only_the_group_reads(dir: &Path) {
    let top = ["live", "sealed", "index"];
    let below = |path: &str, dirs: &[&str]| {
        dirs.iter()
            .any(|dir| path == *dir || path.starts_with(&format!("{dir}/")))
    };
    let wrong: BTreeMap<_, _> = tree(dir)
        .into_iter()
        // Half-made files are their owner's alone.
        .filter(|(path, _)| !path.starts_with("state/tmp/"))
        .filter(|(path, (uid, mode, is_dir))| {
            let entries = below(path, &top) || below(path, &["state/journal", "state/tmp"]);
            let wanted = match (path.as_str(), is_dir) {
                ("state", _) => 0o710,
                ("state/locks", _) => 0o750,
                ("state/format", _) => 0o640,
                (_, true) if entries => 0o750,
                (_, false) if entries => 0o640,
                (_, true) => 0o700,
                (_, false) => 0o600,
            };
            (*uid, *mode) != (APP, wanted)
        })
        .collect();
    assert_eq!(wrong, BTreeMap::new());
}

#[test]
fn a_member_of_the_group_reads_entries_and_no_secrets() {
    if !is_root() {
        return;
    }
    let refused = |user, dir: &Path| play(user, 0o022, (module_path!(), "be refused"), dir);
    for umask in [0o000, 0o022, 0o077] {
        let (_above, home) = home(APP, APP, 0o755);
        let dir = home.join("new/audit");
        play((APP, APP), umask, (module_path!(), "for the group"), &dir);
        only_the_group_reads(&dir);
        play((OTHER, APP), umask, (module_path!(), "read"), &dir);
        refused((STRANGER, STRANGER), &dir);

        // The permissions stay for a process without the setting, and for root.
        play((APP, APP), umask, (module_path!(), "write"), &dir);
        let mut problems = Vec::new();
        AuditLog::recover(&dir, |stream| problems.extend(stream.problems)).unwrap();
        assert_eq!(problems, Vec::<String>::new());
        play((APP, APP), umask, (module_path!(), "write"), &dir);
        only_the_group_reads(&dir);
        play((OTHER, APP), umask, (module_path!(), "read"), &dir);

        // Until it is said otherwise.
        play((APP, APP), umask, (module_path!(), "for the owner"), &dir);
        all_belongs_to(APP, &dir);
        refused((OTHER, APP), &dir);
    }
}

#[test]
fn a_log_that_is_there_can_be_opened_to_the_group() {
    if !is_root() {
        return;
    }
    let (_above, home) = home(APP, APP, 0o755);
    let dir = home.join("audit");
    play((APP, APP), 0o077, (module_path!(), "write"), &dir);
    all_belongs_to(APP, &dir);
    play((OTHER, APP), 0o022, (module_path!(), "be refused"), &dir);
    play((APP, APP), 0o077, (module_path!(), "for the group"), &dir);
    only_the_group_reads(&dir);
    play((OTHER, APP), 0o022, (module_path!(), "read"), &dir);
}

#[test]
fn modes_that_were_made_by_hand_are_no_wish() {
    if !is_root() {
        return;
    }
    let (_above, dir) = home(APP, APP, 0o777);
    play((APP, APP), 0o022, (module_path!(), "write"), &dir);
    for loose in [
        "",
        "live",
        "sealed",
        "state",
        "state/journal",
        "state/locks",
    ] {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        fs::set_permissions(dir.join(loose), mode).unwrap();
    }
    play((APP, APP), 0o022, (module_path!(), "write"), &dir);
    all_belongs_to(APP, &dir);
    let (_, mode, _) = tree(dir.parent().unwrap())["home"];
    assert_eq!(
        mode, 0o775,
        "only the owner and the group may take the log away"
    );
}
