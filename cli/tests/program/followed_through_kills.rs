//! Programs that follow the log over HTTP get every entry once, although the applications that
//! write it and the server that they ask are killed again and again.

use std::{
    collections::HashMap,
    io::{BufReader, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    sync::{
        Mutex,
        mpsc::{self, TryRecvError},
    },
    time::{Duration, Instant},
};

use serde_json::Value;
use tracing_audit::{AuditLog, audit};
use tracing_subscriber::prelude::*;

use crate::{
    cli::run,
    serving::{Server, log, serve},
    support::{self, HANGS, Victim, until},
};

/// How many applications and how many servers are killed.
const APPLICATIONS: usize = 150;
const SERVERS: usize = 50;

/// Records until it is killed; its files rotate and are sealed all the time.
#[test]
fn victim() {
    let Ok(dir) = std::env::var("FOLLOWED_DIR") else {
        return;
    };
    let log = AuditLog::builder(dir)
        .source("victim")
        .rotate_bytes(16 << 10)
        .compression_level(1)
        .live_grace(Duration::from_millis(5))
        .sync_every(Duration::from_millis(7))
        .journal_bytes(1 << 20)
        .open()
        .unwrap();
    tracing_subscriber::registry().with(log.layer()).init();
    for n in 0..100_000 {
        audit!("order.placed", number = n, filler = "x".repeat(n % 300));
        if n % 50 == 0 {
            std::thread::sleep(Duration::from_millis(3));
        }
    }
}

/// An application that records in this log until it is killed.
pub(crate) fn victim_in(dir: &Path) -> Victim {
    let variables = [("FOLLOWED_DIR", dir.to_str().unwrap())];
    Victim::start(&mut support::child(module_path!(), "victim", &variables))
}

/// How often a follower got each entry.
type Found = HashMap<String, u32>;

/// How many entries a follower gets in the end, and since when that is known.
struct Wanted(mpsc::Receiver<usize>, Option<(usize, Instant)>);

impl Wanted {
    /// Whether the follower has them all, or won't get them: nobody will say how many there are, or
    /// they don't come.
    fn is_met(&mut self, found: &Found) -> bool {
        if self.1.is_none() {
            self.1 = match self.0.try_recv() {
                Ok(all) => Some((all, Instant::now())),
                Err(TryRecvError::Empty) => None,
                Err(TryRecvError::Disconnected) => return true,
            };
        }
        self.1
            .is_some_and(|(all, since)| found.len() >= all || since.elapsed() > HANGS)
    }
}

fn take(found: &mut Found, page: &Value) {
    for entry in page["entries"].as_array().unwrap() {
        let id = entry["id"].as_str().unwrap().to_owned();
        *found.entry(id).or_default() += 1;
    }
}

/// The server that is asked now, and the token for it.
struct Asked<'a> {
    address: &'a Mutex<String>,
    token: &'a str,
}

