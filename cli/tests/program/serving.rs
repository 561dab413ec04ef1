//! `serve`: which requests it answers, and that its own problems are seen.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::Stdio,
};

use serde_json::Value;
use tracing_audit::AuditLog;

use crate::cli::{Running, code, err, out, program, run};

pub(crate) struct Server {
    running: Running,
    pub(crate) address: String,
}

/// Serves the log in this directory, with these flags as well.
pub(crate) fn serve(dir: &Path, flags: &[&str]) -> Server {
    let mut command = program();
    command.args(["serve", "--dir"]).arg(dir).args(flags);
    if !flags.contains(&"--listen") {
        command.args(["--listen", "127.0.0.1:0"]);
    }
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = Running(command.spawn().unwrap());
    let mut first = String::new();
    running.stdout().read_line(&mut first).unwrap();
    let (_, address) = first.trim_end().rsplit_once("http://").unwrap();
    let address = address.strip_suffix("/audit").unwrap().to_owned();
    Server { running, address }
}

impl Server {
    fn get(&self, path: &str, headers: &str) -> String {
        let mut socket = TcpStream::connect(&self.address).unwrap();
        let request = format!("GET /audit{path} HTTP/1.1\r\nconnection: close\r\n{headers}\r\n");
        socket.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer
    }

    fn status(&self, path: &str, headers: &str) -> String {
        self.get(path, headers)[9..12].to_owned()
    }
}

pub(crate) fn log() -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::builder(dir.path()).source("shop");
    log.open().unwrap().close().unwrap();
    let made = run(dir.path(), &["token", "create", "--name", "t"]);
    (dir, out(&made).trim_end().to_owned())
}

#[test]
fn its_own_problems_are_on_stderr_as_text_or_as_json() {
    let (dir, token) = log();
    for (flags, is_json) in [(&[][..], false), (&["--log-format", "json"][..], true)] {
        let path = dir.path().join("state/tokens.json");
        let good = fs::read(&path).unwrap();
        let mut server = serve(dir.path(), flags);
        fs::write(&path, "damaged").unwrap();
        let bearer = format!("host: a\r\nauthorization: Bearer {token}\r\n");
        assert_eq!(server.status("/entries", &bearer), "503");
        assert!(server.get("/readyz", "host: a\r\n").contains("tokens.json"));
        let mut stderr = BufReader::new(server.running.0.stderr.take().unwrap());
        let mut line = String::new();
        stderr.read_line(&mut line).unwrap();
        assert!(
            line.contains("every token of the audit log is refused"),
            "{line}"
        );
        assert!(line.contains("tokens.json"), "{line}");
        match serde_json::from_str::<Value>(&line) {
            Ok(message) => {
                assert!(is_json, "{line}");
                assert_eq!(message["level"], "ERROR");
            }
            Err(_) => assert!(!is_json && line.contains("ERROR"), "{line}"),
        }
        assert_eq!(server.running.interrupt(), Some(0));
        fs::write(&path, good).unwrap();
    }
}

#[test]
fn hosts_and_proxies_are_those_of_the_flags() {
    let (dir, token) = log();
    let flags = [
        "--host",
        "audit.example.com",
        "--trusted-proxy",
        "127.0.0.1",
    ];
    let server = serve(dir.path(), &flags);
    let bearer = format!("authorization: Bearer {token}\r\n");
    let from = |host: &str| format!("{bearer}host: {host}\r\nx-forwarded-for: 198.51.100.9\r\n");
    assert_eq!(server.status("/entries", &from("audit.example.com")), "200");
    assert_eq!(server.status("/entries", &from("evil.example.com")), "421");
    assert_eq!(server.running.interrupt(), Some(0));
    let accesses = run(
        dir.path(),
        &[
            "query",
            "--event-type",
            "audit.access.*",
            "--ip-address",
            "198.51.100.9",
        ],
    );
    assert_eq!(out(&accesses).lines().count(), 2, "{}", out(&accesses));

    for (flag, wrong) in [("--host", "https://a"), ("--trusted-proxy", "10.0.0.0/40")] {
        let refused = run(
            dir.path(),
            &["serve", "--listen", "127.0.0.1:0", flag, wrong],
        );
        assert_eq!(code(&refused), 2);
        assert!(
            err(&refused).contains(&format!("{flag}: ")),
            "{}",
            err(&refused)
        );
    }
}

