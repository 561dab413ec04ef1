//! `GET /stats`: counts of entries.

use axum::{
    extract::{Extension, State as Shared},
    http::{header, request::Parts},
    response::{IntoResponse, Response},
};

use super::{
    access::Scope,
    params,
    problem::Problem,
    state::{Slot, State},
};
use crate::{
    entry::json::{Json, Members},
    query::{AuditReader, Stats, StatsQuery},
};

/// `GET /stats`
pub(super) async fn stats(
    Shared(app): Shared<State>,
    Extension(slot): Extension<Slot>,
    request: Parts,
) -> Result<Response, Problem> {
    let asker = app.admit(&request, Scope::Read)?;
    let given = params::parse(request.uri.query())?;
    let query = StatsQuery::parse(asker.narrow(&given)?)?;
    let reader = app.reader.clone();
    let (stats, hints) = app
        .blocking(slot, move |cancel| {
            let stats = reader.cancelled_by(cancel).stats(&query)?;
            let hints = hints(&reader, &query, &stats);
            Ok((stats, hints))
        })
        .await?;
    let entry = asker.record(
        "audit.access.read",
        "Entries of the audit log were counted",
        &given,
    );
    app.recorder
        .record(&entry.detail("status", 200).detail("counted", stats.total))?;
    let body = answer(&stats, &hints, asker.access.tenant.is_some());
    let body = Json::Object(body).to_string();
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

/// Why there may be nothing to count. A catalogue that can't be read gives no hints.
fn hints(reader: &AuditReader, query: &StatsQuery, stats: &Stats) -> Vec<String> {
    if stats.total == 0 {
        reader.hints(&query.filter).unwrap_or_default()
    } else {
        Vec::new()
    }
}

/// The counts as JSON. How much was read for them would tell a tenant of the entries of others.
fn answer(stats: &Stats, hints: &[String], for_tenant: bool) -> Members {
    let mut answer = Members::default();
    if let Json::Object(members) = Json::of(stats) {
        for (name, value) in members.iter() {
            if name != "scanned" || !for_tenant {
                answer.insert(name, value.clone());
            }
        }
    }
    if !hints.is_empty() {
        answer.add("hints", hints);
    }
    answer
}
