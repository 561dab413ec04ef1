//! The text that the demo prints: where everything is, and what to try.

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    net::SocketAddr,
    ops::ControlFlow,
    path::Path,
};

use tracing_audit::{AuditReader, Filter, Result, Timestamp, reader::Order};

pub(super) struct Guide<'a> {
    pub(super) dir: &'a Path,
    pub(super) stream: &'a str,
    pub(super) address: SocketAddr,
    pub(super) second: &'a str,
    pub(super) receiver: SocketAddr,
    pub(super) token: &'a str,
    /// The code that signs a browser in once.
    pub(super) code: &'a str,
    /// Seconds.
    pub(super) limit: Option<u64>,
}

impl Guide<'_> {
    pub(super) fn print(&self) -> io::Result<()> {
        let Self {
            stream,
            address,
            second,
            receiver,
            token,
            code,
            ..
        } = self;
        let (dir, today) = (quoted(self.dir), Timestamp::now().day());
        let program = std::env::current_exe()
            .map_or_else(|_| "tracing-audit".to_owned(), |program| quoted(&program));
        let end = self.limit.map_or_else(
            || "Ctrl-C ends it.".to_owned(),
            |seconds| format!("It ends after {seconds} seconds, or with Ctrl-C."),
        );
        let mut out = io::stdout().lock();
        writeln!(
            out,
            "\
A credential manager is running, its users are at work, and all they do is audited.

  service    http://{address}
             http://{second}  (a second instance, same log)
  console    http://{address}/audit/sign-in?code={code}
             (this link signs a browser in once, within ten minutes; later, sign in with the token)
  audit API  http://{address}/audit
  webhook    http://{receiver}  (a receiver of failed logins and changed users, which verifies signatures)
  token      {token}
  log        {dir}

Within the first seconds, somebody breaks in. In the console: who was it, how did they get in, what
did they take, and who put it right? Begin with  outcome:failure  in the search line.

Try, in another terminal:

  # download today's log as a ZIP
  curl -fsS -H 'Authorization: Bearer {token}' -o audit-{today}.zip \\
    'http://{address}/audit/export?format=zip&start_date={today}&end_date={today}'

  # the last failed logins
  curl -fsS -H 'Authorization: Bearer {token}' \\
    'http://{address}/audit/entries?event_type=auth.login.failed&limit=3' | jq '.entries[] | {{timestamp, actor, ip_address, details}}'

  # the webhook: what it got, how it is doing, its last deliveries, the same over HTTP
  curl -fsS http://{receiver}/ | jq
  {program} webhook list --dir {dir}
  {program} webhook attempts siem --dir {dir}
  curl -fsS -H 'Authorization: Bearer {token}' http://{address}/audit/webhooks | jq

  # watch it being written: by this instance, or by all
  tail -f {dir}/live/*{stream}*.jsonl
  {program} tail --dir {dir}

  # what was sealed, from half a minute on
  zcat {dir}/sealed/dt=*/*.jsonl.gz | jq -r .event_type | sort | uniq -c

  # ask, and check that nothing is missing
  {program} query --dir {dir} --severity error --limit 10
  {program} verify --dir {dir}

{end}
"
        )?;
        out.flush()
    }
}

/// A path as a shell takes it.
pub(super) fn quoted(path: &Path) -> String {
    let path = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:,@%".contains(c);
    if path.chars().all(plain) {
        path
    } else {
        format!("'{}'", path.replace('\'', r"'\''"))
    }
}

/// How many events of each type the log has, the most frequent first.
pub(super) fn event_types(dir: &Path) -> Result<Vec<(String, u64)>> {
    let mut types: BTreeMap<String, u64> = BTreeMap::new();
    AuditReader::open(dir)?.each(&Filter::new(), Order::Asc, |entry| {
        *types.entry(entry.event_type().into_owned()).or_default() += 1;
        ControlFlow::Continue(())
    })?;
    let mut types: Vec<_> = types.into_iter().collect();
    types.sort_by_key(|(_, events)| std::cmp::Reverse(*events));
    Ok(types)
}
