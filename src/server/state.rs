//! The state that all requests share, and the facts about one request.

#[cfg(feature = "console")]
use std::time::Instant;
use std::{
    mem,
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::{Arc, atomic::AtomicU64},
};

use axum::{
    extract::{ConnectInfo, OriginalUri},
    http::{HeaderMap, HeaderName, StatusCode, header, request::Parts},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task,
};

#[cfg(feature = "console")]
use super::console::{
    origin,
    session::{Sessions, session_cookie},
};
use super::{
    access::{Access, Authorizer as _, Denied, Scope},
    cursors::Cursors,
    hosts::Hosts,
    limits::Limits,
    memory::Memory,
    options::RouterOptions,
    plans::Plans,
    problem::Problem,
    recorder::Recorder,
    token::TokenStore,
};
use crate::{
    capture::Proxies,
    entry::{
        Author, Caller, OwnEntry, Severity,
        json::{Json, Members},
    },
    error::{Error, Result},
    log::AuditLog,
    query::{AuditReader, Filter, Page, Scanned, cancel::Cancel},
    store::layout::Layout,
};

pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The most bytes that are recorded of a text which the client chose.
const MAX_TEXT: usize = 256;

pub(super) type State = Arc<App>;

/// The state that all requests share.
#[derive(Debug)]
pub(super) struct App {
    pub(super) log: Option<AuditLog>,
    pub(super) reader: AuditReader,
    pub(super) layout: Layout,
    pub(super) options: RouterOptions,
    proxies: Proxies,
    hosts: Hosts,
    pub(super) recorder: Arc<Recorder>,
    pub(super) requests: Arc<Semaphore>,
    pub(super) downloads: Arc<Semaphore>,
    pub(super) streams: Arc<Semaphore>,
    pub(super) limits: Limits,
    pub(super) memory: Memory,
    pub(super) counts: Counts,
    pub(super) plans: Plans,
    #[cfg(feature = "webhook")]
    pub(super) webhook_policy: crate::webhook::OutsidePolicy,
    pub(super) tokens: TokenStore,
    pub(super) cursors: Cursors,
    #[cfg(feature = "console")]
    pub(super) sessions: Sessions,
}

/// The counters for `/metrics`.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Answers, by the first digit of their status.
    pub(super) by_status: [AtomicU64; 5],
    /// Requests refused because too many were being answered.
    pub(super) shed: AtomicU64,
    pub(super) exported_bytes: Arc<AtomicU64>,
    /// Downloads that were broken off because something could not be read, or that the client did
    /// not take to the end.
    pub(super) cut_exports: Arc<AtomicU64>,
}

impl App {
    pub(super) fn new(dir: &Path, log: Option<AuditLog>, options: RouterOptions) -> Result<State> {
        let layout = Layout::of(dir);
        let tokens = TokenStore::open(layout.root());
        if options.authorizer.is_none() {
            // A problem with the tokens should show now, and not at the first request.
            tokens.list()?;
        }
        Ok(Arc::new(Self {
            reader: AuditReader::open(layout.root())?,
            recorder: Recorder::new(log.clone(), options.unrecorded_reads),
            requests: Arc::new(Semaphore::new(options.requests)),
            downloads: Arc::new(Semaphore::new(options.downloads)),
            streams: Arc::new(Semaphore::new(options.streams)),
            limits: Limits::new(&options)?,
            memory: Memory::new(&options)?,
            proxies: options.proxies()?,
            hosts: Hosts::new(&options.hosts)?,
            counts: Counts::default(),
            plans: Plans::default(),
            #[cfg(feature = "webhook")]
            webhook_policy: crate::webhook::OutsidePolicy::new(
                &options.webhook_egress,
                options.webhook_allow_http,
            )?,
            cursors: Cursors::new(&layout, log.is_some()),
            layout,
            log,
            options,
            tokens,
            #[cfg(feature = "console")]
            sessions: Sessions::default(),
        }))
    }

    /// Lets a request in that has this scope; a refusal is recorded.
    pub(super) fn admit(&self, request: &Parts, scope: Scope) -> Result<Asker, Problem> {
        let mut caller = self.caller(request);
        let access = match self.authorize(request) {
            Ok(access) => access,
            Err(denied) => return Err(self.refuse(&caller, denied, request)),
        };
        name_caller(&mut caller, &access);
        #[cfg(feature = "console")]
        self.check_session_use(&caller, request)?;
        self.count_request(request, &access, &caller)?;
        if access.scope < scope {
            let why = format!(
                "this request needs the scope {scope:?}, and your token has {:?}",
                access.scope
            )
            .to_lowercase();
            return Err(self.refuse(&caller, Denied::Forbidden(why), request));
        }
        Ok(Asker {
            access,
            caller,
            path: shorten(path(request)),
            recorder: Arc::clone(&self.recorder),
        })
    }

