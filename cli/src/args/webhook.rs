//! Flags of what manages webhooks.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use tracing_audit::{Severity, webhook::FormatName};

use super::{DirArgs, Format};
use crate::filter::FilterArgs;

/// Manages the endpoints that are told of events
///
/// An application that delivers webhooks, or `tracing-audit serve`, sends them; of the processes
/// that share the directory, only one does.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  tracing-audit webhook add --name siem --url https://siem.example.com/hooks --event-type 'auth.*' --event-type user.deleted
  tracing-audit webhook test siem
  tracing-audit webhook list
  tracing-audit webhook set siem --severity error --severity critical --clear tenant-id
  tracing-audit webhook replay siem --start-date 2026-11-20 --end-date 2026-11-21")]
pub(crate) struct WebhookArgs {
    #[command(subcommand)]
    pub(crate) command: WebhookCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum WebhookCommand {
    Add(Box<AddArgs>),
    /// Shows all webhooks and how they are doing, without their secrets
    List(ListArgs),
    /// Shows a webhook's settings, without their secrets, how it is doing, and its last attempts
    Show(ShownArgs),
    Set(Box<SetArgs>),
    /// Sends an event to a webhook, now and once, and shows what came of it; code 1 if it was not
    /// delivered
    ///
    /// The event is recorded and its entry is sent, whatever event types the webhook gets, even
    /// while it is paused.
    Test(ShownArgs),
    /// Shows the last attempts, the newest first: at most 50 that failed and 50 that did not
    Deliveries(ShownArgs),
    /// Shows what could not be delivered
    DeadLetters(ShownArgs),
    Replay(Box<ReplayArgs>),
    /// Makes a new signing secret and shows it, this once; those before it sign as well until they
    /// are retired
    RotateSecret(NamedArgs),
    /// Signs with the newest secret alone
    RetireSecrets(NamedArgs),
    /// Holds deliveries back; what is recorded meanwhile waits in the log
    Pause(NamedArgs),
    /// Lets deliveries go on
    Resume(NamedArgs),
    /// Ends a webhook; what waits for it is not sent
    Remove(NamedArgs),
}

#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) dir: DirArgs,
    /// How to show them [default: table on a terminal, else ndjson]
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,
}

#[derive(Args, Debug)]
pub(crate) struct NamedArgs {
    #[command(flatten)]
    pub(crate) dir: DirArgs,
    /// The webhook's name
    pub(crate) name: String,
}

#[derive(Args, Debug)]
pub(crate) struct ShownArgs {
    #[command(flatten)]
    pub(crate) named: NamedArgs,
    /// How to show it [default: table on a terminal, else ndjson]
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,
}

/// Tells an endpoint of what is recorded from now on
///
/// Requests are signed by Standard Webhooks. Unless a secret is given, one is made and printed,
/// this once: it is for the receiver.
#[derive(Args, Debug)]
#[command(after_help = "\
A secret is its text, or env:NAME or file:/path, read when forwarding begins.")]
pub(crate) struct AddArgs {
    #[command(flatten)]
    pub(crate) dir: DirArgs,
    /// What to call it: letters, digits, '_' and '-'
    #[arg(long)]
    pub(crate) name: String,
    /// Where to send to
    #[arg(long)]
    pub(crate) url: String,
    /// An event type, all below auth.*, or *; repeatable
    #[arg(long, value_name = "TYPE", required = true)]
    pub(crate) event_type: Vec<String>,
    /// Don't sign
    #[arg(long, conflicts_with = "signing_secret")]
    pub(crate) unsigned: bool,
    #[command(flatten)]
    pub(crate) settings: SettingArgs,
}

