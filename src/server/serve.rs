//! A server of its own: sockets, their limits, and stopping.
//!
//! A connection is closed when a request's head doesn't arrive within ten seconds, when the client
//! takes no byte for as long as a client may stall, and when the server has been stopping for ten
//! seconds. When there are too many connections, idle ones are closed (`connections`).

use std::{
    fmt,
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::ConnectInfo,
    http::{HeaderValue, Uri, header},
    response::{IntoResponse as _, Redirect, Response},
};
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{self, Instant, Sleep},
};
use tower::ServiceExt as _;

use super::{
    connections::{Connections, Place},
    guard::{self, OnlyProbes},
    options::RouterOptions,
    stream::Stopping,
    token::TokenStore,
};
use crate::{
    error::{Error, Result},
    log::AuditLog,
};

const HEAD_TIME: Duration = Duration::from_secs(10);
const STOP_TIME: Duration = Duration::from_secs(10);
const HEAD_BYTES: usize = 32 * 1024;

/// Settings of a [`Server`]: its address, and the API that it serves.
///
/// ```
/// use tracing_audit::http::{RouterOptions, ServeOptions};
///
/// let options = ServeOptions::new(([127, 0, 0, 1], 8080).into())
///     .path("/log")
///     .router(RouterOptions::new().max_requests(16));
/// # let _ = options;
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ServeOptions {
    addr: SocketAddr,
    allow_plain_http: bool,
    path: String,
    connections: usize,
    router: RouterOptions,
}

impl ServeOptions {
    /// Listens at this address; with port 0, at a free port.
    pub fn new(addr: SocketAddr) -> Self {
        Self {
            addr,
            allow_plain_http: false,
            path: "/audit".to_owned(),
            connections: 256,
            router: RouterOptions::new(),
        }
    }

    /// Listens beyond loopback, although tokens and entries then go over the network unencrypted:
    /// put a proxy that does TLS in front. Default: no.
    pub fn allow_plain_http(mut self, allow: bool) -> Self {
        self.allow_plain_http = allow;
        self
    }

    /// The path under which the API is. Default: `/audit`.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// The most connections at once, 1 or more. For each connection beyond that, the connection
    /// that has been idle for longest is closed. If all have requests that are being answered, 32
    /// more connections are accepted, on which `/healthz` and `/readyz` are answered, and every
    /// other request is refused with 503. Default: 256.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.connections = connections.max(1);
        self
    }

    /// The settings of the API.
    pub fn router(mut self, options: RouterOptions) -> Self {
        self.router = options;
        self
    }
}

/// A log's HTTP server, listening.
///
/// ```
/// # let log = tracing_audit::AuditLog::for_tests();
/// # let log: &tracing_audit::AuditLog = &log;
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// # runtime.block_on(async {
/// use tracing_audit::http::{ServeOptions, Server};
///
/// let server = Server::bind(log, ServeOptions::new(([127, 0, 0, 1], 0).into())).await?;
/// println!("http://{}/audit/entries", server.local_addr());
/// let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
/// let running = tokio::spawn(server.run(async { drop(stopped.await) }));
/// // … until the application stops:
/// drop(stop);
/// running.await?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Server {
    listener: TcpListener,
    local_addr: SocketAddr,
    router: Router,
    connections: usize,
    stall_time: Duration,
}

impl Server {
    /// Listens. Requests are answered by [`run`](Self::run).
    ///
    /// ```no_run
    /// # async fn run() -> tracing_audit::Result<()> {
    /// use tracing_audit::{AuditLog, http::{ServeOptions, Server}};
    ///
    /// // A log handle of its own, so that reads are recorded while the application writes too.
    /// let log = AuditLog::builder("./audit").source("tracing-audit").open()?;
    /// let server = Server::bind(&log, ServeOptions::new(([127, 0, 0, 1], 8080).into())).await?;
    /// server.run(async { drop(tokio::signal::ctrl_c().await) }).await;
    /// log.close()
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `Error::Invalid` for an address beyond loopback without
    /// [`allow_plain_http`](ServeOptions::allow_plain_http), or without any token; `Error::Io` if
    /// the address is taken.
    pub async fn bind(log: &AuditLog, options: ServeOptions) -> Result<Self> {
        let addr = options.addr;
        if !addr.ip().to_canonical().is_loopback() {
            if !options.allow_plain_http {
                let what = "is not on loopback, and TLS is not built in: put a TLS proxy in front \
                            and give allow_plain_http";
                return Err(Error::invalid("addr", format!("{addr} {what}")));
            }
            if options.router.authorizer.is_none() && TokenStore::open(log.dir()).list()?.is_empty()
            {
                return Err(Error::invalid(
                    "addr",
                    format!("{addr} is not on loopback, and there are no tokens: create one first"),
                ));
            }
        }
        let path = options.path.trim_end_matches('/');
        if !path.is_empty()
            && (!path.starts_with('/')
                || path.contains(['{', '}', '*', '?', '#', '%'])
                || path.contains("//"))
        {
            return Err(Error::invalid(
                "path",
                format!("{path:?} must be a plain path like /audit"),
            ));
        }
        let stall_time = options.router.stall_time;
        let api = log.router(options.router)?;
        let router = if path.is_empty() {
            api
        } else {
            let mount = path.to_owned();
            let beside = move |uri: Uri| async move { beside(&mount, &uri).await };
            Router::new().nest(path, api).fallback(beside)
        };
        let listen = Error::io("listen at", addr.to_string());
        let bound = async {
            let listener = TcpListener::bind(addr).await?;
            let local_addr = listener.local_addr()?;
            Ok((listener, local_addr))
        };
        let (listener, local_addr) = bound.await.map_err(listen)?;
        Ok(Self {
            listener,
            local_addr,
            router,
            connections: options.connections,
            stall_time,
        })
    }

