//! One connection: lines in, lines out.
//!
//! ```text
//! AUTH user password   OK id | DENIED id
//! GET key              VALUE text | NIL
//! SET key text         OK id
//! EXPIRE key ms        OK id | NIL
//! DEL key              OK id | NIL     both events are on stable storage then
//! QUIT                 BYE
//! ```
//!
//! `id` is that of the entry in the trail, so that a client can say which one it asks about. What
//! is denied is answered with `DENIED id`, and what can't be understood with `ERR why`.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};
use tracing_audit::{
    Actor, AuditContext, NotDurable, Outcome, Receipt, audit, audit_context, redact::Secret,
};

use crate::{Server, users::Right};

/// The longest line that is taken, in bytes.
const LONGEST: u64 = 64 * 1024;

/// Serves one connection, all of whose events have the same context: its address, a name for the
/// session, and from `AUTH` on the user.
pub(crate) async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    server: Arc<Server>,
    mut stopping: watch::Receiver<bool>,
) {
    let (reader, writer) = stream.into_split();
    let session = Session {
        reader: BufReader::new(reader),
        writer,
        server,
        right: None,
    };
    let context = audit_context! {
        actor = Actor::anonymous(),
        ip_address = %peer.ip(),
        session_id = format!("{:016x}", fastrand::u64(..)),
        protocol = "kv",
    };
    if let Err(error) = context.scope(session.run(&mut stopping)).await {
        tracing::debug!(%error, %peer, "connection ended");
    }
}

struct Session {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    server: Arc<Server>,
    /// What the user may do, once somebody has signed in.
    right: Option<Right>,
}

impl Session {
    async fn run(mut self, stopping: &mut watch::Receiver<bool>) -> io::Result<()> {
        loop {
            let line = tokio::select! {
                line = self.line() => line?,
                _ = stopping.wait_for(|stop| *stop) => None,
            };
            let Some(line) = line else { return Ok(()) };
            // Recorded first, answered then: what is acknowledged is in the trail.
            let mut answer = self.answer(&line).await;
            answer.push('\n');
            self.writer.write_all(answer.as_bytes()).await?;
            if line == "QUIT" {
                return Ok(());
            }
        }
    }

    /// `None` at the end of the connection, and for a line that is too long.
    async fn line(&mut self) -> io::Result<Option<String>> {
        let mut line = Vec::new();
        let mut limited = (&mut self.reader).take(LONGEST);
        limited.read_until(b'\n', &mut line).await?;
        if line.pop() != Some(b'\n') {
            return Ok(None);
        }
        Ok(Some(
            String::from_utf8_lossy(&line).trim_end_matches('\r').into(),
        ))
    }

    async fn answer(&mut self, line: &str) -> String {
        let mut words = line.splitn(3, ' ');
        let command = words.next().unwrap_or_default();
        match (command, words.next(), words.next()) {
            ("AUTH", Some(name), Some(password)) => self.authenticate(name, password),
            ("QUIT", None, None) => "BYE".to_owned(),
            ("GET" | "SET" | "EXPIRE" | "DEL", Some(key), value) => self
                .command(command, key, value)
                .await
                .unwrap_or_else(|denied| denied),
            _ => "ERR no such command".to_owned(),
        }
    }

    fn authenticate(&mut self, name: &str, password: &str) -> String {
        let password = Secret::new(password.to_owned());
        self.right = self.server.users.authenticate(name, &password);
        if self.right.is_none() {
            // Nobody has signed in: the name is a claim, and the actor stays anonymous.
            AuditContext::update(audit_context! { actor = Actor::anonymous().name(name) });
            let outcome = Outcome::failure("authentication", "wrong user or password");
            let failed = audit!(
                "auth.login.failed",
                severity = warning,
                outcome,
                "Login as {name} failed"
            );
            return format!("DENIED {}", failed.id());
        }
        // From here on, all events of this connection are by this user.
        AuditContext::update(audit_context! { actor = Actor::user(name) });
        ok(audit!(
            "auth.login.success",
            outcome.type = "success",
            "{name} logged in"
        ))
    }

    async fn command(
        &self,
        command: &str,
        key: &str,
        value: Option<&str>,
    ) -> Result<String, String> {
        let store = &self.server.store;
        Ok(match (command, value) {
            ("GET", None) => {
                self.require(Right::Read, command, key)?;
                store
                    .get(key)
                    .map_or("NIL".to_owned(), |text| format!("VALUE {text}"))
            }
            ("SET", Some(text)) => {
                self.require(Right::Write, command, key)?;
                ok(store.set(key, text))
            }
            ("EXPIRE", Some(milliseconds)) => {
                self.require(Right::Write, command, key)?;
                let milliseconds = milliseconds
                    .parse::<u32>()
                    .map_err(|e| format!("ERR {e}"))?;
                let after = Duration::from_millis(milliseconds.into());
                store.expire(key, after).map_or("NIL".to_owned(), ok)
            }
            ("DEL", None) => {
                self.require(Right::Write, command, key)?;
                let deleted = store.delete(key).await.map_err(not_durable)?;
                deleted.map_or("NIL".to_owned(), ok)
            }
            _ => return Err("ERR wrong number of arguments".to_owned()),
        })
    }

    /// Records what is denied, and gives the answer.
    fn require(&self, right: Right, command: &str, key: &str) -> Result<(), String> {
        let why = match self.right {
            Some(has) if has >= right => return Ok(()),
            Some(_) => "this user may only read",
            None => "nobody has signed in",
        };
        let denied = audit!(
            "command.denied",
            resource.type = "key",
            resource.id = key,
            severity = warning,
            outcome = Outcome::failure("authorization", why),
            command,
            "{command} {key} denied: {why}"
        );
        Err(format!("DENIED {}", denied.id()))
    }
}

fn ok(recorded: Receipt) -> String {
    format!("OK {}", recorded.id())
}

/// The trail can't be written to: the client is told that it can't count on what it asked for.
fn not_durable(error: NotDurable) -> String {
    tracing::error!(%error, "a command was refused, because it can't be recorded");
    "ERR not recorded durably".to_owned()
}
