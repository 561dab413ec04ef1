//! Files that settings name: certificates, and secrets by `file:/path`.
//!
//! Invariants: only regular files are read, of one mebibyte at most, so that neither a pipe
//! without a writer nor a device makes the reader wait. A path is stored as an absolute one,
//! because the process that delivers may have another working directory than the one that sets it.

use std::{
    fs::OpenOptions,
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, absolute},
};

use rustix::fs::OFlags;

use super::Webhook;
use crate::error::{Error, Result};

const MOST: u64 = 1024 * 1024;
/// The beginning of a secret that is in a file.
const FILE: &str = "file:";

/// The file's bytes; an error is about this setting.
pub(super) fn read(setting: &str, path: &Path) -> Result<Vec<u8>> {
    read_regular(path).map_err(|error| {
        let problem = format!("can't read {}: {error}", path.display());
        Error::invalid(setting, problem)
    })
}

fn read_regular(path: &Path) -> io::Result<Vec<u8>> {
    let mut options = OpenOptions::new();
    // Without this, opening a pipe waits for somebody to write it.
    options
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed());
    let file = options.open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(MOST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST {
        return Err(io::Error::other("it is longer than 1 MiB"));
    }
    Ok(bytes)
}

/// The path of the file that this secret is in, if it is in one.
pub(super) fn of_secret(secret: &str) -> Option<&Path> {
    secret.strip_prefix(FILE).map(Path::new)
}

/// The secret, with the absolute path if it is in a file.
pub(in crate::webhook) fn absolute_secret(setting: &str, secret: &str) -> Result<String> {
    let Some(path) = of_secret(secret) else {
        return Ok(secret.to_owned());
    };
    let path = absolute(path).map_err(|error| of_path(setting, path, &error))?;
    // The path given is a text. If the working directory's path isn't, the whole can't be one.
    match path.to_str() {
        Some(path) => Ok(format!("{FILE}{path}")),
        None => Err(Error::invalid(
            setting,
            format!("{} isn't UTF-8: give an absolute path", path.display()),
        )),
    }
}

fn of_path(setting: &str, path: &Path, error: &io::Error) -> Error {
    let problem = format!("{} can't be made absolute: {error}", path.display());
    Error::invalid(setting, problem)
}

impl Webhook {
    /// Makes the paths of all files that it names absolute. A path that `before` has as well stays
    /// as it is, because another process may have set it.
    pub(in crate::webhook) fn with_absolute_paths(mut self, before: Option<&Self>) -> Result<Self> {
        let none = Self::default();
        let before = before.unwrap_or(&none);
        for (setting, file, old) in [
            ("extra_ca", &mut self.extra_ca, &before.extra_ca),
            ("identity", &mut self.identity, &before.identity),
        ] {
            if file != old
                && let Some(path) = file
            {
                *path = absolute(&*path).map_err(|error| of_path(setting, path, &error))?;
            }
        }
        for (setting, secret, old) in [
            ("api_key", &mut self.api_key, &before.api_key),
            ("proxy", &mut self.proxy, &before.proxy),
        ] {
            if secret != old
                && let Some(secret) = secret
            {
                *secret = absolute_secret(setting, secret)?;
            }
        }
        for secret in &mut self.signing_secrets {
            if !before.signing_secrets.contains(secret) {
                *secret = absolute_secret("signing_secrets", secret)?;
            }
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path, process::Command, sync::mpsc, thread, time::Duration};

    use serde_json::Value;

    use crate::{AuditLog, webhook::Webhook};

    fn webhook() -> Webhook {
        Webhook::new("siem", "https://siem.example.com/", ["*"])
    }

    /// Each setting that names this file.
    fn naming(path: &Path) -> [Webhook; 5] {
        let secret = format!("file:{}", path.display());
        [
            webhook().extra_ca(path),
            webhook().identity(path),
            webhook().api_key(&secret),
            webhook().signing_secret(&secret),
            webhook().proxy(&secret),
        ]
    }

    /// Why a webhook can't be prepared. A test that would wait for ever fails.
    fn refused(webhook: Webhook) -> String {
        let (sender, refused) = mpsc::channel();
        thread::spawn(move || sender.send(webhook.prepare().unwrap_err().to_string()));
        let refused = refused.recv_timeout(Duration::from_secs(10));
        refused.expect("it is refused, and at once")
    }

    #[test]
    fn a_file_that_nobody_writes_holds_up_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        assert!(
            Command::new("mkfifo")
                .arg(&pipe)
                .status()
                .unwrap()
                .success()
        );
        for webhook in naming(&pipe) {
            let refused = refused(webhook);
            assert!(refused.contains("not a regular file"), "{refused}");
        }
        for webhook in naming(dir.path()) {
            let refused = refused(webhook);
            assert!(refused.contains("not a regular file"), "{refused}");
        }
    }

    #[test]
    fn no_more_than_a_mebibyte_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "k".repeat((1 << 20) + 1)).unwrap();
        for webhook in naming(&file) {
            let refused = refused(webhook);
            assert!(refused.contains("1 MiB"), "{refused}");
        }
        for webhook in naming(Path::new("/dev/zero")) {
            let refused = refused(webhook);
            assert!(refused.contains("not a regular file"), "{refused}");
        }
        fs::write(&file, "k".repeat(1000)).unwrap();
        let [_, _, keyed, ..] = naming(&file);
        keyed.prepare().unwrap();
    }

    #[test]
    fn a_relative_path_is_kept_as_an_absolute_one() {
        let file = tempfile::NamedTempFile::new_in(".").unwrap();
        fs::write(&file, "k-1").unwrap();
        let name = file
            .path()
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        let absolute = std::env::current_dir().unwrap().join(&name);
        let reference = format!("file:{name}");
        let expected = format!("file:{}", absolute.display());
        let log = AuditLog::for_tests();
        let webhooks = log.webhooks();
        let key = |name: &str| {
            let found = webhooks.get(name).unwrap().unwrap();
            serde_json::to_value(found).unwrap()["api_key"].take()
        };
        webhooks.add(webhook().api_key(&reference)).unwrap();
        assert_eq!(key("siem"), expected);
        webhooks.set(webhook().api_key("k")).unwrap();
        let patch = serde_json::json!({ "api_key": reference });
        let patch = patch.as_object().unwrap();
        webhooks.patch("siem", patch).unwrap();
        assert_eq!(key("siem"), expected);
        let declared = Webhook::new("chat", "https://chat.example.com/", ["*"]);
        webhooks
            .declare(vec![declared.api_key(&reference)])
            .unwrap();
        assert_eq!(key("chat"), Value::from(expected));
    }
}