    /// Lets a request in that has this scope and concerns all tenants; a refusal is recorded.
    pub(super) fn admit_for_all_tenants(
        &self,
        request: &Parts,
        scope: Scope,
    ) -> Result<Asker, Problem> {
        let asker = self.admit(request, scope)?;
        if asker.access.tenant.is_none() {
            return Ok(asker);
        }
        let why = "this request concerns all tenants, and your token is for one".to_owned();
        Err(self.refuse(&asker.caller, Denied::Forbidden(why), request))
    }

    /// Admits a request of an administrator of all tenants, unless another site's page made a
    /// browser send it.
    pub(super) fn admit_administrator(&self, request: &Parts) -> Result<Asker, Problem> {
        let asker = self.admit_for_all_tenants(request, Scope::Admin)?;
        let elsewhere = request
            .headers
            .get("sec-fetch-site")
            .is_some_and(|site| !matches!(site.as_bytes(), b"same-origin" | b"none"));
        if !elsewhere || request.method.is_safe() {
            return Ok(asker);
        }
        let why = "a page of another site sent this request".to_owned();
        Err(self.refuse(&asker.caller, Denied::Forbidden(why), request))
    }

    /// Whether the sender of this request, which was admitted before, has the scope still, and the
    /// same tenant.
    pub(super) fn still_admits(
        &self,
        request: &Parts,
        scope: Scope,
        tenant: &Option<String>,
    ) -> bool {
        let access = self.authorize(request);
        access.is_ok_and(|access| access.scope >= scope && access.tenant == *tenant)
    }

    /// The access of a request's sender: by the application's own authorizer; else by the session of
    /// a browser, unless the request has a token; else by the token.
    pub(super) fn authorize(&self, request: &Parts) -> Result<Access, Denied> {
        if let Some(own) = &self.options.authorizer {
            return own.authorize(request);
        }
        #[cfg(feature = "console")]
        if let Some(cookie) = session_cookie(request) {
            return self
                .sessions
                .authorize(&self.tokens, cookie, Instant::now());
        }
        self.tokens.authorize(request)
    }

    /// Notes that a session is in use. A request that changes something must come from a page of
    /// this server: a browser sends the session's cookie whichever page made it send the request.
    #[cfg(feature = "console")]
    fn check_session_use(&self, caller: &Caller, request: &Parts) -> Result<(), Problem> {
        if self.options.authorizer.is_some() {
            return Ok(());
        }
        let Some(cookie) = session_cookie(request) else {
            return Ok(());
        };
        if !request.method.is_safe() {
            self.check_same_origin(caller, request)?;
        }
        self.sessions.note_use(cookie, Instant::now());
        Ok(())
    }

    /// Lets a request in that a page of this server made a browser send; a refusal is recorded.
    #[cfg(feature = "console")]
    pub(super) fn check_same_origin(
        &self,
        caller: &Caller,
        request: &Parts,
    ) -> Result<(), Problem> {
        if origin::is_same(request, peer(request), &self.proxies) {
            return Ok(());
        }
        let why = "only a page of this server may send this request with a session's cookie";
        Err(self.refuse(caller, Denied::Forbidden(why.to_owned()), request))
    }

    /// Waits until a request may be answered.
    pub(super) async fn wait_for_slot(&self) -> Slot {
        // The semaphore is never closed.
        let slot = Arc::clone(&self.requests).acquire_owned().await;
        Slot(Arc::new(slot.expect("nobody closes the semaphore")))
    }

    /// Lets a request in that is for a name of this server; a refusal is recorded.
    pub(super) fn check_host(&self, request: &Parts) -> Result<(), Problem> {
        if self.hosts.allow(request, peer(request), &self.proxies) {
            return Ok(());
        }
        let caller = self.caller(request);
        self.recorder.wrong_host(&caller, &shorten(path(request)));
        let detail = "this server doesn't answer for the host that the request names; use a host \
                      that its operator has configured";
        Err(Problem::new(
            StatusCode::MISDIRECTED_REQUEST,
            "Unknown host",
            detail,
        ))
    }

    /// The sender of a request, as long as nothing but the request says who that is.
    pub(super) fn caller(&self, request: &Parts) -> Caller {
        let headers = &request.headers;
        Caller {
            kind: "anonymous".into(),
            ip_address: peer(request).map(|peer| self.proxies.client(peer, headers).to_string()),
            user_agent: text(headers, &header::USER_AGENT),
            request_id: text(headers, &REQUEST_ID).unwrap_or_default(),
            ..Caller::default()
        }
    }

    /// The reason why every token is refused now, if that is so.
    pub(super) fn token_problem(&self) -> Option<Error> {
        let own = self.options.authorizer.is_none();
        own.then(|| self.tokens.problem()).flatten()
    }

