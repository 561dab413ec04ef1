//! The filters that `query`, `tail`, `stats` and `export` share: those of the HTTP API, spelled as flags.

use clap::Args;
use tracing_audit::Filter;

use super::failure::Failure;

/// The text of `--help` above the flags.
const HEADING: &str = "\
Filters (all must hold; repeated: any of the values; !VALUE: all but this; \\!VALUE: the text !VALUE)";

/// The entries that are wanted. Different flags must all hold. Each flag but those of dates can be
/// repeated, for any of several values. `!VALUE` excludes a value, and `\!VALUE` is a value that
/// begins with `!`.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = HEADING)]
pub(super) struct FilterArgs {
    /// From this UTC day (2026-11-21) or ISO 8601 instant (2026-11-21T10:15:00+02:00) on
    #[arg(long, value_name = "DATE")]
    start_date: Option<String>,
    /// To the end of this UTC day, or before this ISO 8601 instant
    #[arg(long, value_name = "DATE")]
    end_date: Option<String>,
    /// This event type, or all below it (auth.*)
    #[arg(long, value_name = "TYPE")]
    event_type: Vec<String>,
    /// This category, the event type's first part unless the application says otherwise
    #[arg(long)]
    category: Vec<String>,
    /// This action, the event type's last part unless the application says otherwise
    #[arg(long)]
    action: Vec<String>,
    /// The id, the name or the type (such as system) of the actor
    #[arg(long, value_name = "ID|NAME|TYPE")]
    actor: Vec<String>,
    /// The type of the actor: user, service, system, api_key, anonymous, or the application's own
    #[arg(long, value_name = "TYPE")]
    actor_type: Vec<String>,
    /// The id or the name of the resource
    #[arg(long, value_name = "ID|NAME")]
    resource: Vec<String>,
    /// The type of the resource
    #[arg(long, value_name = "TYPE")]
    resource_type: Vec<String>,
    /// This tenant
    #[arg(long, value_name = "ID")]
    tenant_id: Vec<String>,
    /// info, warning, error or critical
    #[arg(long)]
    severity: Vec<String>,
    /// success (also without an outcome), failure or unknown
    #[arg(long)]
    outcome: Vec<String>,
    /// The application that recorded the entry
    #[arg(long)]
    source: Vec<String>,
    /// The client's IP address, or its network (192.0.2.0/24)
    #[arg(long, value_name = "ADDRESS")]
    ip_address: Vec<String>,
    /// This user agent, as the client sent it
    #[arg(long, value_name = "TEXT")]
    user_agent: Vec<String>,
    /// This session
    #[arg(long, value_name = "ID")]
    session_id: Vec<String>,
    /// This request
    #[arg(long, value_name = "ID")]
    request_id: Vec<String>,
    /// This OpenTelemetry trace
    #[arg(long, value_name = "ID")]
    trace_id: Vec<String>,
    /// This text, in any case, in event type, actor, resource or description
    #[arg(long, value_name = "TEXT")]
    q: Vec<String>,
    /// This value in the details, as in mode=full, order.id=17 or mode=!full
    #[arg(long, value_name = "PATH=VALUE")]
    details: Vec<String>,
}

impl FilterArgs {
    /// The filter that the flags make, without entries about reads of the log unless these are
    /// wanted.
    pub(super) fn filter_with_access(&self, include_access: bool) -> Result<Filter, Failure> {
        let filter = self.filter()?;
        Ok(if include_access {
            filter
        } else {
            filter.without_access()
        })
    }

    /// The filter that the flags make. An error names the flag.
    pub(super) fn filter(&self) -> Result<Filter, Failure> {
        let dates = [
            ("start_date", self.start_date.as_slice()),
            ("end_date", self.end_date.as_slice()),
        ];
        let named = dates.into_iter().chain(self.repeatable());
        let mut params: Vec<(String, &str)> = named
            .flat_map(|(name, values)| values.iter().map(|value| (name.to_owned(), value.as_str())))
            .collect();
        for pair in &self.details {
            params.push(detail(pair)?);
        }
        Filter::parse(params).map_err(Failure::of_flag)
    }

    fn repeatable(&self) -> [(&'static str, &[String]); 17] {
        [
            ("event_type", &self.event_type),
            ("category", &self.category),
            ("action", &self.action),
            ("actor", &self.actor),
            ("actor_type", &self.actor_type),
            ("resource", &self.resource),
            ("resource_type", &self.resource_type),
            ("tenant_id", &self.tenant_id),
            ("severity", &self.severity),
            ("outcome", &self.outcome),
            ("source", &self.source),
            ("ip_address", &self.ip_address),
            ("user_agent", &self.user_agent),
            ("session_id", &self.session_id),
            ("request_id", &self.request_id),
            ("trace_id", &self.trace_id),
            ("q", &self.q),
        ]
    }
}

fn detail(pair: &str) -> Result<(String, &str), Failure> {
    let parts = pair.split_once('=').filter(|(path, _)| !path.is_empty());
    let (path, value) = parts.ok_or_else(|| {
        Failure::Usage(format!(
            "--details: {pair:?} must be a path and a value, like mode=full"
        ))
    })?;
    Ok((format!("details.{path}"), value))
}
