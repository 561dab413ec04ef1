//! The server is loaded, killed with SIGKILL at random moments and started again on the same log,
//! and at last told to stop. Then the log is held against what the clients know:
//!
//! - A command that was answered has its entry, the one that the answer names, exactly once.
//! - A command that was cut off has its entries or not; a `DEL` may have only the first of its two.
//! - Nothing else is in the log, `verify` finds nothing, and every audit question has its answer.
//!
//! `KILLED_SECONDS=300 KILLED_SEED=7 cargo test -p tcp_server --test killed -- --nocapture`

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "what goes wrong here fails the test, which tells what it did"
)]

mod support;

use std::{
    collections::{BTreeSet, HashMap},
    io::{self, BufRead, BufReader, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use fastrand::Rng;
use serde_json::Value;
use support::{Dir, Server, Tally, assert_unique, lines, query, recovered, settings, text, verify};
use tracing_audit::{AuditReader, Entry, Timestamp};

const USERS: &str = "ann:correct horse:write,bob:battery:write,eve:staple:read";
const CLIENTS: [(&str, &str); 4] = [
    ("ann", "correct horse"),
    ("bob", "battery"),
    ("ann", "correct horse"),
    ("eve", "staple"),
];
const KILLS_OF_ONE_LOG: u32 = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Login,
    FailedLogin,
    Set,
    Expire,
    Delete,
    Denied,
}

/// One command that should leave something in the trail.
#[derive(Debug)]
struct Operation {
    kind: Kind,
    user: &'static str,
    address: Ipv4Addr,
    key: String,
    value: String,
    sent: Timestamp,
    /// When the answer came, and its words; `None` for a command that was cut off.
    answer: Option<(Timestamp, String)>,
}

impl Operation {
    /// The entry that the answer names.
    fn id(&self) -> Option<&str> {
        let (_, answer) = self.answer.as_ref()?;
        let (word, id) = answer.split_once(' ')?;
        assert!(matches!(word, "OK" | "DENIED"), "{self:?}");
        Some(id)
    }

    /// What was answered without an entry: `EXPIRE` of a key that is not there.
    fn changes_nothing(&self) -> bool {
        let nil = matches!(&self.answer, Some((_, answer)) if answer == "NIL");
        nil && self.kind == Kind::Expire
    }

    /// What makes an entry this operation's.
    fn entry(&self, event_type: &str) -> Vec<String> {
        let claimed = self.kind == Kind::FailedLogin;
        let (id, name) = if claimed {
            ("", self.user)
        } else {
            (self.user, "")
        };
        let address = self.address.to_string();
        let parts = [event_type, id, name, &address, &self.key, &self.value];
        parts.map(str::to_owned).into()
    }

    /// The entries that it has, if it was answered, or may have.
    fn entries(&self) -> Vec<Vec<String>> {
        let of = |types: &[&str]| types.iter().map(|t| self.entry(t)).collect();
        match (self.kind, &self.answer) {
            (Kind::Login, _) => of(&["auth.login.success"]),
            (Kind::FailedLogin, _) => of(&["auth.login.failed"]),
            (Kind::Set, _) => of(&["key.set"]),
            (Kind::Expire, _) => of(&["key.expiry_set"]),
            (Kind::Denied, _) => of(&["command.denied"]),
            (Kind::Delete, None) => {
                of(&["key.delete.requested", "key.deleted", "key.delete.failed"])
            }
            (Kind::Delete, Some((_, answer))) if answer == "NIL" => {
                of(&["key.delete.requested", "key.delete.failed"])
            }
            (Kind::Delete, Some(_)) => of(&["key.delete.requested", "key.deleted"]),
        }
    }
}

/// The same of an entry.
fn entry(found: &Value) -> Vec<String> {
    let pointers = [
        "/event_type",
        "/actor/id",
        "/actor/name",
        "/ip_address",
        "/resource/id",
        "/resource/attributes/value",
    ];
    pointers.map(|at| text(found, at).to_owned()).into()
}

/// A connection that notes what it does.
struct Client {
    user: &'static str,
    address: Ipv4Addr,
    reader: BufReader<TcpStream>,
    operations: Vec<Operation>,
}

impl Client {
    fn connect(number: usize, server: SocketAddr) -> io::Result<Self> {
        let (user, _) = CLIENTS[number];
        let (stream, address) = from_address(number, server)?;
        stream.set_nodelay(true)?;
        Ok(Self {
            user,
            address,
            reader: BufReader::new(stream),
            operations: Vec::new(),
        })
    }

    fn ask(&mut self, line: &str) -> io::Result<String> {
        self.reader
            .get_mut()
            .write_all(format!("{line}\n").as_bytes())?;
        let mut answer = String::new();
        self.reader.read_line(&mut answer)?;
        match answer.strip_suffix('\n') {
            Some(answer) => Ok(answer.to_owned()),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn operate(&mut self, kind: Kind, key: &str, value: &str, line: &str) -> io::Result<()> {
        self.operations.push(Operation {
            kind,
            user: self.user,
            address: self.address,
            key: key.to_owned(),
            value: value.to_owned(),
            sent: Timestamp::now(),
            answer: None,
        });
        let answer = self.ask(line)?;
        let last = self.operations.last_mut().unwrap();
        last.answer = Some((Timestamp::now(), answer));
        Ok(())
    }

    /// Signs in, and then works until the server is gone.
    fn work(&mut self, password: &str, life: u64, rng: &mut Rng) -> io::Result<()> {
        let user = self.user;
        if rng.bool() {
            self.operate(Kind::FailedLogin, "", "", &format!("AUTH {user} guess"))?;
        }
        self.operate(Kind::Login, "", "", &format!("AUTH {user} {password}"))?;
        for number in 0u64.. {
            let key = match rng.u32(..8) {
                0 => format!("l{life}.shared"),
                of => format!("l{life}.{}.k{}", self.address, of % 3),
            };
            let value = format!("{life}-{}-{number}", self.address);
            let (set, expire) = (format!("SET {key} {value}"), format!("EXPIRE {key} 20"));
            match rng.u32(..40) {
                _ if user == "eve" && number % 2 == 0 => {
                    self.operate(Kind::Denied, &key, "", &set)?;
                }
                0..30 if user != "eve" => self.operate(Kind::Set, &key, &value, &set)?,
                30..34 if user != "eve" => {
                    self.operate(Kind::Delete, &key, "", &format!("DEL {key}"))?;
                }
                34..36 if user != "eve" => self.operate(Kind::Expire, &key, "", &expire)?,
                _ => {
                    self.ask(&format!("GET {key}"))?;
                }
            }
        }
        Ok(())
    }
}

/// Each client has an address of its own, where the system has more than one for itself.
fn from_address(number: usize, server: SocketAddr) -> io::Result<(TcpStream, Ipv4Addr)> {
    if !cfg!(target_os = "linux") {
        return Ok((TcpStream::connect(server)?, Ipv4Addr::LOCALHOST));
    }
    let address = Ipv4Addr::new(127, 0, 0, 10 + number as u8);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let stream = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(address.into(), 0))?;
        socket.connect(server).await?.into_std()
    })?;
    stream.set_nonblocking(false)?;
    Ok((stream, address))
}

