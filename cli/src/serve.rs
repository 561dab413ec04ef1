//! `serve`: the HTTP API of a log, by a process of its own.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Map;
use tokio::{sync::oneshot, time};
use toml::Table;
use tracing_audit::{
    AuditLog, AuditReader, Error,
    http::{RouterOptions, ServeOptions, Server},
    webhook::Webhook,
};

use super::{
    args::ServeArgs,
    failure::{Failure, Outcome},
    maintain, messages,
    output::escaped,
    stop,
};

pub(super) fn run(
    args: &ServeArgs,
    webhooks: Option<(PathBuf, Vec<Table>)>,
) -> Result<Outcome, Failure> {
    messages::show(args.log_format);
    let dir = &args.dir.dir;
    // A mistyped directory should not become a log.
    AuditReader::open(dir)?;
    // A stream of its own, in which reads are recorded. The retention is the application's.
    let mut log = maintain::log(dir)?.lifecycle(true);
    if let Some(permissions) = args.permissions {
        log = log.permissions(permissions);
    }
    let log = log.open()?;
    if let Some(proxy) = &args.webhook_proxy {
        let proxy = Some(proxy.as_str()).filter(|proxy| *proxy != "none");
        log.webhooks().set_proxy(proxy).map_err(of_proxy)?;
    }
    if let Some((file, tables)) = &webhooks {
        declare(&log, file, tables)?;
    }
    let router = RouterOptions::new()
        .max_requests(args.max_requests)
        .max_downloads(args.max_downloads)
        .max_streams(args.max_streams.into())
        .max_requests_per_minute(args.max_requests_per_minute)
        .max_downloads_per_caller(args.max_downloads_per_caller.into())
        .max_streams_per_caller(args.max_streams_per_caller.into())
        .page_memory_bytes(usize::try_from(args.page_memory_bytes).unwrap_or(usize::MAX))
        .open_metrics(args.open_metrics)
        .hosts(&args.host)
        .trusted_proxies(&args.trusted_proxy)
        .forwarded_header(args.forwarded_header)
        .webhook_egress(&args.webhook_egress)
        .webhook_allow_http(args.webhook_allow_http);
    let options = ServeOptions::new(args.listen)
        .allow_plain_http(args.allow_plain_http)
        .path(&args.path)
        .max_connections(args.max_connections)
        .router(router);
    // Webhooks too, unless an application that shares the directory sends them.
    let within = Duration::from_secs(args.stop_within);
    let dispatcher = log.webhooks().run()?;
    let dispatcher = dispatcher
        .stop_within(within)
        .memory_bytes(args.webhook_memory_bytes);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let server = Server::bind(&log, options).await.map_err(of_option)?;
        let address = server.local_addr();
        if log.tokens().list()?.is_empty() {
            tracing::warn!(
                target: "tracing_audit",
                "there are no tokens, so every request is refused; make one with `tracing-audit \
                 token create`"
            );
        }
        // The signals are caught before the address is printed: a reader of it may send one at
        // once.
        let stopped = stop::signal();
        {
            let mut out = io::stdout().lock();
            writeln!(
                out,
                "{}",
                escaped(&format!(
                    "serving {} at http://{address}{}",
                    dir.display(),
                    args.path
                ))
            )?;
            out.flush()?;
        }
        let (stop, told) = oneshot::channel::<()>();
        let serving = tokio::spawn(server.run(async { drop(told.await) }));
        stopped.await;
        drop(stop);
        // Both at once, because together they may take no longer than one.
        let delivering = tokio::task::spawn_blocking(move || drop(dispatcher));
        let both = async { drop((serving.await, delivering.await)) };
        if time::timeout(within, both).await.is_err() {
            tracing::warn!(
                target: "tracing_audit",
                "requests were still being answered when the server had to stop"
            );
        }
        Ok::<_, Failure>(())
    })?;
    // A download that is still being read ends with the process.
    runtime.shutdown_background();
    log.close()?;
    Ok(Outcome::Fine)
}

/// Makes the log's webhooks agree with the configuration file.
fn declare(log: &AuditLog, file: &Path, tables: &[Table]) -> Result<(), Failure> {
    let of_table = |number: usize, error: Error| match error {
        Error::Invalid { parameter, problem } => Failure::Usage(format!(
            "{}: [[webhooks]] number {number}: {parameter}: {problem}",
            file.display()
        )),
        error => error.into(),
    };
    let read = |(at, table): (usize, &Table)| {
        let settings = serde_json::to_value(table).map_err(|e| Failure::failed(e.to_string()))?;
        Webhook::from_settings(settings.as_object().unwrap_or(&Map::new()))
            .map_err(|error| of_table(at + 1, error))
    };
    let wanted = tables
        .iter()
        .enumerate()
        .map(read)
        .collect::<Result<Vec<_>, _>>()?;
    let names: Vec<String> = wanted.iter().map(|one| one.name().to_owned()).collect();
    log.webhooks()
        .declare_in(&file.display().to_string(), wanted)
        .map_err(|error| match of_named(&names, &error) {
            Some((number, error)) => of_table(number, error),
            None => error.into(),
        })
}

/// The number of the webhook that an error names, and the error without the name.
fn of_named(names: &[String], error: &Error) -> Option<(usize, Error)> {
    let Error::Invalid { parameter, problem } = error else {
        return None;
    };
    let (name, setting) = parameter.split_once(": ")?;
    // Of two that have the same name, the second is wrong.
    let at = names.iter().rposition(|one| one == name)?;
    let error = Error::Invalid {
        parameter: setting.to_owned(),
        problem: problem.clone(),
    };
    Some((at + 1, error))
}

fn of_proxy(error: Error) -> Failure {
    match error {
        Error::Invalid { problem, .. } => Failure::Usage(format!("--webhook-proxy: {problem}")),
        error => error.into(),
    }
}

/// The library names its options, the operator's flags are called otherwise.
fn of_option(error: Error) -> Failure {
    match error {
        Error::Invalid { parameter, problem } if parameter == "addr" => Failure::Usage(format!(
            "--listen: {}",
            problem.replace("give allow_plain_http", "give --allow-plain-http")
        )),
        Error::Invalid { parameter, problem } if parameter == "hosts" => {
            Failure::Usage(format!("--host: {problem}"))
        }
        Error::Invalid { parameter, problem } if parameter == "trusted_proxies" => {
            Failure::Usage(format!("--trusted-proxy: {problem}"))
        }
        Error::Invalid { .. } => Failure::of_flag(error),
        Error::Io { ref source, .. } if source.kind() == io::ErrorKind::AddrInUse => {
            Failure::failed(format!("{error}; give another address with --listen"))
        }
        error => error.into(),
    }
}
