//! Opens a log for reading.

use std::{io, ops::ControlFlow, path::Path, sync::Arc};

use uuid::Uuid;

#[cfg(any(feature = "webhook", test))]
use super::place::{self, Place, Places};
use super::{
    arrival,
    cancel::Cancel,
    counter::Counter,
    entry::RawEntry,
    filter::Filter,
    look_up, merge,
    order::{ByTime, Key, Order},
    page::{Page, PageStart, Query, Scanned, only_by_arrival},
    plan::Wanted,
    stats::{self, Depth, MoreValues, Stats, StatsQuery},
    tail::{Tail, TailStart},
};
#[cfg(feature = "webhook")]
use super::{
    backlog::{self, Backlog},
    place::Runs,
};
#[cfg(any(feature = "export", test))]
use super::{counter, file};
#[cfg(any(feature = "export", test))]
use crate::store::files::Listing;
use crate::{
    entry::Timestamp,
    error::{Error, Result},
    store::{
        complete::Progress,
        files::Files,
        fs::{Fs, OsFs, ReadOnly},
        layout::{Layout, check_named},
    },
};

/// The text of `state/format`.
const FORMAT: &str = "tracing-audit 1";

/// Reads a log, also while it is written, by this process or another. It takes no locks and changes
/// nothing on disk.
///
/// Cheap to clone. Clones share what they remember of the files: keep one for the next question.
/// Each [`open`](Self::open) begins with nothing remembered.
///
/// ```
/// # use tracing_audit::{AuditLog, audit};
/// # let log = AuditLog::for_tests();
/// # log.run(|| {
/// #     audit!("auth.login.success", actor.id = "ann");
/// #     audit!("auth.login.failed", actor.id = "eve", severity = warning);
/// # });
/// # log.flush()?;
/// # let dir = log.dir();
/// use std::ops::ControlFlow;
/// use tracing_audit::{AuditReader, Filter, Query, reader::Order};
///
/// let reader = AuditReader::open(dir)?;
/// let page = reader.page(&Query::parse([("event_type", "auth.*"), ("limit", "10")])?)?;
/// assert_eq!(page.entries[0].actor_id(), "eve"); // the newest first
/// assert!(reader.get(page.entries[0].id().parse()?)?.is_some());
///
/// // All entries, however many, in bounded memory:
/// let mut types = Vec::new();
/// reader.each(&Filter::new(), Order::Asc, |entry| {
///     types.push(entry.event_type().into_owned());
///     ControlFlow::Continue(())
/// })?;
/// assert_eq!(types, ["auth.login.success", "auth.login.failed"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct AuditReader {
    files: Arc<Files>,
    cancel: Cancel,
    counter: Counter,
}