/// One client's share of a life.
fn client(number: usize, server: SocketAddr, life: u64, seed: u64) -> Vec<Operation> {
    let mut rng = Rng::with_seed(seed ^ (number as u64) << 32 ^ life);
    // The server may be killed before it takes the connection.
    let Ok(mut client) = Client::connect(number, server) else {
        return Vec::new();
    };
    let ended = client.work(CLIENTS[number].1, life, &mut rng);
    assert!(ended.is_err(), "a client works until the server is gone");
    client.operations
}

#[test]
fn every_answer_is_in_the_log_once_whenever_the_server_is_killed() {
    let (duration, seed) = settings();
    println!("tcp_server: {} s, KILLED_SEED={seed}", duration.as_secs());
    let mut rng = Rng::with_seed(seed);
    let mut tally = Tally::default();
    let begin = Instant::now();
    while tally.logs == 0 || begin.elapsed() < duration {
        one_log(&mut rng, begin + duration, &mut tally);
        println!("{tally}");
    }
}

/// Lives of the server on one log, and what comes of them.
fn one_log(rng: &mut Rng, until: Instant, tally: &mut Tally) {
    let dir = Dir::new();
    let log = dir.path().join("audit");
    let mut operations = Vec::new();
    for life in 0u64.. {
        let last = life > 1 && (Instant::now() > until || life >= KILLS_OF_ONE_LOG.into());
        let mut command = Command::new(env!("CARGO_BIN_EXE_tcp_server"));
        command.arg("127.0.0.1:0").arg(&log).env("KV_USERS", USERS);
        let server = Server::start(&mut command, dir.path());
        let (address, seed) = (server.address, rng.u64(..));
        let clients: Vec<_> = (0..CLIENTS.len())
            .map(|number| thread::spawn(move || client(number, address, life, seed)))
            .collect();
        thread::sleep(Duration::from_millis(rng.u64(20..400)));
        if last {
            recovered(&log);
            assert!(server.terminate().success());
        } else {
            server.kill();
        }
        for client in clients {
            operations.extend(client.join().unwrap());
        }
        if last {
            tally.kills += life;
            break;
        }
    }
    let entries = lines(&log);
    verify(&log, entries.len());
    assert_unique(&entries);
    compare(&operations, &entries);
    follow_values(&entries);
    let questions = Questions {
        reader: AuditReader::open(&log).unwrap(),
        operations: &operations,
        entries: &entries,
        asked: 0,
    };
    tally.questions += questions.ask(rng);
    tally.logs += 1;
    tally.entries += entries.len() as u64;
    let answered = operations.iter().filter(|o| o.answer.is_some()).count();
    tally.acknowledged += answered as u64;
    tally.open += (operations.len() - answered) as u64;
}

