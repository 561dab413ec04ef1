//! What root does to the log of another user closes nothing to that user.

use std::{
    fs,
    io::BufRead as _,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::Path,
    process::Command,
    time::Duration,
};

use crate::cli::{Running, code, err, program};
use crate::user::{APP, OTHER, all_belongs_to, home, is_root, play, token};
use tracing_audit::{AuditLog, AuditLogBuilder, AuditReader, Retention, audit};
use tracing_subscriber::prelude::*;

fn builder(dir: &Path) -> AuditLogBuilder {
    crate::support::builder(dir)
        .rotate_bytes(1000)
        .live_grace(Duration::ZERO)
}

fn record(log: &AuditLog) {
    let subscriber = tracing_subscriber::registry().with(log.layer());
    tracing::subscriber::with_default(subscriber, || {
        for n in 0..10 {
            audit!("user.updated", n).wait().unwrap();
        }
    });
}

/// Events, and a death without closing.
fn die(dir: &Path) {
    let log = builder(dir).open().unwrap();
    record(&log);
    crate::forking::exit(0);
}

/// All that an application does with its log.
fn go_on(dir: &Path) {
    let log = builder(dir)
        .retention(Retention::days(1))
        .on_problem(|problem| panic!("{problem}"))
        .open()
        .unwrap();
    record(&log);
    log.request_pruning();
    let _ = log.hashes_of("ann@example.com");
    log.tokens().create(token("app")).map(drop).unwrap();
    log.close().unwrap();
    let report = AuditReader::open(dir).unwrap().verify(|_, _| {}).unwrap();
    assert!(report.ok, "{report:?}");
}

#[test]
fn act() {
    let Some((role, dir)) = crate::user::role() else {
        return;
    };
    match role.as_str() {
        "die" => die(&dir),
        "close" => {
            let log = builder(&dir).open().unwrap();
            record(&log);
            log.close().unwrap();
        }
        _ => go_on(&dir),
    }
}

/// The program as root with a umask, on a log.
fn as_root(umask: u32, args: &[&str], dir: &Path) {
    let program = program();
    let script = format!("umask {umask:o}; exec \"$0\" \"$@\"");
    let output = crate::support::wait_for("nobody else prunes", || {
        let mut command = Command::new("sh");
        command.args(["-c", &script]).arg(program.get_program());
        let output = command.args(args).arg("--dir").arg(dir).output().unwrap();
        if err(&output).contains("is pruning this log just now") {
            return Err(err(&output));
        }
        Ok(output)
    });
    assert_eq!(code(&output), 0, "{args:?}: {}", err(&output));
}

#[test]
fn the_application_goes_on_after_each() {
    if !is_root() {
        return;
    }
    for umask in [0o000, 0o022, 0o077] {
        let (_dir, home) = home(APP, APP, 0o755);
        let dir = home.join("audit");
        play((APP, APP), umask, (module_path!(), "die"), &dir);
        as_root(umask, &["recover"], &dir);
        all_belongs_to(APP, &home);
        play((APP, APP), umask, (module_path!(), "die"), &dir);
        for args in [
            ["token", "create", "--name", "root"].as_slice(),
            &["hold", "place", "--name", "case-17"],
            &["hash-key", "rotate", "second"],
            &[
                "webhook",
                "add",
                "--name",
                "siem",
                "--url",
                "https://siem.example.com/",
                "--event-type",
                "*",
            ],
            &["prune", "--retention-days", "1"],
            &["hold", "release", "case-17"],
            &["prune", "--max-bytes", "1"],
        ] {
            as_root(umask, args, &dir);
            all_belongs_to(APP, &home);
        }
        play((APP, APP), umask, (module_path!(), "die"), &dir);
        as_root(umask, &["recover"], &dir);
        // What reads makes lost indexes again.
        fs::remove_dir_all(dir.join("index")).unwrap();
        for args in [["query"].as_slice(), &["query", "--actor", "nobody"]] {
            as_root(umask, args, &dir);
        }
        all_belongs_to(APP, &home);
        play((APP, APP), umask, (module_path!(), "go on"), &dir);
        all_belongs_to(APP, &home);
    }
}

