//! The service is loaded, killed with SIGKILL at random moments and started again on the same log
//! and database, and at last told to stop. Then the log is held against what the clients know, and
//! against the database:
//!
//! - A request that was answered has all of its entries exactly once, in order, with what was sent.
//! - A request that was cut off has the first of them, or none. So has a job.
//! - Nothing else is in the log. No change is in the database whose start is not in the log, and no
//!   end is in the log whose change is not in the database.
//! - `verify` finds nothing, and every audit question has its answer.
//!
//! `KILLED_SECONDS=300 KILLED_SEED=7 cargo test -p rest_service --test killed -- --nocapture`

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "what goes wrong here fails the test, which tells what it did"
)]

#[path = "../../tcp_server/tests/support/mod.rs"]
mod support;

mod http;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::SocketAddr,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use fastrand::Rng;
use http::Http;
use serde_json::{Value, json};
use support::{
    Dir, Server, Tally, assert_unique, ids, lines, query, recovered, settings, text, verify,
};
use tracing_audit::{AuditReader, NewToken, Scope, Timestamp, TokenStore};

const USERS: [&str; 4] = ["root", "ann", "bob", "eve"];
const KILLS_OF_ONE_LOG: u32 = 8;

/// One request that should leave something in the trail.
#[derive(Clone, Debug)]
struct Operation {
    request_id: String,
    life: u64,
    user: &'static str,
    address: String,
    /// The entries that it leaves when it is answered.
    entries: &'static [&'static str],
    resource: String,
    text: String,
    sent: Timestamp,
    /// When the answer came, and its body; `None` for a request that was cut off.
    answer: Option<(Timestamp, Value)>,
}

/// What one client knows, through all lives of the service.
#[derive(Debug)]
struct Client {
    number: usize,
    token: Option<String>,
    notes: Vec<String>,
    count: u64,
    operations: Vec<Operation>,
}