/// What the clients did and what the log has are the same, but for what was cut off.
fn compare(operations: &[Operation], entries: &[Value]) {
    let mut by_id: HashMap<&str, Vec<String>> = HashMap::new();
    let mut counts: HashMap<Vec<String>, i64> = HashMap::new();
    for found in entries {
        by_id.insert(text(found, "/id"), entry(found));
        let own = ["audit.", "server.", "key.expired"];
        let event_type = text(found, "/event_type");
        if !own.iter().any(|own| event_type.starts_with(own)) {
            *counts.entry(entry(found)).or_default() += 1;
        }
    }
    let (answered, cut_off): (Vec<_>, Vec<_>) = operations.iter().partition(|o| o.answer.is_some());
    for operation in answered {
        if operation.changes_nothing() {
            continue;
        }
        for of in operation.entries() {
            *counts.entry(of).or_default() -= 1;
        }
        if let Some(id) = operation.id() {
            // Taken out, so that no two answers name the same entry.
            let found = by_id.remove(id);
            assert_eq!(found.as_ref(), operation.entries().last(), "{operation:?}");
        }
    }
    let lost: Vec<_> = counts.iter().filter(|(_, left)| **left < 0).collect();
    assert!(lost.is_empty(), "lost: {lost:#?}");
    for operation in cut_off {
        for of in operation.entries() {
            let left = counts.entry(of).or_default();
            *left -= i64::from(*left > 0);
        }
    }
    counts.retain(|_, left| *left > 0);
    assert!(counts.is_empty(), "nobody did: {counts:#?}");
}

/// The prior value of each entry is what the entry before it made of the key.
fn follow_values(entries: &[Value]) {
    let mut values: HashMap<(&str, &str), &str> = HashMap::new();
    for entry in entries {
        // A new life has a new stream, and begins without keys.
        let key = (text(entry, "/stream"), text(entry, "/resource/id"));
        let prior = text(entry, "/resource/prior_attributes/value");
        match text(entry, "/event_type") {
            "key.set" => {
                let new = text(entry, "/resource/attributes/value");
                assert_eq!(values.insert(key, new).unwrap_or_default(), prior);
            }
            "key.deleted" => assert_eq!(values.remove(&key), Some(prior)),
            "key.expired" => {
                assert_eq!(values.remove(&key), Some(prior));
                assert_eq!(text(entry, "/actor/id"), "expiry");
            }
            _ => {}
        }
    }
}

/// What auditors ask.
struct Questions<'a> {
    reader: AuditReader,
    operations: &'a [Operation],
    entries: &'a [Value],
    asked: u64,
}

