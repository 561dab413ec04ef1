//! The flags of the commands that serve a log over HTTP, and of its tokens.

use std::{
    net::{SocketAddr, ToSocketAddrs as _},
    path::PathBuf,
};

use clap::{
    Args, Subcommand, ValueEnum,
    builder::{PossibleValuesParser, TypedValueParser as _},
};
use tracing_audit::{Permissions, http::Scope};

use super::{
    DirArgs, Format,
    number::{fraction, number},
};

/// Runs a demo: a credential manager with simulated users, which writes an audit trail
///
/// Prints its address, a token, and commands to try. At the end, its log is verified.
#[derive(Args, Debug)]
pub(crate) struct DemoArgs {
    /// The log's directory [default: a new one among the system's temporary files]
    // Neither a variable nor the configuration file sets it: they name the log of an application.
    #[arg(long = "dir", value_name = "DIR")]
    pub(crate) demo_dir: Option<PathBuf>,
    /// The address to listen on; port 0 takes any free port
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0", value_parser = address)]
    pub(crate) listen: SocketAddr,
    /// About how many requests are made per second
    #[arg(long, value_name = "N", default_value_t = 20.0, value_parser = fraction)]
    pub(crate) rate: f64,
    /// End after this many seconds [default: with Ctrl-C]
    #[arg(long = "for", value_name = "SECONDS", value_parser = number::<u64, _>(0..))]
    pub(crate) run_for: Option<u64>,
    /// Be the second instance
    #[arg(long, hide = true)]
    pub(crate) instance: bool,
    /// Be the worker
    #[arg(long, hide = true)]
    pub(crate) worker: bool,
}

/// How messages are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    // For people
    Text,
    // One JSON object a line
    Json,
}

/// Serves the HTTP API of a log that applications write
///
/// Each read is recorded in the log. Each request needs a token, see `tracing-audit token create`.
/// The server also delivers the log's webhooks, unless an application that shares the directory
/// does.
#[derive(Args, Debug)]
#[command(after_help = "\
Webhooks can be declared in the file given with --config. At each start, the webhooks that the file
declared before are changed to match it; without [[webhooks]] nothing changes, and webhooks = []
removes them:
  [[webhooks]]
  name = \"siem\"
  url = \"https://siem.example.com/hooks\"
  event_types = [\"auth.*\"]
  signing_secrets = [\"file:/run/secrets/siem\"]

Examples:
  TOKEN=$(tracing-audit token create --dir /var/lib/billing/audit --name me)
  tracing-audit serve --dir /var/lib/billing/audit &
  curl -H \"Authorization: Bearer $TOKEN\" \\
    'http://127.0.0.1:8080/audit/entries?event_type=auth.*&limit=10'")]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) dir: DirArgs,
    /// The address to listen on, or a name such as localhost:8080, which is looked up once; port 0
    /// takes any free port
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080", value_parser = address)]
    pub(crate) listen: SocketAddr,
    /// Listen beyond loopback without TLS, behind a proxy that does TLS
    #[arg(long)]
    pub(crate) allow_plain_http: bool,
    /// A host name or an address, without a port, at which clients reach the server; requests for
    /// other hosts are refused; repeatable [default: every host]
    #[arg(long, value_name = "HOST")]
    pub(crate) host: Vec<String>,
    /// A proxy whose X-Forwarded-For and X-Forwarded-Host are believed: an address or a network
    /// such as 10.0.0.0/8; repeatable [default: none; the address that
    /// connects counts as the client's]
    #[arg(long, value_name = "NETWORK")]
    pub(crate) trusted_proxy: Vec<String>,
    /// Read Forwarded (RFC 7239) of trusted proxies instead of X-Forwarded-For and X-Forwarded-Host
    #[arg(long, requires = "trusted_proxy")]
    pub(crate) forwarded_header: bool,
    /// The format of the server's messages about its own problems, which go to stderr
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
    /// The URL path of the API
    #[arg(long, value_name = "PATH", default_value = "/audit")]
    pub(crate) path: String,
    /// Keep at most this many connections; with more, the longest idle ones are closed
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = number::<usize, _>(0..))]
    pub(crate) max_connections: usize,
    /// Answer at most this many requests at once, and refuse more
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = number::<usize, _>(0..))]
    pub(crate) max_requests: usize,
    /// Serve at most this many downloads at once, and refuse more
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = number::<usize, _>(0..))]
    pub(crate) max_downloads: usize,
    /// Let at most this many clients follow the log at once, and refuse more; 0 allows none
    #[arg(
        long,
        value_name = "N",
        default_value_t = 32,
        value_parser = number::<u16, _>(0..=10_000)
    )]
    pub(crate) max_streams: u16,
    /// Answer at most this many requests of one caller in a minute, and refuse more with 429
    #[arg(
        long,
        value_name = "N",
        default_value_t = 600,
        value_parser = number::<u32, _>(1..=1_000_000)
    )]
    pub(crate) max_requests_per_minute: u32,
    /// Serve at most this many downloads of one caller at once, and refuse more with 429
    #[arg(
        long,
        value_name = "N",
        default_value_t = 3,
        value_parser = number::<u16, _>(1..=10_000)
    )]
    pub(crate) max_downloads_per_caller: u16,
    /// Serve at most this many streams of one caller at once, and refuse more with 429
    #[arg(
        long,
        value_name = "N",
        default_value_t = 8,
        value_parser = number::<u16, _>(1..=10_000)
    )]
    pub(crate) max_streams_per_caller: u16,
    /// Hold at most this many bytes of pages and of events of streams in memory, for all clients
    /// together
    #[arg(
        long,
        value_name = "N",
        default_value_t = 64 << 20,
        value_parser = number::<u64, _>(16 << 20..=1 << 40)
    )]
    pub(crate) page_memory_bytes: u64,
    /// Answer /metrics without a token
    #[arg(long)]
    pub(crate) open_metrics: bool,
    /// The users who may read the log's files: owner or group-read [default: unchanged]
    ///
    /// With group-read, files have mode 0640 and directories 0750, except for tokens, keys and
    /// webhooks; with owner, 0600 and 0700
    #[arg(
        long,
        value_name = "USERS",
        hide_possible_values = true,
        value_parser = PossibleValuesParser::new(["owner", "group-read"])
            .try_map(|name| name.parse::<Permissions>())
    )]
    pub(crate) permissions: Option<Permissions>,
    /// Let webhooks that are set over HTTP reach more than the public internet: private, loopback,
    /// an address, a network or a host name; repeatable
    #[arg(long, value_name = "WHAT")]
    pub(crate) webhook_egress: Vec<String>,
    /// Let webhooks that are set over HTTP have an http:// URL, which anyone on the way can read
    #[arg(long)]
    pub(crate) webhook_allow_http: bool,
    /// Reach all webhooks that have no proxy of their own only through this HTTP proxy:
    /// http://[user:password@]host:port, env:NAME or file:/path; none removes the proxy [default:
    /// unchanged]
    ///
    /// The proxy is kept in the log's directory, for whichever process delivers webhooks.
    /// HTTP_PROXY and similar variables are not read
    #[arg(long, value_name = "URL")]
    pub(crate) webhook_proxy: Option<String>,
    /// Hold at most this many bytes of requests in memory, for all webhooks together
    #[arg(
        long,
        value_name = "N",
        default_value_t = 64 << 20,
        value_parser = number::<usize, _>(0..)
    )]
    pub(crate) webhook_memory_bytes: usize,
    /// Stop within this many seconds of SIGTERM or Ctrl-C: requests and deliveries that take longer
    /// are cut off, and these deliveries are made again at the next start
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 5,
        value_parser = number::<u64, _>(1..=3600)
    )]
    pub(crate) stop_within: u64,
}