impl Asked<'_> {
    /// Begins a request. The server may be dead, and so may the connection be at any time.
    fn ask(&self, path: &str, header: &str) -> std::io::Result<BufReader<TcpStream>> {
        let address = self.address.lock().unwrap().clone();
        let mut socket = TcpStream::connect(&address)?;
        socket.set_read_timeout(Some(HANGS))?;
        // An answer of this version ends with its connection.
        write!(
            socket,
            "GET /audit/{path} HTTP/1.0\r\nhost: {address}\r\nauthorization: Bearer {}\r\n{header}\r\n",
            self.token
        )?;
        Ok(BufReader::new(socket))
    }

    /// The next page in the order of arrival, if the answer was whole; without a cursor the first
    /// entry.
    fn page(&self, cursor: &str) -> Option<Value> {
        let path = match cursor {
            "" => "entries?order=arrival&limit=1".to_owned(),
            _ => format!("entries?order=arrival&limit=1000&cursor={cursor}"),
        };
        let mut answer = String::new();
        let mut reader = self.ask(&path, "").ok()?;
        reader.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        if head.contains(" 503 ") {
            return None;
        }
        assert!(head.starts_with("HTTP/1.0 200"), "{head}");
        // The page is broken off if the server died meanwhile.
        serde_json::from_str(body).ok()
    }

    /// Polls, from this cursor on, until it got all that is wanted.
    fn poll(&self, cursor: &str, mut found: Found, mut wanted: Wanted) -> Found {
        let mut cursor = cursor.to_owned();
        while !wanted.is_met(&found) {
            let Some(page) = self.page(&cursor) else {
                std::thread::sleep(Duration::from_millis(5));
                continue;
            };
            take(&mut found, &page);
            cursor = page["next_cursor"].as_str().unwrap().to_owned();
        }
        found
    }

    /// The same by the stream of events.
    fn follow(&self, cursor: &str, mut found: Found, mut wanted: Wanted) -> Found {
        let mut cursor = cursor.to_owned();
        while !wanted.is_met(&found) {
            if self.receive(&mut cursor, &mut found, &mut wanted).is_err() {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        found
    }

    /// Receives events until the connection ends; ends it after some of them.
    fn receive(
        &self,
        cursor: &mut String,
        found: &mut Found,
        wanted: &mut Wanted,
    ) -> std::io::Result<()> {
        let mut lines = self.ask("stream", &format!("last-event-id: {cursor}\r\n"))?;
        for _ in 0..fastrand::usize(1..20) {
            let event = event(&mut lines)?;
            if event["event"] == "end" {
                break;
            }
            take(found, &serde_json::from_str(&event["data"]).unwrap());
            *cursor = event["id"].clone();
            if wanted.is_met(found) {
                break;
            }
        }
        Ok(())
    }
}

/// The fields of the next event that is whole.
fn event(lines: &mut impl std::io::BufRead) -> std::io::Result<HashMap<String, String>> {
    let mut fields = HashMap::new();
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        match line.trim_end_matches(['\r', '\n']) {
            "" if fields.contains_key("data") => return Ok(fields),
            // The answer's head, or a heartbeat.
            "" => fields.clear(),
            line => {
                let (name, value) = line.split_once(": ").unwrap_or((line, ""));
                fields.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}

/// Kills applications and servers, and leaves a server that was not killed.
fn kill_all(dir: &Path, mut server: Server, address: &Mutex<String>) -> Server {
    for round in 0..APPLICATIONS {
        let victim = victim_in(dir);
        std::thread::sleep(Duration::from_micros(fastrand::u64(500..60_000)));
        if round % (APPLICATIONS / SERVERS) == 0 {
            // A server is killed at once when it is dropped.
            drop(server);
            server = serve(dir, &[]);
            *address.lock().unwrap() = server.address.clone();
        }
        victim.kill::<String>();
    }
    server
}

/// The ids of what a follower gets, if nothing is missing: all but the reads of the log.
fn ids(dir: &Path) -> Vec<String> {
    let entries = support::records(dir).into_iter();
    let wanted = entries.filter(|entry| {
        let event_type = entry["event_type"].as_str().unwrap();
        !event_type.starts_with("audit.access.")
    });
    wanted
        .map(|entry| entry["id"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn every_entry_comes_once() {
    let (dir, token) = log();
    let server = serve(dir.path(), &[]);
    let address = Mutex::new(server.address.clone());
    let asked = Asked {
        address: &address,
        token: &token,
    };
    let page = asked.page("").unwrap();
    let first = page["next_cursor"].as_str().unwrap();
    let mut found = Found::new();
    take(&mut found, &page);
    let (polled, followed) = std::thread::scope(|threads| {
        // If this thread fails, the followers end with these.
        let (tell_poller, poller) = mpsc::channel();
        let (tell_follower, follower) = mpsc::channel();
        let (poller, follower) = (Wanted(poller, None), Wanted(follower, None));
        let polled = threads.spawn(|| asked.poll(first, found.clone(), poller));
        let followed = threads.spawn(|| asked.follow(first, found.clone(), follower));
        let _server = kill_all(dir.path(), server, &address);
        until("the server has recovered what was left", || {
            AuditLog::recover(dir.path(), |_| {}).unwrap();
            run(dir.path(), &["verify"]).status.success()
        });
        let all = ids(dir.path()).len();
        tell_poller.send(all).unwrap();
        tell_follower.send(all).unwrap();
        (polled.join().unwrap(), followed.join().unwrap())
    });
    let all = ids(dir.path());
    assert!(all.len() > 1000, "{} entries are too few to say", all.len());
    for found in [polled, followed] {
        let missing = all.iter().filter(|id| !found.contains_key(*id)).count();
        let twice = found.values().filter(|count| **count > 1).count();
        assert_eq!((missing, twice, found.len()), (0, 0, all.len()));
    }
}