    pub(super) fn refuse(&self, caller: &Caller, denied: Denied, request: &Parts) -> Problem {
        self.recorder
            .denied(caller, &denied, &shorten(path(request)));
        denied.into()
    }

    /// Reads the disk on a blocking thread. The slot is held until the read is done, even if the
    /// client is gone: a read that checks `Cancel` then ends soon.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        slot: Slot,
        read: impl FnOnce(&Cancel) -> Result<T> + Send + 'static,
    ) -> Result<T, Problem> {
        let (cancel, _waiting) = Cancel::on_drop();
        let work = task::spawn_blocking(move || {
            let result = read(&cancel);
            drop(slot);
            result
        });
        match work.await {
            Ok(result) => result.map_err(Problem::from),
            Err(_) => {
                let detail = "the request could not be finished; the server's own messages say why";
                Err(Problem::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "Internal error",
                    detail,
                ))
            }
        }
    }
}

/// One of a limited number of permits. The guard puts it into the request, and whatever works on
/// the request holds it.
#[derive(Clone, Debug)]
pub(super) struct Slot(
    #[allow(dead_code, reason = "held, not read")] pub(super) Arc<OwnedSemaphorePermit>,
);

/// An admitted caller, and how the access is recorded.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    pub(super) access: Access,
    pub(super) caller: Caller,
    pub(super) path: String,
    recorder: Arc<Recorder>,
}

impl Asker {
    /// These parameters, limited to the caller's tenant. A request for another tenant's entries is
    /// recorded.
    pub(super) fn narrow(
        &self,
        params: &[(String, String)],
    ) -> Result<Vec<(String, String)>, Problem> {
        let mut params = params.to_vec();
        let Some(tenant) = &self.access.tenant else {
            return Ok(params);
        };
        // A tenant's name may begin as an exclusion does.
        let own = Filter::literal(tenant);
        let is_other = |(name, wanted): &&(String, String)| name == "tenant_id" && *wanted != own;
        if let Some((_, wanted)) = params.iter().find(is_other) {
            self.recorder
                .other_tenant(&self.caller, &self.path, &shorten(wanted));
            return Err(Problem::parameter(
                "tenant_id",
                "your token is for another tenant only; leave it out",
            ));
        }
        params.retain(|(name, _)| name != "tenant_id");
        params.push(("tenant_id".to_owned(), own.into_owned()));
        Ok(params)
    }

    /// The page as the caller may see it. How much of the log was read for it depends on the
    /// entries of other tenants: the counts would say whether these have an actor or a session.
    pub(super) fn narrow_page(&self, page: Page) -> Page {
        if self.access.tenant.is_none() {
            return page;
        }
        let Scanned {
            problems,
            more_problems,
            ..
        } = page.scanned;
        let scanned = Scanned {
            problems,
            more_problems,
            ..Scanned::default()
        };
        Page { scanned, ..page }
    }

    /// The author of a change that the caller makes.
    pub(super) fn author(&self) -> Author {
        Author::of_request(self.caller.clone(), self.path.clone())
    }

    /// The entry about this access.
    pub(super) fn record(
        &self,
        event_type: &'static str,
        description: &str,
        params: &[(String, String)],
    ) -> OwnEntry {
        let mut parameters = Members::default();
        for (name, value) in params {
            let value = Json::Text(shorten(value));
            match parameters.get_mut(name) {
                None => drop(parameters.insert(shorten(name), value)),
                Some(Json::List(values)) => values.push(value),
                Some(one) => *one = Json::List(vec![mem::take(one), value]),
            }
        }
        OwnEntry::new(event_type, Severity::Info, description)
            .caller(self.caller.clone())
            .detail("path", self.path.as_str())
            .detail("parameters", parameters)
    }
}

/// Writes into the caller who that is.
pub(super) fn name_caller(caller: &mut Caller, access: &Access) {
    caller.kind = shorten(&access.actor_type).into();
    caller.id = shorten(&access.id);
    caller.name = shorten(&access.name);
    caller.tenant = access.tenant.clone();
}

/// The path as the client sent it, the mount's part included.
pub(super) fn path(request: &Parts) -> &str {
    request
        .extensions
        .get::<OriginalUri>()
        .map_or(&request.uri, |uri| &uri.0)
        .path()
}

fn peer(request: &Parts) -> Option<IpAddr> {
    let peer = request.extensions.get::<ConnectInfo<SocketAddr>>();
    peer.map(|peer| peer.0.ip().to_canonical())
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers
        .get(name)
        .map(|value| shorten(&String::from_utf8_lossy(value.as_bytes())))
}

/// As much of a text as is recorded: a longer one ends in `…`.
pub(super) fn shorten(text: &str) -> String {
    const CUT: &str = "…";
    if text.len() <= MAX_TEXT {
        return text.to_owned();
    }
    let end = (0..=MAX_TEXT - CUT.len())
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or_default();
    format!("{}{CUT}", &text[..end])
}
