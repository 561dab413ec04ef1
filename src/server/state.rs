//! The state that all requests share, and the facts about one request.

use std::{
    mem,
    net::SocketAddr,
    path::Path,
    sync::{Arc, atomic::AtomicU64},
};

use axum::{
    extract::{ConnectInfo, OriginalUri},
    http::{HeaderMap, HeaderName, header, request::Parts},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task,
};

use super::{
    access::{Access, Authorizer, Denied, Scope},
    options::RouterOptions,
    plans::Plans,
    problem::Problem,
    recorder::Recorder,
    token::TokenStore,
};
use crate::{
    entry::{
        Caller, OwnEntry, Severity,
        json::{Json, Members},
    },
    error::Result,
    log::AuditLog,
    query::{AuditReader, cancel::Cancel},
    store::layout::Layout,
};

pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The most characters that are recorded of a text which the client chose.
const MAX_TEXT: usize = 512;

pub(super) type State = Arc<App>;

/// The state that all requests share.
#[derive(Debug)]
pub(super) struct App {
    pub(super) log: Option<AuditLog>,
    pub(super) reader: AuditReader,
    pub(super) layout: Layout,
    pub(super) options: RouterOptions,
    pub(super) recorder: Recorder,
    pub(super) requests: Arc<Semaphore>,
    pub(super) downloads: Arc<Semaphore>,
    pub(super) counts: Counts,
    pub(super) plans: Plans,
    #[cfg(feature = "webhook")]
    pub(super) webhook_policy: crate::webhook::OutsidePolicy,
    tokens: TokenStore,
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
            counts: Counts::default(),
            plans: Plans::default(),
            #[cfg(feature = "webhook")]
            webhook_policy: crate::webhook::OutsidePolicy::new(
                &options.webhook_egress,
                options.webhook_allow_http,
            )?,
            layout,
            log,
            options,
            tokens,
        }))
    }

    /// Lets a request in that has this scope; a refusal is recorded.
    pub(super) fn admit(&self, request: &Parts, scope: Scope) -> Result<Asker, Problem> {
        let authorizer: &dyn Authorizer =
            self.options.authorizer.as_deref().unwrap_or(&self.tokens);
        let mut caller = caller(request);
        let access = match authorizer.authorize(request) {
            Ok(access) => access,
            Err(denied) => return Err(self.refuse(caller, denied, request)),
        };
        caller.kind = shorten(&access.actor_type).into();
        caller.id = shorten(&access.id);
        caller.name = shorten(&access.name);
        caller.tenant = access.tenant.clone();
        if access.scope < scope {
            let why = format!(
                "this request needs the scope {scope:?}, and your token has {:?}",
                access.scope
            )
            .to_lowercase();
            return Err(self.refuse(caller, Denied::Forbidden(why), request));
        }
        Ok(Asker {
            access,
            caller,
            path: path(request).to_owned(),
        })
    }

    /// Admits a request of an administrator of all tenants, unless another site's page made a
    /// browser send it.
    #[cfg(feature = "webhook")]
    pub(super) fn admit_administrator(&self, request: &Parts) -> Result<Asker, Problem> {
        let asker = self.admit(request, Scope::Admin)?;
        let elsewhere = request
            .headers
            .get("sec-fetch-site")
            .is_some_and(|site| !matches!(site.as_bytes(), b"same-origin" | b"none"));
        let why = match () {
            () if asker.access.tenant.is_some() => {
                "this request concerns all tenants, and your token is for one"
            }
            () if elsewhere && !request.method.is_safe() => {
                "a page of another site sent this \
                request"
            }
            () => return Ok(asker),
        };
        Err(self.refuse(asker.caller, Denied::Forbidden(why.to_owned()), request))
    }

    fn refuse(&self, caller: Caller, denied: Denied, request: &Parts) -> Problem {
        self.recorder.denied(caller, &denied, path(request));
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
                    axum::http::StatusCode::INTERNAL_SERVER_ERROR,
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
#[derive(Debug)]
pub(super) struct Asker {
    pub(super) access: Access,
    pub(super) caller: Caller,
    pub(super) path: String,
}

impl Asker {
    /// These parameters, narrowed to the caller's tenant.
    pub(super) fn narrow(
        &self,
        params: &[(String, String)],
    ) -> Result<Vec<(String, String)>, Problem> {
        let mut params = params.to_vec();
        let Some(tenant) = &self.access.tenant else {
            return Ok(params);
        };
        if params
            .iter()
            .any(|(name, wanted)| name == "tenant_id" && wanted != tenant)
        {
            return Err(Problem::parameter(
                "tenant_id",
                "your token is for another tenant only; leave it out",
            ));
        }
        params.retain(|(name, _)| name != "tenant_id");
        params.push(("tenant_id".to_owned(), tenant.clone()));
        Ok(params)
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

/// The path as the client sent it, the mount's part included.
pub(super) fn path(request: &Parts) -> &str {
    request
        .extensions
        .get::<OriginalUri>()
        .map_or(&request.uri, |uri| &uri.0)
        .path()
}

fn caller(request: &Parts) -> Caller {
    Caller {
        kind: "anonymous".into(),
        ip_address: request
            .extensions
            .get::<ConnectInfo<SocketAddr>>()
            .map(|peer| peer.0.ip().to_canonical().to_string()),
        user_agent: text(&request.headers, &header::USER_AGENT),
        request_id: text(&request.headers, &REQUEST_ID).unwrap_or_default(),
        ..Caller::default()
    }
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers
        .get(name)
        .map(|value| shorten(&String::from_utf8_lossy(value.as_bytes())))
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(MAX_TEXT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
