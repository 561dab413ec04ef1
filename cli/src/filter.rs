//! The filters that `query`, `tail` and `export` share: those of the HTTP API, spelled as flags.

use clap::Args;
use tracing_audit::Filter;

use super::failure::Failure;

/// Which entries. Different filters must all hold.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Filters")]
pub(super) struct FilterArgs {
    /// From this UTC day (2026-11-21) or RFC 3339 instant (2026-11-21T10:15:00Z) on
    #[arg(long, value_name = "DATE")]
    start_date: Option<String>,
    /// To the end of this UTC day, or before this RFC 3339 instant
    #[arg(long, value_name = "DATE")]
    end_date: Option<String>,
    /// This event type, or all below it (auth.*); repeatable
    #[arg(long, value_name = "TYPE")]
    event_type: Vec<String>,
    /// This category, the event type's first part unless the application says otherwise
    #[arg(long)]
    category: Option<String>,
    /// This action, the event type's last part unless the application says otherwise
    #[arg(long)]
    action: Option<String>,
    /// The id or the name of the actor, who did it
    #[arg(long, value_name = "ID|NAME")]
    actor: Option<String>,
    /// The id or the name of the resource, to which it was done
    #[arg(long, value_name = "ID|NAME")]
    resource: Option<String>,
    /// This tenant
    #[arg(long, value_name = "ID")]
    tenant_id: Option<String>,
    /// info, warning, error or critical; repeatable
    #[arg(long)]
    severity: Vec<String>,
    /// success, failure or unknown
    #[arg(long)]
    outcome: Option<String>,
    /// The application that recorded it
    #[arg(long)]
    source: Option<String>,
    /// The IP address that it came from
    #[arg(long, value_name = "ADDRESS")]
    ip_address: Option<String>,
    /// This session
    #[arg(long, value_name = "ID")]
    session_id: Option<String>,
    /// This request
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
    /// This text, in any case, in event type, actor, resource or description
    #[arg(long, value_name = "TEXT")]
    q: Option<String>,
    /// This value in the details, as in mode=full or order.id=17; repeatable
    #[arg(long, value_name = "PATH=VALUE")]
    details: Vec<String>,
}

impl FilterArgs {
    /// The filter that they make, without entries about reads of the log unless these are wanted.
    pub(super) fn filter_with_access(&self, include_access: bool) -> Result<Filter, Failure> {
        let filter = self.filter()?;
        Ok(if include_access {
            filter
        } else {
            filter.without_access()
        })
    }

    /// The filter that they make. An error names the flag.
    pub(super) fn filter(&self) -> Result<Filter, Failure> {
        let single = [
            ("start_date", &self.start_date),
            ("end_date", &self.end_date),
            ("category", &self.category),
            ("action", &self.action),
            ("actor", &self.actor),
            ("resource", &self.resource),
            ("tenant_id", &self.tenant_id),
            ("outcome", &self.outcome),
            ("source", &self.source),
            ("ip_address", &self.ip_address),
            ("session_id", &self.session_id),
            ("request_id", &self.request_id),
            ("q", &self.q),
        ];
        let mut params: Vec<(String, &str)> = single
            .iter()
            .filter_map(|(name, value)| Some(((*name).to_owned(), value.as_deref()?)))
            .collect();
        params.extend(
            self.event_type
                .iter()
                .map(|value| ("event_type".to_owned(), value.as_str())),
        );
        params.extend(
            self.severity
                .iter()
                .map(|value| ("severity".to_owned(), value.as_str())),
        );
        for pair in &self.details {
            let (path, value) = pair
                .split_once('=')
                .filter(|(path, _)| !path.is_empty())
                .ok_or_else(|| {
                    Failure::Usage(format!(
                        "--details: {pair:?} must be a path and a value, like mode=full"
                    ))
                })?;
            params.push((format!("details.{path}"), value));
        }
        Filter::parse(params).map_err(Failure::of_flag)
    }
}