impl Questions<'_> {
    /// How many were asked; all have the right answer.
    fn ask(mut self, rng: &mut Rng) -> u64 {
        self.who_changed(rng);
        for user in ["ann", "bob", "eve"] {
            let by = |e: &Value| text(e, "/actor/id") == user || text(e, "/actor/name") == user;
            self.answer(&[("actor", user)], by, |o| o.user == user);
        }
        let addresses: BTreeSet<_> = self.operations.iter().map(|o| o.address).collect();
        for address in addresses {
            let filters = [
                ("event_type", "auth.login.failed"),
                ("ip_address", &address.to_string()),
            ];
            let failed = |e: &Value| {
                text(e, "/event_type") == "auth.login.failed"
                    && text(e, "/ip_address") == address.to_string()
            };
            let by = |o: &Operation| o.kind == Kind::FailedLogin && o.address == address;
            self.answer(&filters, failed, by);
        }
        self.answer(
            &[("event_type", "command.denied")],
            |e| text(e, "/event_type") == "command.denied",
            |o| o.kind == Kind::Denied,
        );
        for _ in 0..5 {
            self.what_happened_between(rng);
        }
        self.asked
    }

    /// Asks the log, and compares with its lines and with what the clients know.
    fn answer(
        &mut self,
        filters: &[(&str, &str)],
        of_entry: impl Fn(&Value) -> bool,
        of_operation: impl Fn(&Operation) -> bool,
    ) -> Vec<Entry> {
        let found = query(&self.reader, filters);
        let got: BTreeSet<_> = found.iter().map(|entry| entry.id().to_owned()).collect();
        assert_eq!(got.len(), found.len(), "{filters:?}");
        let wanted = self.entries.iter().filter(|e| of_entry(e));
        let wanted: BTreeSet<_> = wanted.map(|e| text(e, "/id").to_owned()).collect();
        assert_eq!(got, wanted, "{filters:?}");
        for operation in self.operations.iter().filter(|o| of_operation(o)) {
            let missing = operation.id().filter(|id| !got.contains(*id));
            assert_eq!(missing, None, "{filters:?}: {operation:?}");
        }
        self.asked += 1;
        found
    }

    /// Who changed a key, and what it was before and after: of some keys.
    fn who_changed(&mut self, rng: &mut Rng) {
        let keys: BTreeSet<_> = self.operations.iter().map(|o| &o.key).collect();
        let mut keys: Vec<_> = keys.into_iter().filter(|key| !key.is_empty()).collect();
        rng.shuffle(&mut keys);
        keys.truncate(12);
        for key in keys {
            let found = self.answer(
                &[("resource", key)],
                |e| text(e, "/resource/id") == key,
                |o| o.key == *key,
            );
            let found: Vec<Value> = found.iter().map(|entry| entry.parse().unwrap()).collect();
            // The keys with a number are one client's own, which knows in which order it set them.
            let values = found.iter().filter(|e| e["event_type"] == "key.set");
            let values: Vec<_> = values
                .map(|e| text(e, "/resource/attributes/value"))
                .collect();
            let set = |o: &&Operation| o.kind == Kind::Set && o.key == *key;
            let sent: Vec<_> = self.operations.iter().filter(set).collect();
            if !key.ends_with("shared") {
                let sent: Vec<_> = sent.iter().map(|o| o.value.as_str()).collect();
                assert!(sent.starts_with(&values) && sent.len() <= values.len() + 1);
            }
            let who: BTreeSet<_> = sent.iter().filter_map(|o| o.id().map(|_| o.user)).collect();
            let changed = found.iter().filter(|e| e["event_type"] == "key.set");
            let told: BTreeSet<_> = changed.map(|e| text(e, "/actor/id")).collect();
            assert!(told.is_superset(&who), "{key}: {told:?} {who:?}");
        }
    }

    fn what_happened_between(&mut self, rng: &mut Rng) {
        let mut moments = [(); 2].map(|()| rng.choice(self.operations).unwrap().sent);
        moments.sort();
        let [from, to] = moments;
        if from == to {
            return;
        }
        let (start, end) = (from.to_string(), to.to_string());
        let between = |e: &Value| {
            let at: Timestamp = text(e, "/timestamp").parse().unwrap();
            from <= at && at < to
        };
        let during = |o: &Operation| {
            from <= o.sent
                && o.answer
                    .as_ref()
                    .is_some_and(|(answered, _)| *answered < to)
        };
        let found = self.answer(
            &[("start_date", &start), ("end_date", &end)],
            between,
            during,
        );
        let found: BTreeSet<_> = found.iter().map(Entry::id).collect();
        for operation in self.operations {
            let Some((id, (answered, _))) = operation.id().zip(operation.answer.as_ref()) else {
                continue;
            };
            let outside = *answered < from || to <= operation.sent;
            assert!(!outside || !found.contains(id), "{operation:?}");
        }
    }
}
