//! From the settings of a builder to an open log: they are checked, the store is opened, and events
//! find their way into it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::AuditLogBuilder;
use crate::{
    capture::{self, CurrentKey, Intake, Journal, SpanNames, WhenFull},
    entry::{
        Source,
        denied::{self, FieldNames},
        json::members,
    },
    error::{Error, Result},
    log::{AuditLog, Owner, at_exit::close_at_exit, stores::Stores},
    store::{
        Health, Level, SealerOptions, Settings, Store, StoreOptions, WriterOptions, catalogue, keys,
    },
};

impl AuditLogBuilder {
    /// As [`open`](Self::open), with another way to open the store.
    pub(crate) fn open_with(
        self,
        open: impl FnOnce(&Path, StoreOptions) -> Result<Store>,
    ) -> Result<AuditLog> {
        let source: Source = match &self.source {
            Some(source) => source.parse()?,
            None => program_name().parse()?,
        };
        self.watermarks.check()?;
        let names = FieldNames::leak(&self.denied_fields, &self.allowed_fields)?;
        self.plain_events.check()?;
        let span_names = SpanNames::new(&self.span_fields)?;
        let options = self.store_options(&source)?;
        let longest = self.longest_event(&source)?;

        let store = open(&self.dir, options.clone())?;
        if self.keeps_catalogue {
            keep_catalogue(&store, &source, names);
        }
        let given_keys = Some(self.hash_keys).filter(|keys| !keys.is_empty());
        let key = match &given_keys {
            Some(keys) => CurrentKey::leak(keys.last()),
            None => CurrentKey::leak(keys::ensure_hash_keys(&store.layout)?.last()),
        };
        let journal = Journal {
            producer: store.producer.clone(),
            durability: store.durability,
        };
        let stores = Arc::new(Stores::new(store, options));
        close_at_exit(&stores);
        let mut intake = Intake::new(
            journal,
            stores.clone(),
            &source,
            longest,
            self.when_full,
            self.plain_events,
            key,
        );
        intake.names = names;
        intake.span_names = span_names;
        if names.is_some() {
            denied::ask_log(capture::names_of_log);
        }
        Ok(AuditLog {
            owner: Arc::new(Owner {
                stores,
                intake: Arc::new(intake),
                hash_keys: given_keys,
            }),
        })
    }

    fn store_options(&self, source: &Source) -> Result<StoreOptions> {
        let level = Level::new(self.compression_level).ok_or_else(|| {
            let what = format!("{} is not between 1 and 9", self.compression_level);
            Error::invalid("compression_level", what)
        })?;
        if self.rotate_every.is_zero() {
            let what = "it is zero, which would make a file of each entry; give at least a second";
            return Err(Error::invalid("rotate_every", what));
        }
        Ok(StoreOptions {
            lifecycle: self.lifecycle.then(|| self.recorded_settings()),
            source: source.clone(),
            permissions: self.permissions,
            journal_capacity: self.journal_bytes,
            journal_dir: self.journal_dir.clone(),
            needs_hash_keys: self.hash_keys.is_empty(),
            writer: WriterOptions {
                rotate_bytes: self.rotate_bytes.max(1),
                rotate_age: self.rotate_every,
                sync_interval: self.sync_every,
                watermarks: self.watermarks,
            },
            sealer: SealerOptions {
                level,
                grace: self.live_grace,
                retention: self.retention,
            },
            readers: crate::webhook::unread::readings,
            health: Arc::new(Health::new(self.on_problem.clone())),
        })
    }

    /// How many bytes of an entry a caller may render: stream, number and line end are added later.
    fn longest_event(&self, source: &Source) -> Result<usize> {
        let given = self.max_record_bytes;
        let longest = given.saturating_sub(source.as_str().len() + 64);
        let most = self.journal_bytes / 8;
        let what = if longest < 1024 {
            format!("{given} is too little, give at least 2048")
        } else if given > most {
            format!("{given} is more than an eighth of the journal, {most}")
        } else {
            return Ok(longest);
        };
        Err(Error::invalid("max_record_bytes", what))
    }

    /// The settings that an auditor wants to know, for `audit.log.opened`.
    fn recorded_settings(&self) -> Settings {
        let when_full = match self.when_full {
            WhenFull::Wait => "wait",
            WhenFull::Drop => "drop",
        };
        members! { "when_full": when_full, "retention": self.retention.to_json() }
    }
}

/// Keeps the program's event types beside the log. If that fails, the log works without them: they
/// only describe its entries to people.
fn keep_catalogue(store: &Store, source: &Source, names: Option<&'static FieldNames>) {
    let of_program = capture::catalogue_of_log(names);
    if let Err(error) = catalogue::keep_catalogue(&store.layout, source, of_program) {
        tracing::warn!(
            target: "tracing_audit",
            "the catalogue of event types could not be kept: {error}"
        );
    }
}

/// The running program's file name, as far as it can be a source.
fn program_name() -> String {
    let path = std::env::args_os()
        .next()
        .map(PathBuf::from)
        .unwrap_or_default();
    let name = path
        .file_stem()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let name: String = name
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
        .take(64)
        .collect();
    let name = name.trim_start_matches(['.', '_', '-']);
    if name.is_empty() {
        "app".to_owned()
    } else {
        name.to_owned()
    }
}