impl Client {
    fn user(&self) -> &'static str {
        USERS[self.number]
    }

    fn address(&self) -> String {
        format!("192.0.2.{}", 10 + self.number)
    }

    /// Sends a request that leaves entries, and notes what came of it.
    fn operate(
        &mut self,
        http: &mut Http,
        life: u64,
        request: (&str, &str, Option<Value>),
        (status, entries): (u16, &'static [&'static str]),
        (resource, text): (&str, &str),
    ) -> io::Result<Value> {
        self.count += 1;
        let request_id = format!("{}-{}", self.user(), self.count);
        self.operations.push(Operation {
            request_id: request_id.clone(),
            life,
            user: self.user(),
            address: self.address(),
            entries,
            resource: resource.to_owned(),
            text: text.to_owned(),
            sent: Timestamp::now(),
            answer: None,
        });
        let headers = [
            ("x-request-id", request_id.as_str()),
            ("x-forwarded-for", &self.address()),
        ];
        let (got, body) = http.ask(request, self.token.as_deref(), &headers)?;
        let last = self.operations.last_mut().unwrap();
        assert_eq!(got, status, "{last:?}: {body}");
        last.answer = Some((Timestamp::now(), body.clone()));
        Ok(body)
    }

    fn sign_in(&mut self, http: &mut Http, life: u64) -> io::Result<()> {
        self.token = None;
        let credentials = json!({ "name": self.user(), "password": password(self.user()) });
        let request = ("POST", "/sessions", Some(credentials));
        let body = self.operate(
            http,
            life,
            request,
            (200, &["auth.login.success"]),
            ("", ""),
        )?;
        self.token = Some(text(&body, "/token").to_owned());
        Ok(())
    }

    fn create(&mut self, http: &mut Http, life: u64) -> io::Result<()> {
        let words = format!("{} {} of {life}", self.user(), self.count);
        let request = ("POST", "/notes", Some(json!({ "text": words })));
        let entries = &["note.create.started", "note.created"];
        let body = self.operate(http, life, request, (201, entries), ("", &words))?;
        let id = body["id"].to_string();
        self.operations.last_mut().unwrap().resource = id.clone();
        self.notes.push(id);
        Ok(())
    }

    /// Works until the service is gone.
    fn work(&mut self, http: &mut Http, life: u64, rng: &mut Rng) -> io::Result<()> {
        if self.token.is_none() || rng.u32(..3) == 0 {
            self.sign_in(http, life)?;
        }
        loop {
            match self.user() {
                "root" => self.administer(http, life, rng)?,
                "eve" => self.attack(http, life, rng)?,
                _ => self.write(http, life, rng)?,
            }
        }
    }

    fn write(&mut self, http: &mut Http, life: u64, rng: &mut Rng) -> io::Result<()> {
        let Some(id) = rng.choice(&self.notes).cloned() else {
            return self.create(http, life);
        };
        let (path, words) = (format!("/notes/{id}"), format!("{} {life}", self.count));
        let words = format!("{} {words}", self.user());
        match rng.u32(..10) {
            0..2 => self.create(http, life)?,
            2 => {
                self.notes.retain(|note| *note != id);
                let request = ("DELETE", path.as_str(), None);
                let entries = &["note.delete.started", "note.deleted"];
                self.operate(http, life, request, (204, entries), (&id, ""))?;
            }
            3 => {
                let request = ("POST", "/exports", None);
                self.operate(http, life, request, (202, &["export.requested"]), ("", ""))?;
            }
            4 => {
                let request = ("GET", path.as_str(), None);
                self.operate(http, life, request, (200, &[]), (&id, ""))?;
            }
            _ => {
                let request = ("PUT", path.as_str(), Some(json!({ "text": words })));
                let entries = &["note.update.started", "note.updated"];
                self.operate(http, life, request, (204, entries), (&id, &words))?;
            }
        }
        Ok(())
    }

    fn administer(&mut self, http: &mut Http, life: u64, rng: &mut Rng) -> io::Result<()> {
        let (role, right): (_, (u16, &'static [&'static str])) = match rng.u32(..3) {
            0 => (
                "king",
                (
                    400,
                    &["user.role_change.started", "user.role_change.failed"],
                ),
            ),
            1 => (
                "admin",
                (204, &["user.role_change.started", "user.role_changed"]),
            ),
            _ => (
                "member",
                (204, &["user.role_change.started", "user.role_changed"]),
            ),
        };
        let request = ("PUT", "/users/temp/role", Some(json!({ "role": role })));
        self.operate(http, life, request, right, ("temp", role))?;
        Ok(())
    }

    fn attack(&mut self, http: &mut Http, life: u64, rng: &mut Rng) -> io::Result<()> {
        match rng.u32(..20) {
            0 => {
                let guess = json!({ "name": "eve", "password": "guess" });
                let request = ("POST", "/sessions", Some(guess));
                self.operate(http, life, request, (401, &["auth.login.failed"]), ("", ""))?;
            }
            1..5 => {
                let token = self.token.replace("stolen".to_owned());
                let request = ("GET", "/notes/1", None);
                let entries = &["auth.token.rejected"];
                let asked = self.operate(http, life, request, (401, entries), ("", ""));
                self.token = token;
                asked?;
            }
            5..8 => {
                let request = ("PUT", "/users/eve/role", Some(json!({ "role": "admin" })));
                self.operate(http, life, request, (403, &["access.denied"]), ("eve", ""))?;
            }
            _ => {
                let request = ("DELETE", "/notes/1", None);
                self.operate(http, life, request, (403, &["access.denied"]), ("1", ""))?;
            }
        }
        Ok(())
    }
}

fn password(user: &str) -> String {
    format!("the password of {user}")
}

