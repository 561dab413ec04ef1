//! `GET /stream`: entries as they arrive, as server-sent events.
//!
//! A stream is a chain of pages in the order of arrival. Each event has the entries of one page,
//! and their cursor as its id; so an event is received whole or not at all, and a client that
//! connects again with `Last-Event-ID` gets every entry once. While there are no entries, an event
//! says every few seconds up to when the log is complete.
//!
//! A slow client holds up nobody: two events wait for it, and the time for the third is limited.
//! The events have their room in memory (`memory`) until the client has taken them.
//! The last event of every stream says why the server has ended the stream; there is always room
//! for that event.

use std::{
    convert::Infallible,
    mem,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use axum::{
    extract::{Extension, State as Shared},
    http::{HeaderMap, HeaderName, HeaderValue, request::Parts},
    response::{
        IntoResponse, Response,
        sse::{Event, Sse},
    },
};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc, watch},
    time::{self, Instant},
};
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};

use super::{
    access::Scope,
    cursors,
    entries::json,
    limits::Held,
    memory::Room,
    params,
    problem::Problem,
    state::{Asker, Slot, State},
};
use crate::query::{Order, Page, PageStart, Query};

/// How long the log is left alone after a page without entries.
const PAUSE: Duration = Duration::from_millis(250);
/// After so long without entries, an event says up to when the log is complete.
const QUIET: Duration = Duration::from_secs(10);
/// How many entries an event has.
const ENTRIES: usize = 200;
/// How many bytes the entries of an event have; an entry that is longer is an event of its own.
const BYTES: usize = 1 << 20;
/// The room to make such an event: its entries, their JSON, and the event.
const ROOM: usize = 3 * BYTES;
/// Why a stream ends with its server.
const STOPS: &str = "the server stops; connect again";
/// How many events wait for the client.
const WAITING: usize = 2;
/// A proxy that buffers answers until they are whole would hold back a stream for ever.
const UNBUFFERED: (HeaderName, HeaderValue) = (
    HeaderName::from_static("x-accel-buffering"),
    HeaderValue::from_static("no"),
);

/// Tells the streams of a server that it stops.
#[derive(Clone, Debug)]
pub(super) struct Stopping(pub(super) watch::Receiver<bool>);

/// `GET /stream`
pub(super) async fn stream(
    Shared(app): Shared<State>,
    Extension(slot): Extension<Slot>,
    mut request: Parts,
) -> Result<Response, Problem> {
    // Otherwise, the stream would hold a request's slot for as long as it lasts.
    request.extensions.remove::<Slot>();
    let asker = app.admit(&request, Scope::Read)?;
    let given = params::parse(request.uri.query())?;
    let params = from_last_event(asker.narrow(&given)?, &request.headers);
    let query = query(cursors::open(&app, &asker, slot, params).await?)?;
    let held = app.take_one(&app.limits.streams, &request, &asker)?;
    let Ok(client) = Arc::clone(&app.streams).try_acquire_owned() else {
        app.counts.shed.fetch_add(1, Ordering::Relaxed);
        let what = "too many clients follow the log already; try again later";
        return Err(Problem::busy(what));
    };
    let entry = asker.record(
        "audit.access.read",
        "Entries of the audit log are read as they arrive",
        &given,
    );
    app.recorder.record(&entry.detail("status", 200))?;
    let (events, waiting) = mpsc::channel(WAITING + 1);
    let follower = Follower {
        stopping: request.extensions.get().cloned(),
        app,
        request,
        query,
        asker,
        last_event: None,
    };
    tokio::spawn(follower.run((client, held), events));
    // The connection asks for the next event when it has sent most of the last one.
    let mut sent = None;
    let events = ReceiverStream::new(waiting).map(move |(event, room): Waiting| {
        drop(mem::replace(&mut sent, room));
        Ok::<_, Infallible>(event)
    });
    Ok(([UNBUFFERED], Sse::new(events)).into_response())
}

/// The parameters, with the last event's id as the cursor if the client has one.
fn from_last_event(
    mut params: Vec<(String, String)>,
    headers: &HeaderMap,
) -> Vec<(String, String)> {
    if let Some(last) = headers.get("last-event-id") {
        let last = last.to_str().unwrap_or_default();
        params.retain(|(name, _)| name != "cursor");
        params.push(("cursor".to_owned(), last.to_owned()));
    }
    params
}