#[test]
fn limits_are_those_of_the_flags_and_of_the_file() {
    let (dir, token) = log();
    let config = dir.path().join("serve.toml");
    fs::write(&config, "[serve]\nmax-requests-per-minute = 2\n").unwrap();
    let from_file = ["--config", config.to_str().unwrap()];
    for flags in [&["--max-requests-per-minute", "2"], &from_file] {
        let server = serve(dir.path(), flags);
        let bearer = format!("host: a\r\nauthorization: Bearer {token}\r\n");
        let statuses = [(); 3].map(|()| server.status("/entries", &bearer));
        assert_eq!(statuses, ["200", "200", "429"]);
        assert_eq!(server.running.interrupt(), Some(0));
    }
    for (flag, wrong) in [
        ("--max-requests-per-minute", "0"),
        ("--max-requests-per-minute", "99999999999999999999"),
        ("--max-downloads-per-caller", "-1"),
        ("--max-downloads-per-caller", "10001"),
        ("--max-streams-per-caller", "many"),
        ("--page-memory-bytes", "1000"),
        ("--page-memory-bytes", "99999999999999999999"),
    ] {
        let wrong_flag = format!("{flag}={wrong}");
        let refused = run(
            dir.path(),
            &["serve", "--listen", "127.0.0.1:0", &wrong_flag],
        );
        assert_eq!(code(&refused), 2);
        let problem = err(&refused);
        assert!(
            problem.contains(flag) && problem.contains(wrong),
            "{problem}"
        );
        fs::write(&config, format!("[serve]\n{} = \"{wrong}\"\n", &flag[2..])).unwrap();
        let refused = run(dir.path(), &["serve", from_file[0], from_file[1]]);
        let problem = err(&refused);
        assert_eq!(code(&refused), 2, "{problem}");
        assert!(
            problem.contains(flag) && problem.contains(wrong),
            "{problem}"
        );
    }
}

#[test]
fn a_name_is_an_address_to_listen_on() {
    let (dir, token) = log();
    let server = serve(dir.path(), &["--listen", "localhost:0"]);
    let address: std::net::SocketAddr = server.address.parse().unwrap();
    assert!(address.ip().is_loopback(), "{address}");
    let bearer = format!("host: a\r\nauthorization: Bearer {token}\r\n");
    assert_eq!(server.status("/entries", &bearer), "200");
    assert_eq!(server.running.interrupt(), Some(0));
    // What holds for an address holds for a name of that address.
    let refused = run(dir.path(), &["serve", "--listen", "0:0"]);
    assert_eq!(code(&refused), 2);
    assert!(
        err(&refused).contains("0.0.0.0:0 is not on loopback"),
        "{}",
        err(&refused)
    );
}

#[test]
fn serve_answers_who_has_a_token_until_ctrl_c() {
    let dir = crate::commands::log(12);
    let token = out(&run(dir.path(), &["token", "create", "--name", "t"]))
        .trim_end()
        .to_owned();
    let mut serve = Running::start(
        program()
            .args(["serve", "--listen", "127.0.0.1:0", "--dir"])
            .arg(dir.path()),
    );
    let mut first = String::new();
    serve.stdout().read_line(&mut first).unwrap();
    let address = first
        .trim_end()
        .rsplit_once("http://")
        .unwrap()
        .1
        .strip_suffix("/audit")
        .unwrap()
        .to_owned();
    let get = |path: &str, authorization: &str| {
        let mut socket = std::net::TcpStream::connect(&address).unwrap();
        write!(
            socket,
            "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{authorization}\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer
    };
    assert!(get("/audit/entries", "").starts_with("HTTP/1.1 401"));
    let answer = get(
        "/audit/entries?event_type=user.*",
        &format!("authorization: Bearer {token}\r\n"),
    );
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.contains("\"user.updated\""),
        "{answer}"
    );

    let taken = run(dir.path(), &["serve", "--listen", &address]);
    assert_eq!(code(&taken), 1, "the port is taken");
    assert!(err(&taken).contains(&address), "{}", err(&taken));
    assert_eq!(serve.interrupt(), Some(0));
    assert_eq!(code(&run(dir.path(), &["verify"])), 0);
}
