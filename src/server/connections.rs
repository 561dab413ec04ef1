//! The connections of a server: how many there are, and which one is closed when there are too many.
//!
//! In comes each connection that is accepted; out goes its [`Place`]. Always true:
//!
//! - A connection on which no request is being answered keeps no other out. When all places are
//!   taken, the one that has been idle for longest is closed. A head that arrives slowly doesn't
//!   count as a request.
//! - Probes are answered even when all places have requests: for them some more connections are
//!   taken, on which everything else is refused.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Instant,
};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio::sync::Notify;

/// How many connections there may be beyond the limit, for probes.
const RESERVED: usize = 32;

/// The connections of one server.
#[derive(Debug)]
pub(super) struct Connections {
    most: usize,
    open: Arc<Mutex<Vec<Arc<Connection>>>>,
}

#[derive(Debug)]
struct Connection {
    activity: Mutex<Activity>,
    closing: Notify,
}

#[derive(Debug)]
struct Activity {
    /// How many requests are being answered.
    requests: usize,
    idle_since: Instant,
    is_closing: bool,
}

/// The place of an open connection, which is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    connection: Arc<Connection>,
    open: Arc<Mutex<Vec<Arc<Connection>>>>,
    /// Whether only probes are answered here.
    pub(super) is_reserved: bool,
}

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct Answering(Arc<Connection>);

impl Connections {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            open: Arc::default(),
        }
    }

    /// A place for a connection, if need be that of an idle one. `None` if all have requests, the
    /// reserved ones as well.
    pub(super) fn take(&self) -> Option<Place> {
        let mut open = lock(&self.open);
        if open.len() >= self.most {
            close_longest_idle(&mut open);
        }
        if open.len() >= self.most + RESERVED {
            return None;
        }
        let connection = Arc::new(Connection {
            activity: Mutex::new(Activity {
                requests: 0,
                idle_since: Instant::now(),
                is_closing: false,
            }),
            closing: Notify::new(),
        });
        let is_reserved = open.len() >= self.most;
        open.push(Arc::clone(&connection));
        Some(Place {
            connection,
            open: Arc::clone(&self.open),
            is_reserved,
        })
    }
}

fn close_longest_idle(open: &mut Vec<Arc<Connection>>) {
    let idle = open.iter().enumerate().filter_map(|(at, connection)| {
        let activity = lock(&connection.activity);
        (activity.requests == 0).then_some((activity.idle_since, at))
    });
    let Some((_, at)) = idle.min() else {
        return;
    };
    let connection = &open[at];
    let mut activity = lock(&connection.activity);
    // A request may have arrived meanwhile.
    if activity.requests == 0 {
        activity.is_closing = true;
        connection.closing.notify_one();
        drop(activity);
        open.swap_remove(at);
    }
}

impl Place {
    /// Marks that a request is being answered; `None` if the connection is being closed.
    pub(super) fn begin(&self) -> Option<Answering> {
        let mut activity = lock(&self.connection.activity);
        if activity.is_closing {
            return None;
        }
        activity.requests += 1;
        Some(Answering(Arc::clone(&self.connection)))
    }

    /// Ends when the connection has to be closed for another.
    pub(super) async fn closing(&self) {
        self.connection.closing.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.open).retain(|one| !Arc::ptr_eq(one, &self.connection));
    }
}

impl Answering {
    /// The body of the answer. Once it is sent or dropped, the request is no longer being answered.
    pub(super) fn until_sent(self, body: Body) -> Body {
        Body::new(Sending {
            body,
            _answering: self,
        })
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let mut activity = lock(&self.0.activity);
        activity.requests -= 1;
        activity.idle_since = Instant::now();
    }
}

struct Sending {
    body: Body,
    _answering: Answering,
}

impl HttpBody for Sending {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_closing(place: &Place) -> bool {
        lock(&place.connection.activity).is_closing
    }

    #[test]
    fn the_longest_idle_connection_makes_room() {
        let connections = Connections::new(3);
        let places: Vec<_> = (0..3).map(|_| connections.take().unwrap()).collect();
        // The first was idle for longest, but has a request again; then the second, and the third.
        let answering = places[0].begin().unwrap();
        drop(places[1].begin());
        let newest = connections.take().unwrap();
        let closing: Vec<_> = places.iter().map(is_closing).collect();
        assert_eq!(closing, [false, false, true]);
        assert!(places[2].begin().is_none());
        assert!(!newest.is_reserved);
        drop(answering);
    }

    #[test]
    fn where_all_have_requests_some_places_are_for_probes() {
        let connections = Connections::new(2);
        let places: Vec<_> = (0..2 + RESERVED)
            .map(|_| {
                let place = connections.take().unwrap();
                (place.begin().unwrap(), place)
            })
            .collect();
        let reserved = places.iter().filter(|(_, place)| place.is_reserved);
        assert_eq!(reserved.count(), RESERVED);
        assert!(connections.take().is_none());
        drop(places);
        assert!(!connections.take().unwrap().is_reserved);
    }
}