#[test]
fn a_log_that_root_opens_is_that_of_its_directory() {
    if !is_root() {
        return;
    }
    for umask in [0o000, 0o022, 0o077] {
        // Prepared for the application; begun by root.
        let (_dir, prepared) = home(APP, APP, 0o755);
        play((0, 0), umask, (module_path!(), "die"), &prepared);
        play((0, 0), umask, (module_path!(), "close"), &prepared);
        all_belongs_to(APP, &prepared);
        play((APP, APP), umask, (module_path!(), "go on"), &prepared);
        all_belongs_to(APP, &prepared);

        // A log of root's own beside it stays root's, whoever owns the directory above.
        let (_dir, above) = home(APP, APP, 0o755);
        play(
            (0, 0),
            umask,
            (module_path!(), "close"),
            &above.join("a/log"),
        );
        all_belongs_to(0, &above);

        // A volume of root's that the application may write by its group.
        let (_dir, volume) = home(0, APP, 0o2775);
        play((APP, APP), umask, (module_path!(), "die"), &volume);
        as_root(umask, &["recover"], &volume);
        fs::remove_dir_all(volume.join("index")).unwrap();
        play((0, 0), umask, (module_path!(), "close"), &volume);
        for (path, (owner, ..)) in crate::user::tree(&volume) {
            assert_eq!(owner, APP, "{path}");
        }
        play((APP, APP), umask, (module_path!(), "go on"), &volume);
    }
}

#[test]
fn a_death_of_root_leaves_nothing_for_good() {
    if !is_root() {
        return;
    }
    let (_dir, dir) = home(APP, APP, 0o755);
    play((APP, APP), 0o022, (module_path!(), "close"), &dir);
    // It died when it had made a directory again that was lost, and before it gave it away.
    fs::remove_dir_all(dir.join("index")).unwrap();
    for made in ["index", "index/dt=2026-11-21", "sealed/dt=2026-11-21"] {
        fs::create_dir(dir.join(made)).unwrap();
    }
    play((0, 0), 0o022, (module_path!(), "close"), &dir);
    all_belongs_to(APP, &dir);
    play((APP, APP), 0o022, (module_path!(), "go on"), &dir);
}

/// Another user who starts a command on a log is told whose the log is.
#[test]
fn a_log_of_another_user_is_called_so() {
    if !is_root() {
        return;
    }
    let (above, home) = home(APP, APP, 0o755);
    // Where it was built, another user may not go.
    let copy = above.path().join("tracing-audit");
    fs::copy(program().get_program(), &copy).unwrap();
    let dir = home.join("audit");
    play((APP, APP), 0o022, (module_path!(), "close"), &dir);
    for mode in [0o700, 0o755] {
        fs::set_permissions(&dir, fs::Permissions::from_mode(mode)).unwrap();
        for args in [
            &["serve", "--listen", "127.0.0.1:0"][..],
            &["token", "list"],
            &["query"],
        ] {
            let mut command = Command::new(&copy);
            command
                .args(args)
                .arg("--dir")
                .arg(&dir)
                .uid(OTHER)
                .gid(OTHER);
            let refused = command.current_dir("/").output().unwrap();
            let problem = err(&refused);
            assert_eq!(code(&refused), 1, "{problem}");
            for part in [APP, OTHER] {
                assert!(
                    problem.contains(&format!("uid {part}")),
                    "{args:?}: {problem}"
                );
            }
        }
    }
}

/// Links that the owner puts into the log while a command runs lead nowhere that only root may go.
#[test]
fn root_acts_as_the_user_whose_the_log_is() {
    if !is_root() {
        return;
    }
    let (_dir, home) = home(APP, APP, 0o755);
    let dir = home.join("audit");
    play((APP, APP), 0o022, (module_path!(), "close"), &dir);
    let mut serve = Running::start(
        program()
            .args(["serve", "--listen", "127.0.0.1:0", "--dir"])
            .arg(&dir),
    );
    let mut line = String::new();
    serve.stdout().read_line(&mut line).unwrap();
    let status = fs::read_to_string(format!("/proc/{}/status", serve.0.id())).unwrap();
    assert_eq!(serve.interrupt(), Some(0));
    let of = |name: &str| {
        let mut lines = status.lines();
        let ids = lines.find_map(|line| line.strip_prefix(name)).unwrap();
        ids.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let app = APP.to_string();
    assert_eq!(of("Uid:"), [&*app; 4], "{status}");
    assert!(!of("Gid:").contains(&"0".to_owned()), "{status}");
    assert!(!of("Groups:").contains(&"0".to_owned()), "{status}");
    all_belongs_to(APP, &home);
}
