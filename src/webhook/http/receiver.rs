//! For tests: a receiver on real sockets, which counts who comes and answers as it is told.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use url::Url;

/// Writes the answer to the request of this number (0 for the first of all), and says whether the
/// connection stays open.
type Script = dyn Fn(usize, &mut dyn Write) -> bool + Send + Sync;

pub(in crate::webhook) struct Receiver {
    pub(in crate::webhook) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Receiver {
    /// Answers each request with the same bytes and keeps the connection.
    pub(in crate::webhook) fn saying(answer: &'static str) -> Self {
        Self::scripted(move |_, to| to.write_all(answer.as_bytes()).is_ok())
    }

    pub(in crate::webhook) fn ok() -> Self {
        Self::saying(OK)
    }

    pub(in crate::webhook) fn scripted(
        script: impl Fn(usize, &mut dyn Write) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self::listening(TcpListener::bind("127.0.0.1:0").unwrap(), None, script)
    }

    pub(in crate::webhook) fn tls(config: ServerConfig) -> Self {
        Self::listening(
            TcpListener::bind("127.0.0.1:0").unwrap(),
            Some(Arc::new(config)),
            |_, to| to.write_all(OK.as_bytes()).is_ok(),
        )
    }

    pub(in crate::webhook) fn listening(
        listener: TcpListener,
        tls: Option<Arc<ServerConfig>>,
        script: impl Fn(usize, &mut dyn Write) -> bool + Send + Sync + 'static,
    ) -> Self {
        let receiver = Self {
            address: listener.local_addr().unwrap(),
            connections: Arc::default(),
            requests: Arc::default(),
        };
        let (connections, requests) = (
            Arc::clone(&receiver.connections),
            Arc::clone(&receiver.requests),
        );
        let script: Arc<Script> = Arc::new(script);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                connections.fetch_add(1, Ordering::SeqCst);
                let (tls, requests, script) =
                    (tls.clone(), Arc::clone(&requests), Arc::clone(&script));
                thread::spawn(move || match tls {
                    Some(tls) => serve(
                        StreamOwned::new(ServerConnection::new(tls).unwrap(), stream),
                        &requests,
                        &*script,
                    ),
                    None => serve(stream, &requests, &*script),
                });
            }
        });
        receiver
    }

    /// `spelling` in place of the host.
    pub(in crate::webhook) fn url(&self, scheme: &str, spelling: &str) -> Url {
        Url::parse(&format!(
            "{scheme}://{spelling}:{}/hook",
            self.address.port()
        ))
        .unwrap()
    }

    pub(in crate::webhook) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Heads and bodies, in the order of arrival.
    pub(in crate::webhook) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

fn serve(mut stream: impl Read + Write, requests: &Mutex<Vec<String>>, script: &Script) {
    while let Some(request) = read_request(&mut stream) {
        let number = {
            let mut requests = requests.lock().unwrap();
            requests.push(request);
            requests.len() - 1
        };
        if !script(number, &mut stream) || stream.flush().is_err() {
            return;
        }
    }
}

pub(in crate::webhook) fn read_request(stream: &mut impl Read) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let mut request = String::from_utf8(head).unwrap();
    let length = request
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    request.push_str(std::str::from_utf8(&body).unwrap());
    Some(request)
}