/// The users, and a note that stays.
fn set_up(server: SocketAddr, clients: &mut [Client]) -> io::Result<()> {
    let http = &mut Http::connect(server)?;
    clients[0].sign_in(http, 0)?;
    for user in ["ann", "bob", "eve", "temp"] {
        let new = json!({
            "name": user,
            "email": format!("{user}@example.com"),
            "password": password(user),
            "role": "member",
        });
        let request = ("POST", "/users", Some(new));
        let entries = &["user.create.started", "user.created"];
        clients[0].operate(http, 0, request, (201, entries), (user, "member"))?;
    }
    clients[1].sign_in(http, 0)?;
    clients[1].create(http, 0)?;
    assert_eq!(clients[1].notes, ["1"]);
    clients[1].notes.clear();
    Ok(())
}

/// One client's share of a life.
fn one_life(mut client: Client, server: SocketAddr, life: u64, seed: u64) -> Client {
    let mut rng = Rng::with_seed(seed.wrapping_add(client.number as u64));
    // The service may be killed before it takes the connection.
    if let Ok(mut http) = Http::connect(server) {
        let ended = client.work(&mut http, life, &mut rng);
        assert!(ended.is_err(), "a client works until the service is gone");
    }
    client
}

#[test]
fn every_answer_is_in_the_log_once_whenever_the_service_is_killed() {
    let (duration, seed) = settings();
    println!("rest_service: {} s, KILLED_SEED={seed}", duration.as_secs());
    let mut rng = Rng::with_seed(seed);
    let mut tally = Tally::default();
    let begin = Instant::now();
    while tally.logs == 0 || begin.elapsed() < duration {
        one_log(&mut rng, begin + duration, &mut tally);
        println!("{tally}");
    }
}

fn start(dir: &Path) -> Server {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rest_service"));
    command.arg("127.0.0.1:0").arg(dir);
    command
        .env("ADMIN_PASSWORD", password("root"))
        .env("TRUSTED_PROXIES", "127.0.0.1");
    Server::start(&mut command, dir)
}

/// Lives of the service on one log, and what comes of them.
fn one_log(rng: &mut Rng, until: Instant, tally: &mut Tally) {
    let dir = Dir::new();
    let mut clients: Vec<_> = (0..USERS.len())
        .map(|number| Client {
            number,
            token: None,
            notes: Vec::new(),
            count: 0,
            operations: Vec::new(),
        })
        .collect();
    for life in 0u64.. {
        let last = life > 1 && (Instant::now() > until || life >= KILLS_OF_ONE_LOG.into());
        let server = start(dir.path());
        if life == 0 {
            set_up(server.address, &mut clients).unwrap();
        }
        let (address, seed) = (server.address, rng.u64(..));
        let threads: Vec<_> = clients
            .into_iter()
            .map(|client| thread::spawn(move || one_life(client, address, life, seed)))
            .collect();
        thread::sleep(Duration::from_millis(rng.u64(20..1200)));
        if last {
            recovered(&dir.path().join("audit"));
            assert!(server.terminate().success());
        } else {
            server.kill();
        }
        clients = threads.into_iter().map(|of| of.join().unwrap()).collect();
        if last {
            tally.kills += life;
            break;
        }
    }
    let operations: Vec<_> = clients.into_iter().flat_map(|c| c.operations).collect();
    check(dir.path(), &operations, rng, tally);
}

