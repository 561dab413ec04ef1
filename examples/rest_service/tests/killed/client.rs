//! Clients, and what they know of what they did.

use std::{io, net::SocketAddr};

use fastrand::Rng;
use serde_json::{Value, json};
use tracing_audit::Timestamp;

use crate::{http::Http, support::text};

pub(crate) const USERS: [&str; 4] = ["root", "ann", "bob", "eve"];

/// One request that should leave something in the trail.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) request_id: String,
    pub(crate) life: u64,
    pub(crate) user: &'static str,
    pub(crate) address: String,
    /// The entries that it leaves when it is answered.
    pub(crate) entries: &'static [&'static str],
    pub(crate) resource: String,
    pub(crate) text: String,
    pub(crate) sent: Timestamp,
    /// When the answer came, and its body; `None` for a request that was cut off.
    pub(crate) answer: Option<(Timestamp, Value)>,
}

/// What one client knows, through all lives of the service.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) number: usize,
    pub(crate) token: Option<String>,
    pub(crate) notes: Vec<String>,
    pub(crate) count: u64,
    pub(crate) operations: Vec<Operation>,
}

impl Client {
    pub(crate) fn user(&self) -> &'static str {
        USERS[self.number]
    }

    pub(crate) fn address(&self) -> String {
        format!("192.0.2.{}", 10 + self.number)
    }

    /// Sends a request that leaves entries, and notes what came of it.
    pub(crate) fn operate(
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

    pub(crate) fn sign_in(&mut self, http: &mut Http, life: u64) -> io::Result<()> {
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

    pub(crate) fn create(&mut self, http: &mut Http, life: u64) -> io::Result<()> {
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
    pub(crate) fn work(&mut self, http: &mut Http, life: u64, rng: &mut Rng) -> io::Result<()> {
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

    pub(crate) fn write(&mut self, http: &mut Http, life: u64, rng: &mut Rng) -> io::Result<()> {
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

    pub(crate) fn administer(
        &mut self,
        http: &mut Http,
        life: u64,
        rng: &mut Rng,
    ) -> io::Result<()> {
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

    pub(crate) fn attack(&mut self, http: &mut Http, life: u64, rng: &mut Rng) -> io::Result<()> {
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

pub(crate) fn password(user: &str) -> String {
    format!("the password of {user}")
}

/// The users, and a note that stays.
pub(crate) fn set_up(server: SocketAddr, clients: &mut [Client]) -> io::Result<()> {
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
pub(crate) fn one_life(mut client: Client, server: SocketAddr, life: u64, seed: u64) -> Client {
    let mut rng = Rng::with_seed(seed.wrapping_add(client.number as u64));
    // The service may be killed before it takes the connection.
    if let Ok(mut http) = Http::connect(server) {
        let ended = client.work(&mut http, life, &mut rng);
        assert!(ended.is_err(), "a client works until the service is gone");
    }
    client
}
