//! Receivers of webhooks on loopback. Below, one down to its bytes: for webhooks that are no HTTP
//! servers, and for measuring.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test uses its part; what goes wrong here fails the test"
)]

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, Ordering},
    },
    thread,
    time::Instant,
};

use serde_json::Value;
use tokio::net::TcpSocket;
use tracing_audit::{
    AuditLog,
    webhook::{Dispatcher, SigningSecret, sign},
};

use crate::support::{HANGS, wait_for};

/// What a [`Receiver`] says with its status.
pub(crate) const SAYS: &str = "what the receiver says";

/// A receiver that keeps what comes.
pub(crate) struct Receiver {
    pub(crate) url: String,
    came: Arc<Mutex<Vec<Came>>>,
    says: Arc<AtomicU16>,
}

/// A request, the status it was answered with, and when.
pub(crate) struct Came {
    pub(crate) request: Request,
    pub(crate) status: u16,
    pub(crate) at: Instant,
}

impl Came {
    pub(crate) fn was_taken(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

impl Receiver {
    /// One that takes everything until it is told to say something else.
    pub(crate) fn new() -> Self {
        Self::saying(200)
    }

    pub(crate) fn saying(status: u16) -> Self {
        let says = Arc::new(AtomicU16::new(status));
        let now = Arc::clone(&says);
        Self {
            says,
            ..Self::deciding(move |_, _| now.load(Ordering::Relaxed))
        }
    }

    /// One that decides by the number of the request (0 for the first) and by what is in it; one
    /// request at a time.
    pub(crate) fn deciding(
        status: impl Fn(usize, &Request) -> u16 + Send + Sync + 'static,
    ) -> Self {
        let came = Arc::<Mutex<Vec<Came>>>::default();
        let seen = Arc::clone(&came);
        let address = server(move |mut stream| {
            stream.set_nodelay(true).unwrap();
            while let Some(request) = request(&mut stream) {
                let status = {
                    let mut seen = seen.lock().unwrap();
                    let status = status(seen.len(), &request);
                    seen.push(Came {
                        request,
                        status,
                        at: Instant::now(),
                    });
                    status
                };
                // 204 has no content.
                let text = if status == 204 { "" } else { SAYS };
                let answer = format!(
                    "HTTP/1.1 {status} \r\ncontent-length: {}\r\n\r\n{text}",
                    text.len()
                );
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        Self {
            url: format!("http://{address}/hook"),
            came,
            says: Arc::default(),
        }
    }

    /// From now on it says this.
    pub(crate) fn say(&self, status: u16) {
        self.says.store(status, Ordering::Relaxed);
    }

    /// Looks at what came.
    pub(crate) fn look<T>(&self, at: impl FnOnce(&[Came]) -> T) -> T {
        at(&self.came.lock().unwrap())
    }

    pub(crate) fn count(&self) -> usize {
        self.look(<[Came]>::len)
    }

    /// Waits until something of what came is as wanted.
    pub(crate) fn wait_for<T>(&self, what: &str, found: impl Fn(&[Came]) -> Option<T>) -> T {
        wait_for(what, || self.look(|came| found(came).ok_or(came.len())))
    }

    /// The numbers in the events that were taken, with the ids they came under.
    pub(crate) fn taken(&self) -> BTreeMap<u64, Vec<String>> {
        let mut found: BTreeMap<u64, Vec<String>> = BTreeMap::new();
        self.look(|came| {
            for Came { request, .. } in came.iter().filter(|came| came.was_taken()) {
                for n in request.numbers() {
                    found.entry(n).or_default().push(request.id().to_owned());
                }
            }
        });
        found
    }

    /// The same, once there are so many numbers.
    pub(crate) fn wait_for_numbers(&self, count: usize) -> BTreeMap<u64, Vec<String>> {
        wait_for("the numbers arrive", || {
            let taken = self.taken();
            if taken.len() >= count {
                Ok(taken)
            } else {
                Err(format!("{} of {count}", taken.len()))
            }
        })
    }

    /// The ids under which events of this type were taken.
    pub(crate) fn taken_of(&self, event_type: &str) -> BTreeSet<String> {
        let of_type = |came: &&Came| came.was_taken() && came.request.event_type() == event_type;
        self.look(|came| {
            came.iter()
                .filter(of_type)
                .map(|came| came.request.id().to_owned())
                .collect()
        })
    }
}

/// What was asked: the path, the headers by lower-case names, and the body.
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub(crate) fn id(&self) -> &str {
        self.header("webhook-id")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The entry in it.
    pub(crate) fn entry(&self) -> Value {
        self.json()["data"].take()
    }

    pub(crate) fn event_type(&self) -> String {
        self.entry()["event_type"].as_str().unwrap().to_owned()
    }

    /// `details.n` of each entry in it.
    pub(crate) fn numbers(&self) -> Vec<u64> {
        let number = |event: &Value| event["data"]["details"]["n"].as_u64().unwrap();
        match self.json() {
            Value::Array(events) => events.iter().map(number).collect(),
            event => vec![number(&event)],
        }
    }

    /// Whether one of its signatures is that of this secret, as a receiver looks.
    pub(crate) fn is_signed_with(&self, secret: &str) -> bool {
        let secret: SigningSecret = secret.parse().unwrap();
        let expected = sign(
            &[secret],
            self.id(),
            self.header("webhook-timestamp").parse().unwrap(),
            &self.body,
        );
        self.header("webhook-signature")
            .split(' ')
            .any(|signature| signature == expected)
    }
}

/// A server on loopback that does `with` to each connection, on a thread of its own.
pub(crate) fn server(with: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, with) = (listener.local_addr().unwrap(), Arc::new(with));
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let with = Arc::clone(&with);
            thread::spawn(move || with(stream));
        }
    });
    address
}

/// An address on loopback that refuses connections as long as the socket lives: the port is bound,
/// so nobody else gets it, and nobody listens.
pub(crate) fn refusing() -> (SocketAddr, TcpSocket) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    (socket.local_addr().unwrap(), socket)
}