fn check(dir: &Path, operations: &[Operation], rng: &mut Rng, tally: &mut Tally) {
    let log = dir.join("audit");
    let entries = lines(&log);
    verify(&log, entries.len());
    assert_unique(&entries);
    compare(operations, &entries);
    follow_database(dir, &entries);
    tally.questions += ask_by_http(dir, &entries);
    let questions = Questions {
        reader: AuditReader::open(&log).unwrap(),
        operations,
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
    let last_life = operations.iter().map(|o| o.life).max().unwrap();
    let mut by_request: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for entry in entries {
        let event_type = text(entry, "/event_type");
        let system = text(entry, "/actor/type") == "system";
        if !event_type.starts_with("audit.") && !system {
            let id = text(entry, "/context/request_id");
            by_request.entry(id).or_default().push(entry);
        }
    }
    for operation in operations {
        let mut found = by_request
            .remove(operation.request_id.as_str())
            .unwrap_or_default();
        let before = found.len();
        found.retain(|entry| entry["event_type"] != "export.completed");
        let jobs = before - found.len();
        let types: Vec<_> = found.iter().map(|e| text(e, "/event_type")).collect();
        if operation.answer.is_some() {
            assert_eq!(types, operation.entries, "{operation:?}");
        } else {
            assert!(
                operation.entries.starts_with(&types),
                "{operation:?}: {types:?}"
            );
        }
        let is_export = types == ["export.requested"];
        assert!(jobs <= usize::from(is_export), "{operation:?}");
        // A job of an orderly life comes to its end.
        assert!(
            jobs == 1 || !is_export || operation.life < last_life,
            "{operation:?}"
        );
        for entry in found {
            says_what_was_done(operation, entry);
        }
    }
    assert!(by_request.is_empty(), "nobody did: {by_request:#?}");
}

fn says_what_was_done(operation: &Operation, entry: &Value) {
    assert_eq!(text(entry, "/ip_address"), operation.address, "{entry}");
    let anonymous = ["auth.login.failed", "auth.token.rejected"];
    let event_type = text(entry, "/event_type");
    let who = (text(entry, "/actor/type"), text(entry, "/actor/name"));
    match event_type {
        "auth.token.rejected" => assert_eq!(who, ("anonymous", ""), "{entry}"),
        _ if anonymous.contains(&event_type) => assert_eq!(who, ("anonymous", operation.user)),
        _ => assert_eq!(who, ("user", operation.user), "{entry}"),
    }
    if event_type.starts_with("note.") || event_type == "access.denied" {
        let resource = text(entry, "/resource/id");
        // The start of a note's creation does not know its id, nor does a client that was cut off.
        let unknown = event_type.starts_with("note.create");
        assert!(resource == operation.resource || unknown, "{entry}");
    }
    let new = text(entry, "/resource/attributes/text");
    assert!(
        !event_type.starts_with("note.") || new == operation.text,
        "{entry}"
    );
    let role = text(entry, "/resource/attributes/role");
    assert!(
        !event_type.starts_with("user.") || role == operation.text,
        "{entry}"
    );
    if let Some(email) = entry.pointer("/details/email") {
        let clear = format!("{}@example.com", operation.resource);
        assert_eq!(email, &format!("{}…", &clear[..3]));
        assert!(!entry.to_string().contains(&clear), "{entry}");
    }
}

/// Follows what the entries say of each note and each role, through all kills, to what the database
/// has in the end. A start without an end leaves two possibilities, of which the next entry, or the
/// database, tells which it was.
fn follow_database(dir: &Path, entries: &[Value]) {
    let rows = rows_of_database(dir);
    let mut possible: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    let mut begun = BTreeSet::new();
    let mut entries: Vec<_> = entries.iter().collect();
    // Streams of several lives: by time. Within one it is the order of the numbers.
    entries.sort_by_key(|e| (text(e, "/timestamp"), e["seq"].as_u64()));
    for entry in entries {
        let (before, after) = match text(entry, "/resource/type") {
            "note" => (
                "/resource/prior_attributes/text",
                "/resource/attributes/text",
            ),
            _ => (
                "/resource/prior_attributes/role",
                "/resource/attributes/role",
            ),
        };
        let (before, after) = (text(entry, before), text(entry, after));
        let note = ("note", text(entry, "/resource/id"));
        let user = ("user", text(entry, "/resource/name"));
        match text(entry, "/event_type") {
            "note.create.started" => assert!(begun.insert(after)),
            "note.created" => {
                assert!(begun.remove(after), "{entry}");
                assert_eq!(possible.insert(note, [after].into()), None, "{entry}");
            }
            "note.update.started" | "note.delete.started" => {
                let known = possible.insert(note, [before, after].into());
                assert!(known.unwrap().contains(before), "{entry}");
            }
            "note.updated" | "note.deleted" => {
                possible.insert(note, [after].into());
            }
            "user.created" => {
                possible.insert(user, [after].into());
            }
            "user.role_change.started" if after != "king" => {
                possible.get_mut(&user).unwrap().insert(after);
            }
            "user.role_changed" => {
                let known = possible.insert(user, [after].into());
                assert!(known.unwrap().contains(before), "{entry}");
            }
            _ => {}
        }
    }
    for (kind, id, value) in &rows {
        match possible.remove(&(kind.as_str(), id.as_str())) {
            Some(known) => assert!(known.contains(value.as_str()), "{kind} {id}: {known:?}"),
            None => assert!(begun.remove(value.as_str()), "no start of {kind} {id}"),
        }
    }
    // What is not in the database was deleted, or that had begun.
    possible.retain(|_, known| !known.contains(""));
    assert!(possible.is_empty(), "not in the database: {possible:?}");
}

/// Each note with its text and each user with its role.
fn rows_of_database(dir: &Path) -> Vec<(String, String, String)> {
    let db = rusqlite::Connection::open(dir.join("notes.db")).unwrap();
    let query = "SELECT 'note', CAST(id AS TEXT), text FROM notes
                 UNION ALL SELECT 'user', name, role FROM users";
    let mut query = db.prepare(query).unwrap();
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    rows.unwrap().map(Result::unwrap).collect()
}

/// Asks the service itself what was denied, as an auditor with a token.
fn ask_by_http(dir: &Path, entries: &[Value]) -> u64 {
    let server = start(dir);
    let new = NewToken {
        name: "auditor".to_owned(),
        scope: Scope::Read,
        tenant: None,
        expires: None,
    };
    let (_, token) = TokenStore::open(dir.join("audit")).create(new).unwrap();
    let mut http = Http::connect(server.address).unwrap();
    let path = "/audit/entries?event_type=access.denied&limit=100";
    let denied = entries
        .iter()
        .filter(|e| e["event_type"] == "access.denied");
    let mut found = Vec::new();
    let mut next = path.to_owned();
    loop {
        let (status, page) = http.ask(("GET", &next, None), Some(&token), &[]).unwrap();
        assert_eq!(status, 200, "{page}");
        found.extend(page["entries"].as_array().unwrap().iter().cloned());
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        next = format!("{path}&cursor={cursor}");
    }
    assert_eq!(ids(&found), ids(&denied.cloned().collect::<Vec<_>>()));
    let (status, _) = http.ask(("GET", path, None), Some("guess"), &[]).unwrap();
    assert_eq!(status, 401);
    assert!(server.terminate().success());
    1
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
        for user in USERS {
            let by = |e: &Value| text(e, "/actor/name") == user;
            self.answer(&[("actor", user)], by, |o| {
                o.user == user && o.entries != ["auth.token.rejected"]
            });
        }
        let addresses: BTreeSet<_> = self.operations.iter().map(|o| &o.address).collect();
        for address in addresses {
            let filters = [("event_type", "auth.login.failed"), ("ip_address", address)];
            let failed = |e: &Value| {
                text(e, "/event_type") == "auth.login.failed" && text(e, "/ip_address") == address
            };
            self.answer(&filters, failed, |o| {
                o.entries == ["auth.login.failed"] && o.address == *address
            });
        }
        let denied = |e: &Value| text(e, "/event_type") == "access.denied";
        let filters = [("event_type", "access.denied")];
        self.answer(&filters, denied, |o| o.entries == ["access.denied"]);
        let changed = |e: &Value| {
            text(e, "/event_type").starts_with("user.role") && text(e, "/resource/name") == "temp"
        };
        let types = ["user.role_change.*", "user.role_changed"].map(|of| ("event_type", of));
        let filters = [("resource", "temp"), types[0], types[1]];
        self.answer(&filters, changed, |o| {
            o.resource == "temp" && o.entries[0].starts_with("user.role")
        });
        self.who_changed(rng);
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
    ) -> Vec<Value> {
        // What was recorded since, by the question over HTTP, is the answer to none of these.
        let found = query(&self.reader, filters);
        let mut found: Vec<Value> = found.iter().map(|entry| entry.parse().unwrap()).collect();
        found.retain(|e| !text(e, "/event_type").starts_with("audit."));
        let got = ids(&found);
        assert_eq!(got.len(), found.len(), "{filters:?}");
        let wanted = self.entries.iter().filter(|e| of_entry(e));
        let wanted = wanted.filter(|e| !text(e, "/event_type").starts_with("audit."));
        let wanted: BTreeSet<_> = wanted.map(|e| text(e, "/id").to_owned()).collect();
        assert_eq!(got, wanted, "{filters:?}");
        let requests: BTreeSet<_> = found
            .iter()
            .map(|e| text(e, "/context/request_id"))
            .collect();
        for operation in self.operations.iter().filter(|o| of_operation(o)) {
            let should = operation.answer.is_some() && !operation.entries.is_empty();
            let does = requests.contains(operation.request_id.as_str());
            assert!(does || !should, "{filters:?}: {operation:?}");
        }
        self.asked += 1;
        found
    }

    /// The history of some notes: who changed them, and what they were before and after.
    fn who_changed(&mut self, rng: &mut Rng) {
        let notes = self
            .operations
            .iter()
            .filter(|o| o.entries.contains(&"note.updated"));
        let mut notes: Vec<_> = notes.map(|o| &o.resource).collect();
        rng.shuffle(&mut notes);
        notes.truncate(12);
        for note in notes {
            let filters = [("resource", note.as_str()), ("event_type", "note.*")];
            let of = |e: &Value| {
                text(e, "/resource/type") == "note"
                    && text(e, "/resource/id") == note
                    && text(e, "/event_type").starts_with("note.")
            };
            let history = self.answer(&filters, of, |o| {
                o.resource == *note && o.entries.iter().any(|e| e.starts_with("note."))
            });
            // Its only client changed it in this order, and knows all but what was cut off.
            let known = self.operations.iter().filter(|o| {
                o.resource == *note && o.answer.is_some() && o.entries.contains(&"note.updated")
            });
            let known: Vec<_> = known.map(|o| (o.user, o.text.as_str())).collect();
            let told = history.iter().filter(|e| e["event_type"] == "note.updated");
            let mut told =
                told.map(|e| (text(e, "/actor/name"), text(e, "/resource/attributes/text")));
            for change in known {
                assert!(told.any(|told| told == change), "{note}: {change:?}");
            }
        }
    }

    fn what_happened_between(&mut self, rng: &mut Rng) {
        let mut moments = [(); 2].map(|()| rng.choice(self.operations).unwrap().sent);
        moments.sort();
        let [from, to] = moments;
        if from == to {
            return;
        }
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
        let (start, end) = (from.to_string(), to.to_string());
        let found = self.answer(
            &[("start_date", &start), ("end_date", &end)],
            between,
            during,
        );
        let mut requests: BTreeSet<_> = found
            .iter()
            .map(|e| text(e, "/context/request_id"))
            .collect();
        requests.remove("");
        for operation in self.operations {
            // A job may end long after the answer.
            let is_export = operation.entries == ["export.requested"];
            let before = operation
                .answer
                .as_ref()
                .is_some_and(|(answered, _)| *answered < from);
            let outside = to <= operation.sent || before && !is_export;
            let found = requests.contains(operation.request_id.as_str());
            assert!(!outside || !found, "{operation:?}");
        }
    }
}