/// Changes settings of a webhook, which goes on where it is
///
/// Settings that are not named stay as they are. A list replaces the one before; a header is added
/// to the existing ones.
#[derive(Args, Debug)]
pub(crate) struct SetArgs {
    #[command(flatten)]
    pub(crate) named: NamedArgs,
    /// Where to send to
    #[arg(long)]
    pub(crate) url: Option<String>,
    /// An event type, all below auth.*, or *; repeatable
    #[arg(long, value_name = "TYPE")]
    pub(crate) event_type: Vec<String>,
    /// Take this setting back, as in --clear tenant-id; repeatable
    #[arg(long, value_name = "FLAG")]
    pub(crate) clear: Vec<String>,
    #[command(flatten)]
    pub(crate) settings: SettingArgs,
}

/// What can be set when adding and when changing.
#[derive(Args, Debug)]
pub(crate) struct SettingArgs {
    /// Event types to leave out; repeatable
    #[arg(long, value_name = "TYPE")]
    pub(crate) exclude: Vec<String>,
    /// Only this severity; repeatable
    #[arg(long)]
    pub(crate) severity: Vec<Severity>,
    /// Only this tenant's entries
    #[arg(long, value_name = "ID")]
    pub(crate) tenant_id: Option<String>,
    /// native (the default), cloudevents, cloudevents-binary, cloudevents-batch, splunk-hec or otlp
    #[arg(long)]
    pub(crate) format: Option<FormatName>,
    /// An option of the format, as in index=audit; repeatable
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) format_option: Vec<String>,
    /// The key that the endpoint wants, sent as Authorization: Bearer (for Splunk, Authorization:
    /// Splunk)
    #[arg(long, value_name = "SECRET")]
    pub(crate) api_key: Option<String>,
    /// Another header for the key
    #[arg(long, value_name = "NAME")]
    pub(crate) api_key_header: Option<String>,
    /// Sign by Standard Webhooks with this whsec_… or whsk_… secret; repeatable, for rotation, the
    /// newest last
    #[arg(long, value_name = "SECRET")]
    pub(crate) signing_secret: Vec<String>,
    /// A header for each request, NAME=VALUE; repeatable
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) header: Vec<String>,
    /// Let the URL be http://, which anyone on the way can read
    #[arg(long)]
    pub(crate) allow_http: bool,
    /// What may be reached: public (the default), private, loopback, an address, a network or a
    /// host name; repeatable
    #[arg(long, value_name = "WHAT")]
    pub(crate) egress: Vec<String>,
    /// Keep each stream's order, whatever fails: one request at a time
    #[arg(long)]
    pub(crate) strict: bool,
    /// Send so many entries in one request, at most
    #[arg(long, value_name = "N")]
    pub(crate) batch: Option<usize>,
    /// Let the first entry of a request wait so long for others, in milliseconds
    #[arg(long, value_name = "N")]
    pub(crate) batch_wait_ms: Option<u64>,
    /// How long an attempt takes at most, in milliseconds [default: 15000]
    #[arg(long, value_name = "N")]
    pub(crate) timeout_ms: Option<u64>,
    /// Send no more requests in a second
    #[arg(long, value_name = "N")]
    pub(crate) max_requests_per_second: Option<u32>,
    /// The delay before each attempt, in seconds, as in 0,5,30 [default: 11 attempts within 76
    /// hours]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub(crate) schedule_seconds: Vec<u64>,
    /// A PEM file of certificates to trust besides the system's
    #[arg(long, value_name = "FILE")]
    pub(crate) extra_ca: Option<PathBuf>,
    /// A PEM file of our own certificate chain and key
    #[arg(long, value_name = "FILE")]
    pub(crate) identity: Option<PathBuf>,
}

/// Has entries sent to a webhook again, under the ids that they had
///
/// Whoever forwards begins with it within a second. Only what the webhook wants is sent.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  tracing-audit webhook replay siem --dead-letters
  tracing-audit webhook replay siem --start-date 2026-11-20 --event-type 'auth.*'")]
pub(crate) struct ReplayArgs {
    #[command(flatten)]
    pub(crate) named: NamedArgs,
    /// What was given up and not delivered since
    #[arg(long)]
    pub(crate) dead_letters: bool,
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
}