/// Delivers the log's webhooks. When this is dropped, what is under way ends, however slow the
/// machine is: afterwards the log knows of every answer that a receiver gave.
pub(crate) fn dispatcher(log: &AuditLog) -> Dispatcher {
    log.webhooks().run().unwrap().stop_within(HANGS)
}

/// Reads one request; `None` at the end of the connection.
pub(crate) fn request(stream: &mut TcpStream) -> Option<Request> {
    let mut read = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        if let Some(end) = memchr::memmem::find(&read, b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&read[..end]).into_owned();
            let (first, rest) = head.split_once("\r\n")?;
            let headers = rest.lines().filter_map(|line| line.split_once(':'));
            let headers: HashMap<_, _> = headers
                .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
                .collect();
            let length: usize = headers.get("content-length")?.parse().ok()?;
            if read.len() >= end + 4 + length {
                let path = first.split(' ').nth(1)?.to_owned();
                return Some(Request {
                    path,
                    headers,
                    body: read[end + 4..].to_vec(),
                });
            }
        }
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return None,
            Ok(count) => read.extend_from_slice(&chunk[..count]),
        }
    }
}

/// Answers each request of a connection with these bytes.
pub(crate) fn answering(answer: impl Into<String>) -> SocketAddr {
    let answer = answer.into();
    server(
        move |mut stream| {
            while request(&mut stream).is_some() && stream.write_all(answer.as_bytes()).is_ok() {}
        },
    )
}

/// An answer without a body; `more` are headers, each with its end of line.
pub(crate) fn status(status: &str, more: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n{more}\r\n")
}

/// An answer of JSON.
pub(crate) fn json(body: &Value) -> String {
    let body = body.to_string();
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}
