//! The one way to a connection: resolve, ask the egress about each address, connect, and speak TLS
//! where the URL says so.
//!
//! Every connection to a receiver is opened here, and an address is checked after the last
//! resolution, so a name that changes its mind between the check of the URL and the connection
//! gains nothing.
//!
//! With a proxy the connection is one to the proxy, whose address is not checked because the
//! operator named it. The proxy resolves the receiver's name, so of the receiver only an address
//! that stands in the URL itself is checked here. The environment is not read.

use crate::webhook::http::{
    answer::{Failure, FailureKind},
    egress::{Egress, Refused},
    look_up::Lookup,
    proxy::Proxy,
};
use std::{
    error::Error as StdError,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
    vec,
};

use http::{Extensions, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::{
    client::legacy::connect::{Connected, Connection, HttpConnector, HttpInfo, dns::Name},
    rt::TokioIo,
};
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tower_service::Service;

type BoxError = Box<dyn StdError + Send + Sync>;
type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The addresses of a connection, ours and the peer's. No two open connections have the same pair.
type Ends = (SocketAddr, SocketAddr);

/// The connections that were opened for one request.
#[derive(Clone, Default)]
pub(in crate::webhook) struct OpenedFor(Arc<Mutex<Vec<Ends>>>);

impl OpenedFor {
    /// Whether this connection was not opened for the request, but for another one.
    pub(in crate::webhook) fn lacks(&self, used: &Connected) -> bool {
        ends(used).is_some_and(|ends| !self.opened().contains(&ends))
    }

    fn opened(&self) -> MutexGuard<'_, Vec<Ends>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ends(connection: &Connected) -> Option<Ends> {
    let mut extras = Extensions::new();
    connection.get_extras(&mut extras);
    let tcp = extras.get::<HttpInfo>()?;
    Some((tcp.local_addr(), tcp.remote_addr()))
}

tokio::task_local! {
    /// The connections that are opened for the request of this task. hyper opens a connection in
    /// that task, but uses another one if that becomes free first.
    pub(in crate::webhook) static OPENED: OpenedFor;
}

/// Opens connections to places that the egress allows.
#[derive(Clone)]
pub(in crate::webhook) struct Connector {
    egress: Arc<Egress>,
    inner: HttpsConnector<Way>,
    limit: Duration,
}

impl Connector {
    /// `limit` is for resolving, connecting and the TLS handshake together.
    pub(in crate::webhook) fn new(
        egress: Egress,
        proxy: Option<Proxy>,
        lookup: Lookup,
        tls: ClientConfig,
        allow_http: bool,
        limit: Duration,
    ) -> Self {
        let egress = Arc::new(egress);
        let mut tcp = HttpConnector::new_with_resolver(Resolver {
            egress: proxy.is_none().then(|| Arc::clone(&egress)),
            lookup,
        });
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(limit));
        let to_proxy = HttpsConnectorBuilder::new().with_tls_config(tls.clone());
        let way = match proxy {
            None => Way::Direct(tcp),
            Some(proxy) => Way::Through(
                Arc::new(proxy),
                to_proxy.https_or_http().enable_http1().wrap_connector(tcp),
            ),
        };
        let https = HttpsConnectorBuilder::new().with_tls_config(tls);
        let https = if allow_http {
            https.https_or_http()
        } else {
            https.https_only()
        };
        Self {
            egress,
            inner: https.enable_http1().wrap_connector(way),
            limit,
        }
    }

    /// An address in the URL itself never comes to the resolver.
    fn check_literal(&self, uri: &Uri) -> Result<(), Refused> {
        let host = uri.host().unwrap_or_default();
        match host.trim_matches(['[', ']']).parse() {
            Ok(address) => self.egress.check_address(None, address),
            Err(_) => Ok(()),
        }
    }
}

impl Service<Uri> for Connector {
    type Response = <HttpsConnector<Way> as Service<Uri>>::Response;
    type Error = BoxError;
    type Future = BoxFuture<Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let opened = OPENED.try_with(OpenedFor::clone).unwrap_or_default();
        if let Err(refused) = self.check_literal(&uri) {
            return Box::pin(async { Err(refused.into()) });
        }
        let (limit, connecting) = (self.limit, self.inner.call(uri));
        Box::pin(async move {
            let late = |_| {
                io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("no connection within {limit:?}"),
                )
            };
            let stream = tokio::time::timeout(limit, connecting)
                .await
                .map_err(late)??;
            opened.opened().extend(ends(&stream.connected()));
            Ok(stream)
        })
    }
}

/// The way to a receiver, on which TLS with that is then spoken.
#[derive(Clone)]
pub(in crate::webhook) enum Way {
    Direct(HttpConnector<Resolver>),
    Through(Arc<Proxy>, HttpsConnector<HttpConnector<Resolver>>),
}

impl Service<Uri> for Way {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = BoxError;
    type Future = BoxFuture<Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match self {
            Self::Direct(tcp) => tcp.poll_ready(cx).map_err(Into::into),
            Self::Through(_, to_proxy) => to_proxy.poll_ready(cx),
        }
    }

    fn call(&mut self, receiver: Uri) -> Self::Future {
        match self {
            Self::Direct(tcp) => {
                let connecting = tcp.call(receiver);
                Box::pin(async { Ok(MaybeHttpsStream::Http(connecting.await?)) })
            }
            Self::Through(proxy, to_proxy) => {
                let (proxy, connecting) = (Arc::clone(proxy), to_proxy.call(proxy.url().clone()));
                Box::pin(async move {
                    let stream = connecting.await.map_err(|error| {
                        let why = Failure::from_chain(&*error, FailureKind::Connect);
                        proxy.unreachable(&why.detail)
                    })?;
                    let mut stream = TokioIo::new(stream);
                    proxy.connect(&mut stream, &receiver).await?;
                    Ok(stream.into_inner())
                })
            }
        }
    }
}

/// Gives only those addresses of a name to which it may go: to any, where the name is a proxy's.
#[derive(Clone)]
pub(in crate::webhook) struct Resolver {
    egress: Option<Arc<Egress>>,
    lookup: Lookup,
}

impl Service<Name> for Resolver {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = BoxError;
    type Future = BoxFuture<Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let (egress, name) = (self.egress.clone(), name.as_str().to_owned());
        let looked_up = (self.lookup)(name.clone());
        Box::pin(async move {
            let mut allowed = Vec::new();
            let mut refused = None;
            for address in looked_up.await? {
                let checked = egress
                    .as_ref()
                    .map_or(Ok(()), |egress| egress.check_address(Some(&name), address));
                match checked {
                    Ok(()) => allowed.push(SocketAddr::new(address, 0)),
                    Err(why) => refused = Some(why),
                }
            }
            match refused {
                Some(refused) if allowed.is_empty() => Err(refused.into()),
                _ if allowed.is_empty() => Err(format!("{name} has no address").into()),
                _ => Ok(allowed.into_iter()),
            }
        })
    }
}
