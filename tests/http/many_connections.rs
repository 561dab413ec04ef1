//! Connections that do nothing, or take long, keep nobody out.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::oneshot,
    task::JoinHandle,
    time::timeout,
};
use tracing_audit::{
    AuditLog,
    http::{RouterOptions, Scope, ServeOptions, Server},
};

use crate::http::{open, token, write};

/// So long only something that hangs takes.
const HANGS: Duration = Duration::from_secs(30);

struct Running {
    _log: AuditLog,
    dir: tempfile::TempDir,
    addr: std::net::SocketAddr,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<()>,
}

async fn running(events: usize, most: usize) -> Running {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), events);
    let log = open(dir.path());
    let options = ServeOptions::new(([127, 0, 0, 1], 0).into())
        .max_connections(most)
        .router(RouterOptions::new());
    let server = Server::bind(&log, options).await.unwrap();
    let addr = server.local_addr();
    let (stop, stopped) = oneshot::channel();
    let ended = tokio::spawn(server.run(async { drop(stopped.await) }));
    Running {
        _log: log,
        dir,
        addr,
        stop,
        ended,
    }
}

impl Running {
    async fn stop(self) {
        self.stop.send(()).unwrap();
        timeout(HANGS, self.ended).await.unwrap().unwrap();
    }

    /// Sends a request on a new connection that is kept.
    async fn ask(&self, path: &str, more: &str) -> TcpStream {
        let mut socket = TcpStream::connect(self.addr).await.unwrap();
        let request = format!("GET /audit{path} HTTP/1.1\r\nhost: a\r\n{more}\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        socket
    }

    async fn status(&self, path: &str) -> String {
        status(&mut self.ask(path, "").await).await
    }
}

/// The status of the next answer, of which nothing more is read.
async fn status(socket: &mut TcpStream) -> String {
    let mut line = [0; 12];
    let read = timeout(HANGS, socket.read_exact(&mut line)).await;
    read.expect("an answer").unwrap();
    String::from_utf8_lossy(&line[9..]).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kept_connections_without_requests_make_room() {
    let server = running(1, 4).await;
    let mut kept = Vec::new();
    for _ in 0..8 {
        // Some have had a request, and some begin one that never ends.
        let mut socket = server.ask("/healthz", "").await;
        assert_eq!(status(&mut socket).await, "200");
        kept.push(socket);
        let mut socket = TcpStream::connect(server.addr).await.unwrap();
        socket.write_all(b"GET /audit/heal").await.unwrap();
        kept.push(socket);
    }
    assert_eq!(server.status("/healthz").await, "200");
    // Refused because it has no token, and not because of the others.
    assert_eq!(server.status("/entries").await, "401");
    drop(kept);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn probes_get_through_when_all_connections_are_busy() {
    let server = running(60_000, 1).await;
    let key = token(server.dir.path(), Scope::Export, None);
    let key = format!("authorization: Bearer {key}\r\n");
    // A download larger than what sockets hold, whose client doesn't read on.
    let mut download = server
        .ask(
            "/export?format=ndjson",
            &format!("{key}connection: close\r\n"),
        )
        .await;
    assert_eq!(status(&mut download).await, "200");
    for _ in 0..40 {
        assert_eq!(server.status("/healthz").await, "200");
        assert_eq!(server.status("/readyz").await, "200");
        let mut refused = server.ask("/entries", &key).await;
        assert_eq!(status(&mut refused).await, "503");
    }
    let mut text = Vec::new();
    let whole = timeout(HANGS, download.read_to_end(&mut text)).await;
    whole.unwrap().unwrap();
    assert!(
        text.len() > 10 << 20,
        "the download ends, in {}",
        text.len()
    );
    server.stop().await;
}