    /// The address at which the server listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Answers requests until `stop` is done. Then it takes no further requests, and gives those
    /// under way ten seconds to end.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let places = Connections::new(self.connections);
        let graceful = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        let (stopping, told) = watch::channel(false);
        let mut stop = std::pin::pin!(stop);
        loop {
            let accepted = tokio::select! {
                () = &mut stop => break,
                Some(_) = connections.join_next() => continue,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((socket, peer)) => {
                    // Without a place, the socket is closed at once.
                    if let Some(place) = places.take() {
                        let facts = Facts {
                            peer,
                            stopping: Stopping(told.clone()),
                        };
                        let connection = self.serve(socket, facts, place, &graceful);
                        connections.spawn(connection);
                    }
                }
                Err(error) => {
                    // Usually too many files are open, which passes.
                    tracing::warn!(target: "tracing_audit", "a connection could not be accepted: \
                                                             {error}");
                    time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        drop(self.listener);
        // If nobody listens, there is no stream to end.
        let _ = stopping.send(true);
        let finished = async {
            graceful.shutdown().await;
            while connections.join_next().await.is_some() {}
        };
        if time::timeout(STOP_TIME, finished).await.is_err() {
            tracing::warn!(target: "tracing_audit", "connections were still open when the server \
                                                     had to stop");
        }
        // The connections that are left end with the set.
    }

    /// Answers the requests of one connection.
    fn serve(
        &self,
        socket: TcpStream,
        facts: Facts,
        place: Place,
        graceful: &GracefulShutdown,
    ) -> impl Future<Output = ()> + Send + use<> {
        // If the kernel refuses, that only costs some latency.
        let _ = socket.set_nodelay(true);
        let place = Arc::new(place);
        let router = self.router.clone();
        let placed = Arc::clone(&place);
        let service = service_fn(move |request: Request<Incoming>| {
            answer(router.clone(), Arc::clone(&placed), facts.clone(), request)
        });
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME)
            .max_buf_size(HEAD_BYTES);
        let socket = TokioIo::new(Unstalled::new(socket, self.stall_time));
        let watched = graceful.watch(http.serve_connection(socket, service));
        async move {
            tokio::select! {
                // A client's mistake ends its connection and isn't reported.
                _ = watched => {}
                () = place.closing() => {}
            }
        }
    }
}

/// The answer to a request for a path that isn't the API's. The path of the mount with a `/` at its
/// end leads to the console, because that is how people write it.
async fn beside(mount: &str, uri: &Uri) -> Response {
    let is_mount = uri.path().strip_suffix('/') == Some(mount);
    if !cfg!(feature = "console") || !is_mount {
        return guard::with_headers(guard::no_route().await.into_response());
    }
    let query = uri.query().map(|query| format!("?{query}"));
    let to = format!("{mount}{}", query.unwrap_or_default());
    guard::with_headers(Redirect::permanent(&to).into_response())
}

/// The facts about a connection that each of its requests gets.
#[derive(Clone)]
struct Facts {
    peer: SocketAddr,
    stopping: Stopping,
}

/// Answers a request on the connection at this place.
async fn answer(
    router: Router,
    place: Arc<Place>,
    facts: Facts,
    request: Request<Incoming>,
) -> io::Result<Response> {
    let answering = place.begin().ok_or(io::ErrorKind::ConnectionAborted)?;
    let mut request = request.map(Body::new);
    let extensions = request.extensions_mut();
    extensions.insert(ConnectInfo(facts.peer));
    extensions.insert(facts.stopping);
    if place.is_reserved {
        request.extensions_mut().insert(OnlyProbes);
    }
    let mut response = match router.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    if place.is_reserved {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    Ok(response.map(|body| answering.until_sent(body)))
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("local_addr", &self.local_addr)
            .finish_non_exhaustive()
    }
}

/// A socket whose writing fails when the other side has taken nothing for some time.
struct Unstalled {
    socket: TcpStream,
    limit: Duration,
    /// Runs while a write waits.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl Unstalled {
    fn new(socket: TcpStream, limit: Duration) -> Self {
        Self {
            socket,
            limit,
            waiting: None,
        }
    }

    fn watch<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let limit = self.limit;
        ready!(
            self.waiting
                .get_or_insert_with(|| Box::pin(time::sleep_until(Instant::now() + limit)))
                .as_mut()
                .poll(cx)
        );
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Unstalled {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Unstalled {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.watch(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, bytes);
        self.watch(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
