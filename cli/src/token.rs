//! `token`: who may use the HTTP API.

use std::io::{self, Write as _};

use tracing_audit::{
    AuditLog, AuditReader, Day, Error, Timestamp,
    http::{NewToken, TokenInfo},
};

use super::{
    args::{TokenArgs, TokenCommand},
    failure::{Failure, Outcome, warn},
    maintain::with_log,
    output,
    owner::operator,
};

pub(super) fn run(args: &TokenArgs) -> Result<Outcome, Failure> {
    let (TokenCommand::Create { dir, .. }
    | TokenCommand::List { dir, .. }
    | TokenCommand::Revoke { dir, .. }) = &args.command;
    let dir = &dir.dir;
    // A mistyped directory should not become a log.
    let reader = AuditReader::open(dir)?;
    let operator = operator();
    let mut out = io::stdout().lock();
    match &args.command {
        TokenCommand::Create {
            name,
            scope,
            tenant_id,
            expires,
            ..
        } => {
            let expires = expires.as_deref().map(instant).transpose()?;
            let new = NewToken {
                name: name.clone(),
                scope: *scope,
                tenant: tenant_id.clone(),
                expires,
            };
            let create = |log: &AuditLog| log.tokens().by(&operator).create(new).map_err(of_flag);
            let (info, text) = with_log(dir, create)?;
            // Alone on stdout, so that a script can take it.
            writeln!(out, "{text}")?;
            out.flush()?;
            warn(&format!(
                "This is the token {} ({}). The token is shown only now; the log keeps its hash.",
                info.id, info.scope
            ));
        }
        TokenCommand::List { format, .. } => {
            let tokens = reader.tokens()?;
            if tokens.is_empty() {
                warn("there are no tokens");
            }
            let row = |token: &TokenInfo| {
                let never = || "never".to_owned();
                [
                    token.id.clone(),
                    token.name.clone(),
                    token.scope.to_string(),
                    token.tenant.clone().unwrap_or_default(),
                    output::time(token.created),
                    token.expires.map_or_else(never, output::time),
                ]
            };
            output::list(
                &mut out,
                &tokens,
                *format,
                &[
                    "ID",
                    "NAME",
                    "SCOPE",
                    "TENANT",
                    "CREATED (UTC)",
                    "EXPIRES (UTC)",
                ],
                row,
            )?;
        }
        TokenCommand::Revoke { id, .. } => {
            if !with_log(dir, |log| Ok(log.tokens().by(&operator).revoke(id)?))? {
                return Err(Failure::failed(format!(
                    "there is no token {id:?}; tracing-audit token list shows all"
                )));
            }
            writeln!(out, "the token {} is revoked", output::escaped(id))?;
        }
    }
    Ok(Outcome::Fine)
}

fn instant(text: &str) -> Result<Timestamp, Failure> {
    text.parse::<Day>()
        .map(Day::start)
        .or_else(|_| text.parse())
        .map_err(|_| {
            Failure::Usage(format!(
                "--expires: {text:?} must be a date like 2027-01-01 or an RFC 3339 instant like \
                 2027-01-01T12:00:00Z"
            ))
        })
}

fn of_flag(error: Error) -> Failure {
    match error {
        Error::Invalid { parameter, problem } if parameter == "tenant" => {
            Failure::of_flag(Error::Invalid {
                parameter: "tenant_id".to_owned(),
                problem,
            })
        }
        Error::Invalid { .. } => Failure::of_flag(error),
        error => error.into(),
    }
}