/// An address to listen on. A name becomes the first of its IPv4 addresses, or else its first one:
/// not every system that calls ::1 localhost has IPv6.
fn address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let wanted = "give an address and a port like 127.0.0.1:8080, or a name and a port like \
                  localhost:8080";
    let found = text.to_socket_addrs();
    let found: Vec<_> = found
        .map_err(|error| format!("{error}; {wanted}"))?
        .collect();
    let first = found.iter().find(|address| address.is_ipv4());
    let first = first.or(found.first());
    first
        .copied()
        .ok_or_else(|| format!("the name has no address; {wanted}"))
}

/// Manages the tokens of the HTTP API
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  tracing-audit token create --name splunk --scope export --expires 2027-01-01
  tracing-audit token list
  tracing-audit token revoke 4f1c09aa")]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    pub(crate) command: TokenCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Makes a token and shows it, only this once
    Create {
        #[command(flatten)]
        dir: DirArgs,
        /// The token's name, in lists and in the entries about its requests
        #[arg(long)]
        name: String,
        /// read, export (which can read as well) or admin (which can do all)
        #[arg(
            long,
            default_value = "read",
            hide_possible_values = true,
            value_parser = PossibleValuesParser::new(["read", "export", "admin"])
                .try_map(|name| name.parse::<Scope>())
        )]
        scope: Scope,
        /// Limit the token to the entries of this tenant
        #[arg(long, value_name = "ID")]
        tenant_id: Option<String>,
        /// The UTC day at whose beginning the token expires, or an RFC 3339 instant [default:
        /// never]
        #[arg(long, value_name = "DATE")]
        expires: Option<String>,
    },
    /// Shows all tokens, without their secrets
    List {
        #[command(flatten)]
        dir: DirArgs,
        /// The output's format [default: table on a terminal, else ndjson]
        #[arg(long, value_enum)]
        format: Option<Format>,
    },
    /// Revokes a token: every process refuses it within a second
    Revoke {
        #[command(flatten)]
        dir: DirArgs,
        /// The token's id, as listed
        id: String,
    },
}
