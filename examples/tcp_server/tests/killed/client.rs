//! Clients, and what they know of what they did.

use std::{
    io::{self, BufRead, BufReader, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
};

use fastrand::Rng;
use serde_json::Value;
use tracing_audit::Timestamp;

use crate::support::text;

pub(crate) const USERS: &str = "ann:correct horse:write,bob:battery:write,eve:staple:read";

pub(crate) const CLIENTS: [(&str, &str); 4] = [
    ("ann", "correct horse"),
    ("bob", "battery"),
    ("ann", "correct horse"),
    ("eve", "staple"),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Login,
    FailedLogin,
    Set,
    Expire,
    Delete,
    Denied,
}

/// One command that should leave something in the trail.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) kind: Kind,
    pub(crate) user: &'static str,
    pub(crate) address: Ipv4Addr,
    pub(crate) key: String,
    pub(crate) value: String,
    pub(crate) sent: Timestamp,
    /// When the answer came, and its words; `None` for a command that was cut off.
    pub(crate) answer: Option<(Timestamp, String)>,
}

impl Operation {
    /// The entry that the answer names.
    pub(crate) fn id(&self) -> Option<&str> {
        let (_, answer) = self.answer.as_ref()?;
        let (word, id) = answer.split_once(' ')?;
        assert!(matches!(word, "OK" | "DENIED"), "{self:?}");
        Some(id)
    }

    /// What was answered without an entry: `EXPIRE` of a key that is not there.
    pub(crate) fn changes_nothing(&self) -> bool {
        let nil = matches!(&self.answer, Some((_, answer)) if answer == "NIL");
        nil && self.kind == Kind::Expire
    }

    /// What makes an entry this operation's.
    pub(crate) fn entry(&self, event_type: &str) -> Vec<String> {
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
    pub(crate) fn entries(&self) -> Vec<Vec<String>> {
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
pub(crate) fn entry(found: &Value) -> Vec<String> {
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
pub(crate) struct Client {
    pub(crate) number: usize,
    pub(crate) user: &'static str,
    pub(crate) address: Ipv4Addr,
    pub(crate) reader: BufReader<TcpStream>,
    pub(crate) operations: Vec<Operation>,
}

impl Client {
    pub(crate) fn connect(number: usize, server: SocketAddr) -> io::Result<Self> {
        let (user, _) = CLIENTS[number];
        let (stream, address) = from_address(number, server)?;
        stream.set_nodelay(true)?;
        Ok(Self {
            number,
            user,
            address,
            reader: BufReader::new(stream),
            operations: Vec::new(),
        })
    }

    pub(crate) fn ask(&mut self, line: &str) -> io::Result<String> {
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

    pub(crate) fn operate(
        &mut self,
        kind: Kind,
        key: &str,
        value: &str,
        line: &str,
    ) -> io::Result<()> {
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
    pub(crate) fn work(&mut self, password: &str, life: u64, rng: &mut Rng) -> io::Result<()> {
        let user = self.user;
        if rng.bool() {
            self.operate(Kind::FailedLogin, "", "", &format!("AUTH {user} guess"))?;
        }
        self.operate(Kind::Login, "", "", &format!("AUTH {user} {password}"))?;
        for number in 0u64.. {
            let key = match rng.u32(..8) {
                0 => format!("l{life}.shared"),
                of => format!("l{life}.c{}.k{}", self.number, of % 3),
            };
            let value = format!("{life}-{}-{number}", self.number);
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
pub(crate) fn from_address(number: usize, server: SocketAddr) -> io::Result<(TcpStream, Ipv4Addr)> {
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
pub(crate) fn client(number: usize, server: SocketAddr, life: u64, seed: u64) -> Vec<Operation> {
    let mut rng = Rng::with_seed(seed ^ (number as u64) << 32 ^ life);
    // The server may be killed before it takes the connection.
    let Ok(mut client) = Client::connect(number, server) else {
        return Vec::new();
    };
    let ended = client.work(CLIENTS[number].1, life, &mut rng);
    assert!(ended.is_err(), "a client works until the server is gone");
    client.operations
}
