//! Whatever slow clients ask for, the server's memory is bounded.
//!
//! The server and its clients run in a process of their own, whose peak of resident memory the kernel
//! counts.

use std::{fs, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    sync::oneshot,
    time::timeout,
};
use tracing_audit::{
    audit,
    http::{RouterOptions, Scope, ServeOptions, Server},
};
use tracing_subscriber::prelude::*;

use crate::{
    http::{open, token},
    support::{self, HANGS},
};

/// Says in the child how much memory pages may take. With 1 GiB in it, this test as the child prints
/// what slow clients would cost without a bound.
const CHILD: &str = "SLOW_CLIENTS";
const MIB: u64 = 1 << 20;
const CLIENTS: usize = 64;
/// What pages may take, and what takes to read them: blocks of the log, and what the allocator keeps.
const MEMORY: u64 = 32 * MIB;
const BESIDES: u64 = 32 * MIB;

fn memory(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    let kib = line.split_whitespace().nth(1).unwrap();
    kib.parse::<u64>().unwrap() * 1024
}

/// Writes entries so long that a page of them is as large as pages get.
fn write_long_entries(dir: &std::path::Path) {
    let log = support::builder(dir).open().unwrap();
    let subscriber = tracing_subscriber::registry().with(log.layer());
    tracing::subscriber::with_default(subscriber, || {
        let text = "x".repeat(60_000);
        for number in 0..300 {
            audit!("report.made", number, text = text);
        }
    });
    log.close().unwrap();
}

/// A client that takes as little as its kernel lets it.
async fn ask(addr: SocketAddr, path: &str, key: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut socket = socket.connect(addr).await.unwrap();
    let head = format!(
        "GET /audit{path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\nauthorization: Bearer {key}\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    socket
}

async fn status(socket: &mut TcpStream) -> String {
    let mut line = [0; 12];
    let read = timeout(HANGS, socket.read_exact(&mut line)).await;
    read.expect("an answer").unwrap();
    String::from_utf8_lossy(&line[9..]).into_owned()
}

/// Has many slow clients ask for this at once. Gives by how much they raised the peak of memory, and
/// how many were answered.
async fn play(path: &'static str, page_memory: usize) -> (u64, usize) {
    let dir = tempfile::tempdir().unwrap();
    write_long_entries(dir.path());
    let log = open(dir.path());
    let options = RouterOptions::new()
        .page_memory_bytes(page_memory)
        .max_streams(CLIENTS);
    let options = ServeOptions::new(([127, 0, 0, 1], 0).into()).router(options);
    let server = Server::bind(&log, options).await.unwrap();
    let addr = server.local_addr();
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(server.run(async { drop(stopped.await) }));
    // So that no limit of one caller helps.
    let keys: Vec<_> = (0..CLIENTS)
        .map(|_| token(dir.path(), Scope::Read, None))
        .collect();
    let before = memory("VmRSS");
    let mut clients = Vec::new();
    for key in &keys {
        clients.push(ask(addr, path, key).await);
    }
    let mut answered = 0;
    for client in &mut clients {
        match status(client).await.as_str() {
            "200" => answered += 1,
            status => assert_eq!(status, "503"),
        }
    }
    let raised = settled().await.saturating_sub(before);
    drop(clients);
    let begun = std::time::Instant::now();
    while status(&mut ask(addr, "/entries?limit=1000", &keys[0]).await).await != "200" {
        assert!(begun.elapsed() < HANGS, "there is room again");
    }
    stop.send(()).unwrap();
    running.await.unwrap();
    (raised, answered)
}

/// The peak of memory, once it stays for a second: streams are answered before anything is read for
/// them.
async fn settled() -> u64 {
    let mut peak = memory("VmHWM");
    let mut same = 0;
    while same < 10 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = memory("VmHWM");
        same = if now == peak { same + 1 } else { 0 };
        peak = now;
    }
    peak
}

/// In a process of its own.
fn raised(test: &str, path: &'static str) -> Option<(u64, usize)> {
    let Ok(page_memory) = std::env::var(CHILD) else {
        let mut child = support::child(module_path!(), test, &[(CHILD, &MEMORY.to_string())]);
        let output = child.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let problem = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}{problem}");
        let (_, figures) = text.split_once("raised by ").unwrap();
        let mut figures = figures.split_whitespace();
        let mut figure = || figures.next().unwrap().parse::<u64>().unwrap();
        return Some((figure(), figure() as usize));
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let (raised, answered) = runtime
        .unwrap()
        .block_on(play(path, page_memory.parse().unwrap()));
    #[expect(clippy::print_stdout, reason = "the parent reads it")]
    {
        println!("raised by {raised} {answered}");
    }
    None
}

#[test]
fn pages_of_slow_clients_are_bounded_together() {
    let test = "pages_of_slow_clients_are_bounded_together";
    if let Some((raised, answered)) = raised(test, "/entries?limit=1000") {
        assert!((3..CLIENTS).contains(&answered), "{answered}");
        assert!(raised <= MEMORY + BESIDES, "{} MiB", raised / MIB);
    }
}

#[test]
fn events_of_slow_clients_are_bounded_together() {
    let test = "events_of_slow_clients_are_bounded_together";
    if let Some((raised, answered)) = raised(test, "/stream?cursor=a1~0") {
        assert_eq!(answered, CLIENTS);
        assert!(raised <= MEMORY + BESIDES, "{} MiB", raised / MIB);
    }
}
