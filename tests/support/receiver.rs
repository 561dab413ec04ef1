//! A receiver down to its bytes, on loopback: for endpoints that are no HTTP servers, and for measuring.

#![allow(dead_code, clippy::unwrap_used, reason = "each test uses its part; what goes wrong here fails the test")]

use std::{
    collections::HashMap,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread,
};

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

/// What was asked: the path, the headers by lower-case names, and the body.
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
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
            let headers: HashMap<_, _> = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
            let length: usize = headers.get("content-length")?.parse().ok()?;
            if read.len() >= end + 4 + length {
                let path = first.split(' ').nth(1)?.to_owned();
                return Some(Request { path, headers, body: read[end + 4..].to_vec() });
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
    server(move |mut stream| while request(&mut stream).is_some() && stream.write_all(answer.as_bytes()).is_ok() {})
}

/// An answer without a body; `more` are headers, each with its end of line.
pub(crate) fn status(status: &str, more: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n{more}\r\n")
}

/// An answer of JSON.
pub(crate) fn json(body: &serde_json::Value) -> String {
    let body = body.to_string();
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}
