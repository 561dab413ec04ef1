//! `serve`: the HTTP API of a log, by a process of its own.

use std::io::{self, Write as _};

use super::{
    args::ServeArgs,
    failure::{Failure, Outcome},
    output::escaped,
    stop,
};
use crate::{
    AuditLog,
    error::Error,
    server::{RouterOptions, ServeOptions, Server},
    store::{check_format, layout::Layout},
};

pub(super) fn run(args: &ServeArgs) -> Result<Outcome, Failure> {
    let dir = &args.dir.dir;
    // A mistyped directory should not become a log.
    check_format(&Layout::new(dir))?;
    // Its own stream: reads are recorded. What is kept how long is for the application to say.
    let log = AuditLog::of_tool(dir).open()?;
    let router = RouterOptions::new().max_requests(args.max_requests).max_downloads(args.max_downloads).open_metrics(args.open_metrics);
    let options = ServeOptions::new(args.listen).allow_plain_http(args.allow_plain_http).path(&args.path).router(router);
    // Webhooks too, unless an application that shares the directory sends them.
    let forwarder = log.forward()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let server = Server::bind(&log, options).await.map_err(of_option)?;
        let address = server.local_addr();
        {
            let mut out = io::stdout().lock();
            writeln!(out, "{}", escaped(&format!("serving {} at http://{address}{}", dir.display(), args.path)))?;
            out.flush()?;
        }
        let stopped = async {
            stop::signal().await;
        };
        server.run(stopped).await;
        Ok::<_, Failure>(())
    })?;
    drop(runtime);
    drop(forwarder);
    log.close()?;
    Ok(Outcome::Fine)
}

/// The library names its options, the operator's flags are called otherwise.
fn of_option(error: Error) -> Failure {
    match error {
        Error::Invalid { parameter, problem } if parameter == "addr" => {
            Failure::Usage(format!("--listen: {}", problem.replace("give allow_plain_http", "give --allow-plain-http")))
        }
        Error::Invalid { .. } => Failure::of_flag(error),
        error => error.into(),
    }
}
