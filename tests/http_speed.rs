//! How soon a download begins, how fast it is, and what it costs in memory. Run it with
//! `cargo test --release --features server --test http_speed -- --ignored --nocapture`.

#![cfg(feature = "server")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "what goes wrong here fails the test; it prints what it measured"
)]

#[path = "support/http.rs"]
mod http;
mod support;

use std::time::Instant;

use http::{open, token, write};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tracing_audit::http::{Scope, ServeOptions, Server};

/// A figure of `/proc/self/status`, in KiB.
fn memory(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it measures"]
async fn a_large_download() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), 400_000);
    let log = open(dir.path());
    let token = token(dir.path(), Scope::Export, None);
    let server = Server::bind(&log, ServeOptions::new(([127, 0, 0, 1], 0).into()))
        .await
        .unwrap();
    let addr = server.local_addr();
    tokio::spawn(server.run(std::future::pending()));
    for path in [
        "/audit/export",
        "/audit/export",
        "/audit/export?format=ndjson",
        "/audit/export?source=billing",
    ] {
        // The kernel's highest mark is set back.
        std::fs::write("/proc/self/clear_refs", "5").unwrap();
        let before = memory("VmRSS:");
        let begin = Instant::now();
        let mut socket = TcpStream::connect(addr).await.unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n"
        );
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut buffer = vec![0; 64 * 1024];
        let mut total = socket.read(&mut buffer).await.unwrap();
        let first = begin.elapsed();
        loop {
            match socket.read(&mut buffer).await.unwrap() {
                0 => break,
                read => total += read,
            }
        }
        let (all, more) = (begin.elapsed(), memory("VmHWM:") - before);
        println!(
            "{path}: first byte {first:?}, {total} bytes in {all:?}, {} MB/s, {more} KiB more memory",
            total as u128 / all.as_micros().max(1)
        );
    }
}