/// The question for the first page.
fn query(mut params: Vec<(String, String)>) -> Result<Query, Problem> {
    for name in ["limit", "order", "offset"] {
        if params.iter().any(|(given, _)| given == name) {
            let what = "a stream gives all entries as they arrive, and takes no limit, order or offset; leave \
                        it out";
            return Err(Problem::parameter(name, what));
        }
    }
    params.push(("order".to_owned(), Order::Arrival.to_string()));
    let mut query = Query::parse(params)?;
    query.limit = ENTRIES;
    query.max_bytes = BYTES;
    if query.start == PageStart::First {
        query.start = PageStart::Now;
    }
    Ok(query)
}

/// An event, and its room in memory if it is not short.
type Waiting = (Event, Option<Room>);
type Events = mpsc::Sender<Waiting>;

/// Reads for one client.
struct Follower {
    app: State,
    /// To ask again whether the client may read: its token may be revoked meanwhile.
    request: Parts,
    asker: Asker,
    query: Query,
    /// The first event comes at once, so that the client has an id to go on from.
    last_event: Option<Instant>,
    stopping: Option<Stopping>,
}

impl Follower {
    async fn run(mut self, client: (OwnedSemaphorePermit, Held), events: Events) {
        let Ok(last) = events.clone().try_reserve_owned() else {
            return;
        };
        let why = loop {
            match self.step(&events).await {
                Ok(true) => {}
                Ok(false) => self.pause(&events).await,
                Err(why) => break why,
            }
        };
        if let Some(why) = why {
            let data = serde_json::json!({ "why": why }).to_string();
            last.send((Event::default().event("end").data(data), None));
        }
        drop(client);
    }

    /// Reads a page and sends it. Says whether there may be more; the error says why the stream
    /// ends, if there is someone to be told.
    async fn step(&mut self, events: &Events) -> Result<bool, Option<String>> {
        if self
            .stopping
            .as_ref()
            .is_some_and(|stopping| *stopping.0.borrow())
        {
            return Err(Some(STOPS.into()));
        }
        if !self
            .app
            .still_admits(&self.request, Scope::Read, &self.asker.access.tenant)
        {
            return Err(Some("the token is no longer valid".into()));
        }
        let read = tokio::select! {
            read = self.read() => read,
            () = events.closed() => return Err(None),
            () = self.stops() => return Err(Some(STOPS.into())),
        };
        let why = |problem: Problem| Some(problem.detail().to_owned());
        let (page, next, mut room) = read.map_err(why)?;
        let page = self.asker.narrow_page(page);
        let more = page.has_more;
        self.query.start = PageStart::Cursor(next);
        let is_due = self.last_event.is_none_or(|last| last.elapsed() >= QUIET);
        if let Some((event, bytes)) = event(page, is_due) {
            room.fit(bytes).map_err(why)?;
            self.send(events, (event, Some(room))).await?;
            self.last_event = Some(Instant::now());
        }
        Ok(more)
    }

    /// Reads a page, once there is room for it in memory. The page has its cursor as the client gets
    /// it; the cursor as the log reads it comes beside.
    async fn read(&self) -> Result<(Page, String, Room), Problem> {
        let room = self.app.memory.room_in_time(ROOM).await;
        let slot = self.app.wait_for_slot().await;
        let app = State::clone(&self.app);
        let reader = app.reader.clone();
        let query = self.query.clone();
        let tenant = self.asker.access.tenant.clone();
        let read = self.app.blocking(slot, move |cancel| {
            let page = reader.cancelled_by(cancel).page(&query)?;
            let next = page.next_cursor.clone();
            let page = app.cursors.seal(tenant.as_deref(), page)?;
            Ok((page, next, room))
        });
        read.await
    }

    async fn send(&self, events: &Events, event: Waiting) -> Result<(), Option<String>> {
        match time::timeout(self.app.options.stall_time, events.send(event)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(None),
            Err(_) => Err(Some(
                "the client was too slow; connect again with Last-Event-ID".into(),
            )),
        }
    }

    async fn pause(&self, events: &Events) {
        tokio::select! {
            () = time::sleep(PAUSE) => {}
            () = events.closed() => {}
            () = self.stops() => {}
        }
    }

    /// Ends when the server begins to stop.
    async fn stops(&self) {
        match self.stopping.clone() {
            Some(Stopping(mut stopping)) => drop(stopping.changed().await),
            None => std::future::pending().await,
        }
    }
}

/// The event of a page and its length, unless that has nothing to say.
fn event(page: Page, is_due: bool) -> Option<(Event, usize)> {
    let name = match page.entries.is_empty() && page.scanned.problems.is_empty() {
        true if is_due => "progress",
        true => return None,
        false => "entries",
    };
    let event = Event::default().event(name).id(&page.next_cursor);
    let data = json(page, &[]).concat();
    Some((event.data(String::from_utf8_lossy(&data)), data.len()))
}