impl AuditReader {
    /// Opens the log in a directory.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if there is no log, or if it can't be read; [`Error::Version`] if another
    /// version wrote it.
    ///
    /// The reader that is given, and its clones, remember in bounded memory which files there are
    /// and what is in them. They share nothing with other readers of the same log, so open a log
    /// once, not once for each question.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self> {
        check_named(dir.as_ref())?;
        Self::open_on(Arc::new(OsFs), Layout::of(dir.as_ref()))
    }

    pub(crate) fn open_on(fs: Arc<dyn Fs>, layout: Layout) -> Result<Self> {
        let path = layout.format_file();
        let no_log = |e: io::Error| match e.kind() {
            io::ErrorKind::NotFound => io::Error::new(e.kind(), "there is no audit log here"),
            _ => e,
        };
        let file = fs
            .open_read(&path)
            .map_err(no_log)
            .map_err(Error::io("read", &path))?;
        let mut text = [0; 64];
        let len = crate::store::fs::read_full_at(&*file, &mut text, 0)
            .map_err(Error::io("read", &path))?;
        let found = String::from_utf8_lossy(text.get(..len).unwrap_or_default())
            .trim_end()
            .to_owned();
        if found != FORMAT {
            return Err(Error::Version {
                path,
                found,
                expected: FORMAT,
            });
        }
        Ok(Self {
            files: Arc::new(Files::new(Arc::new(ReadOnly(fs)), layout)),
            cancel: Cancel::default(),
            counter: Counter::default(),
        })
    }

    /// Opens a log that this process has open.
    pub(crate) fn of_log(layout: Layout) -> Self {
        Self {
            files: Arc::new(Files::new(Arc::new(OsFs), layout)),
            cancel: Cancel::default(),
            counter: Counter::default(),
        }
    }

    /// This reader for a query that may be cancelled, which then ends with an error.
    #[cfg(any(feature = "export", test))]
    pub(crate) fn cancelled_by(&self, cancel: &Cancel) -> Self {
        Self {
            files: Arc::clone(&self.files),
            cancel: cancel.clone(),
            counter: self.counter.clone(),
        }
    }

    /// This reader for a query whose way through the log is counted.
    #[cfg(any(feature = "export", test))]
    pub(crate) fn counted_by(&self, counter: &Counter) -> Self {
        Self {
            counter: counter.clone(),
            ..self.clone()
        }
    }

    /// The bytes that such a reader has counted at the end of a query with this filter.
    #[cfg(any(feature = "export", test))]
    pub(crate) fn bytes_to_pass(&self, filter: &Filter) -> Result<u64> {
        counter::to_pass(&self.files, filter)
    }

    /// The log's files; nothing can be changed through it.
    #[cfg(any(feature = "export", feature = "webhook", test))]
    pub(crate) fn files(&self) -> &Arc<Files> {
        &self.files
    }

    /// Where the files are; nothing can be changed through it.
    pub(crate) fn fs(&self) -> &Arc<dyn Fs> {
        self.files.fs()
    }

    pub(crate) fn layout(&self) -> &Layout {
        self.files.layout()
    }

    /// Finds one page of entries. A part of the log that can't be read is named in
    /// [`Page::scanned`], and ends nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a cursor that no page of this order gave, and for an offset in the
    /// order of arrival; [`Error::Io`] if the directory can't be listed.
    pub fn page(&self, query: &Query) -> Result<Page> {
        let filter = query.whole_filter();
        match query.order.by_time() {
            Some(order) => {
                let complete_until = self.progress()?.until;
                self.page_by_time(query, filter, order, complete_until)
            }
            None => arrival::page(&self.files, query, filter, &|| self.progress()),
        }
    }

    fn page_by_time(
        &self,
        query: &Query,
        filter: Filter,
        order: ByTime,
        complete_until: Option<Timestamp>,
    ) -> Result<Page> {
        let (after, skip) = match &query.start {
            PageStart::First => (None, 0),
            PageStart::Cursor(cursor) => (Some(cursor.parse()?), 0),
            PageStart::Offset(offset) => (None, *offset),
            PageStart::Now => return Err(only_by_arrival()),
        };
        let wanted = Wanted {
            after,
            ..self.wanted(&filter, order, false)
        };
        let mut entries: Vec<RawEntry> = Vec::new();
        let mut bytes = 0;
        let mut is_full = false;
        let mut skipped = 0;
        let mut last = after;
        let (scanned, has_more) = merge::run(
            &self.files,
            &wanted,
            skip.saturating_add(query.limit),
            &mut |entry| {
                if skipped == skip {
                    bytes += entry.line().len();
                    if bytes > query.max_bytes && !entries.is_empty() {
                        is_full = true;
                        return ControlFlow::Break(());
                    }
                }
                last = Some(entry.key());
                if skipped < skip {
                    skipped += 1;
                } else {
                    entries.push(entry);
                }
                ControlFlow::Continue(())
            },
        )?;
        Ok(Page {
            entries,
            next_cursor: last.unwrap_or(Key::FIRST).to_string(),
            has_more: has_more || is_full,
            complete_until,
            scanned,
        })
    }

    /// The instant up to which the log is complete: no entry with an earlier time will be added. A
    /// range of time that ends at this instant or before stays as it is, until retention. While
    /// applications write to the log, the instant is a few seconds behind the clock. The stream of
    /// a process that died holds the instant back until the stream is recovered.
    ///
    /// `None` if the instant can't be known: because this process may not read a journal, because a
    /// journal is on a file system that is not mounted here, or because a process that writes has
    /// an earlier version of this library.
    ///
    /// If the clock is set back, later entries can have a time before this instant.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the directory can't be listed.
    pub fn complete_until(&self) -> Result<Option<Timestamp>> {
        Ok(self.progress()?.until)
    }

    pub(crate) fn progress(&self) -> Result<Progress> {
        Progress::look(&**self.fs(), self.layout())
    }

    /// Finds the entry with this id; `None` if there is none. The time in a UUIDv7 leads to the
    /// block that has the entry; for another id the whole log is read. An entry in a damaged part
    /// of the log counts as not there.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the directory can't be listed, or if the entry isn't found and a file that
    /// may have it can't be read now.
    pub fn get(&self, id: Uuid) -> Result<Option<RawEntry>> {
        look_up::get(&self.files, Filter::new(), id, self.cancel.clone())
    }

    /// The same, if the entry is one of those that this filter wants; otherwise it costs no more
    /// than an entry that isn't there.
    #[cfg(any(feature = "server", test))]
    pub(crate) fn get_of(&self, filter: Filter, id: Uuid) -> Result<Option<RawEntry>> {
        look_up::get(&self.files, filter, id, self.cancel.clone())
    }

    /// The name of the file that has the entry with this id, below the log's directory, as a
    /// manifest names files. `None` if the entry isn't found.
    #[cfg(any(feature = "console", test))]
    pub(crate) fn file_of(&self, id: Uuid) -> Result<Option<String>> {
        look_up::file_of(&self.files, id, self.cancel.clone())
    }

    /// Gives every entry that the filter wants to `give`, in order, until that breaks. Memory stays
    /// bounded, however many entries there are.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the directory can't be listed. A part of the log that can't be read is
    /// among [`Scanned::problems`].
    pub fn each(
        &self,
        filter: &Filter,
        order: Order,
        mut give: impl FnMut(RawEntry) -> ControlFlow<()>,
    ) -> Result<Scanned> {
        self.all(filter, order, false, &mut give)
    }

    /// The same for an answer that must be whole: fails with [`Error::NotWhole`] as soon as a part
    /// of the log can't be read, or was removed since it was asked for.
    #[cfg(any(feature = "export", test))]
    pub(crate) fn each_or_fail(
        &self,
        filter: &Filter,
        order: Order,
        mut give: impl FnMut(RawEntry) -> ControlFlow<()>,
    ) -> Result<()> {
        let scanned = self.all(filter, order, true, &mut give)?;
        match scanned.hiding_problem() {
            Some(problem) => Err(problem.not_whole()),
            None => Ok(()),
        }
    }

    /// The same for the only file of this listing, in the order in which its entries are stored.
    #[cfg(any(feature = "export", test))]
    pub(crate) fn each_of_file(
        &self,
        file: Listing,
        filter: &Filter,
        mut give: impl FnMut(RawEntry) -> ControlFlow<()>,
    ) -> Result<()> {
        let wanted = self.wanted(filter, ByTime::Asc, true);
        file::run(&self.files, &wanted, file, &mut give)
    }

    fn wanted(&self, filter: &Filter, order: ByTime, whole: bool) -> Wanted {
        Wanted {
            filter: filter.clone(),
            order,
            after: None,
            span: None,
            cancel: self.cancel.clone(),
            counter: self.counter.clone(),
            whole,
        }
    }

    fn all(
        &self,
        filter: &Filter,
        order: Order,
        whole: bool,
        give: &mut dyn FnMut(RawEntry) -> ControlFlow<()>,
    ) -> Result<Scanned> {
        let Some(order) = order.by_time() else {
            let look = || self.progress();
            let scanned = arrival::each(&self.files, filter.clone(), &look, give)?;
            return match scanned.problems.first() {
                Some(problem) if whole => Err(problem.not_whole()),
                _ => Ok(scanned),
            };
        };
        let wanted = self.wanted(filter, order, whole);
        merge::run(&self.files, &wanted, usize::MAX, give).map(|(scanned, _)| scanned)
    }

    /// Counts entries: over time, and by the values of some fields. The counts are exact unless
    /// [`Stats::exact`] says otherwise. Memory stays bounded, however many entries and values there
    /// are.
    ///
    /// With no filter but a range of time, a sealed file that lies wholly in the range isn't read,
    /// because its index has its counts. If it has very many different values of a field (some
    /// thousands), their counts are not in the index, and the file is read if this field is among
    /// [`StatsQuery::fields`]. All other entries of the range are read, except for blocks that can't
    /// have wanted ones.
    ///
    /// ```
    /// # use tracing_audit::{AuditLog, audit};
    /// # let log = AuditLog::for_tests();
    /// # log.run(|| {
    /// #     audit!("auth.login.success", actor.id = "ann");
    /// #     audit!("auth.login.failed", actor.id = "eve", outcome.type = "failure");
    /// #     audit!("auth.login.failed", actor.id = "eve", outcome.type = "failure");
    /// # });
    /// # log.flush()?;
    /// # let dir = log.dir();
    /// use tracing_audit::{AuditReader, reader::StatsQuery};
    ///
    /// let query = StatsQuery::parse([("event_type", "auth.*"), ("step", "day")])?;
    /// let stats = AuditReader::open(dir)?.stats(&query)?;
    /// let failures: u64 = stats.steps.iter().map(|step| step.outcome.failure).sum();
    /// assert_eq!((stats.total, failures), (3, 2));
    /// let most = &stats.top.actor.unwrap().values[0];
    /// assert_eq!((&*most.value, most.count), ("eve", 2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if there are more than 1000 steps of the length that was asked for;
    /// [`Error::Io`] if the directory can't be listed. A part of the log that can't be read is
    /// among [`Scanned::problems`].
    pub fn stats(&self, query: &StatsQuery) -> Result<Stats> {
        self.count(query, Depth::Whole).map(|(stats, _)| stats)
    }

    /// The same, with fewer or more values.
    pub(crate) fn count(&self, query: &StatsQuery, depth: Depth) -> Result<(Stats, MoreValues)> {
        let complete_until = self.progress()?.until;
        let wanted = self.wanted(&query.whole_filter(), ByTime::Desc, false);
        stats::run(&self.files, query, &wanted, depth, complete_until)
    }

    /// Follows the log: gives the entries that are written from now on, or after an entry.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the directory can't be listed.
    pub fn tail(&self, filter: Filter, start: TailStart) -> Result<Tail> {
        Tail::new(Arc::clone(&self.files), filter, start)
    }

    /// For each reader that goes on from such places, which were noted at that time, the entries
    /// that it has not read yet. An error for one reader doesn't affect the others.
    #[cfg(feature = "webhook")]
    pub(crate) fn backlogs(&self, of: &[(Places, Timestamp)]) -> Result<Vec<Result<Backlog>>> {
        backlog::behind(&self.files, of)
    }

    /// Follows the log on from where another tail was.
    #[cfg(any(feature = "webhook", test))]
    pub(crate) fn resume(&self, filter: Filter, places: &Places) -> Result<Tail> {
        Tail::resume(Arc::clone(&self.files), filter, places)
    }

    /// The entries at these places; `None` where the file is gone.
    #[cfg(any(feature = "webhook", test))]
    pub(crate) fn all_at(&self, places: &[Place]) -> Vec<Result<Option<RawEntry>>> {
        place::read(&self.files, places)
    }

    /// The entries that still stand there.
    #[cfg(feature = "webhook")]
    pub(crate) fn all_of(&self, runs: &Runs) -> Result<Vec<RawEntry>> {
        runs.read(&self.files)
    }

    #[cfg(test)]
    pub(crate) fn at(&self, place: &Place) -> Result<Option<RawEntry>> {
        self.all_at(std::slice::from_ref(place))
            .pop()
            .unwrap_or(Ok(None))
    }
}
