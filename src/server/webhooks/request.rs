//! The part of requests about webhooks that other requests of administrators don't have.

use axum::{http::StatusCode, response::Response};

use super::refused;
use crate::{
    entry::json::Members,
    server::{
        admin::{self, AdminRequest, answer},
        problem::Problem,
        state::Asker,
    },
    webhook::{Administrator, Refusal},
};

/// How a refused change is recorded.
pub(in crate::server) const REFUSED: admin::RefusedChange = admin::RefusedChange {
    event_type: "audit.webhook.refused",
    description: "A change of a webhook was refused",
};

/// A request about webhooks, without its body.
pub(super) type WebhookRequest = AdminRequest;

impl WebhookRequest {
    /// The webhook's name in the path, as it stands there: no name has to be encoded.
    pub(super) fn name(&self) -> String {
        self.part(2)
    }

    /// The delivery's id in the path.
    pub(super) fn delivery_id(&self) -> String {
        self.part(4)
    }

    /// Has an administrator change something about webhooks.
    pub(super) async fn change(
        &self,
        act: impl AsyncFnOnce(Asker) -> Result<Response, Problem>,
    ) -> Result<Response, Problem> {
        self.change_or_record(REFUSED, act).await
    }

    /// A webhook as answers show it.
    pub(super) async fn shown(&self, name: String) -> Result<Members, Problem> {
        let report = self.read(move |app, _| {
            let report = app.reader.webhook(&name)?;
            Ok(report.ok_or(Refusal::NoSuch(name)))
        });
        let report = report.await?.map_err(refused)?;
        Ok(report.shown())
    }

    /// The answer with the webhook that the path names.
    pub(super) async fn answer_shown(&self) -> Result<Response, Problem> {
        Ok(answer(StatusCode::OK, &self.shown(self.name()).await?))
    }

    /// Has an administrator act on the webhook that the path names, on a thread for work on disks.
    pub(super) async fn administer<T: Send + 'static>(
        &self,
        asker: Asker,
        act: impl FnOnce(&Administrator<'_>, &str) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Problem> {
        self.administer_named(asker, self.name(), act).await
    }

    /// The same for the webhook of this name.
    pub(in crate::server) async fn administer_named<T: Send + 'static>(
        &self,
        asker: Asker,
        name: String,
        act: impl FnOnce(&Administrator<'_>, &str) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Problem> {
        let log = self.log()?.clone();
        let done = self.read(move |_, _| {
            let administrator = Administrator::outside(&log, asker.caller, &asker.path);
            Ok(act(&administrator, &name))
        });
        done.await?.map_err(refused)
    }
}
