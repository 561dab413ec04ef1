//! Which entries a replay sends together.

use std::fs;

use super::*;
use crate::{
    entry::{OwnEntry, Severity},
    query::Placed,
    testing::TestLog,
    webhook::{
        Webhook,
        queue::{Delivery, batches::Batches},
        settings::Prepared,
    },
};

const KEY: &str = "e.1";

/// A log with ten entries, of which the last is a warning, and the batches that were made of them.
struct Made {
    log: TestLog,
    reader: AuditReader,
    placed: Vec<Placed>,
    cursor: Places,
    webhook: Prepared,
}

impl Made {
    fn new() -> Self {
        let log = TestLog::open_with(|log| log.lifecycle(false));
        let mut last = None;
        for n in 0..10 {
            let severity = if n < 9 {
                Severity::Info
            } else {
                Severity::Warning
            };
            let entry = OwnEntry::new("a.b", severity, "x");
            last = Some(log.store().unwrap().record_with_id(&entry).unwrap());
        }
        let reader = AuditReader::open(log.dir()).unwrap();
        assert!(reader.get(last.unwrap()).unwrap().is_some());
        let mut tail = reader.resume(Filter::new(), &Places::default()).unwrap();
        let placed = tail.poll_placed(10).unwrap();
        let batch = Batching {
            max_entries: 5,
            max_wait_ms: 1,
        };
        let webhook = Webhook::new("e", "https://example.com/", ["a.*"]).batch(batch);
        Self {
            cursor: tail.places(),
            placed,
            reader,
            log,
            webhook: webhook.prepare().unwrap(),
        }
    }

    fn entries(&self) -> Vec<RawEntry> {
        self.placed.iter().map(|one| one.entry.clone()).collect()
    }

    /// Notes a batch of these entries as one that was made in this format.
    fn note(&self, format: &str, entries: &[usize]) {
        let placed = entries.iter().map(|n| self.placed[*n].clone()).collect();
        let (delivery, entries) = Delivery::placed("e", placed);
        let batches = Batches::new(KEY, self.reader.clone());
        batches.note(&delivery.line_of(format, &entries).unwrap());
        batches.write();
    }

    fn note_own(&self, entries: &[usize]) {
        self.note(&self.webhook.format_digest, entries);
    }

    fn past(&self) -> PastBatches {
        PastBatches::new(KEY, self.reader.clone())
    }

    /// Which of these entries a replay of all sends together, if it meets them in pages of so many.
    fn sent(&self, entries: &[RawEntry], page: usize) -> Vec<Vec<usize>> {
        self.sent_by(&Filter::new(), entries, page)
    }

    /// The same for a replay with this filter.
    fn sent_by(&self, filter: &Filter, entries: &[RawEntry], page: usize) -> Vec<Vec<usize>> {
        let mut past = self.past();
        let mut sent = Vec::new();
        for page in entries.chunks(page) {
            let replayed = Replayed::of(&self.webhook, filter, &self.cursor);
            assert!(page.iter().all(|entry| replayed.takes(entry)));
            sent.append(&mut past.bundles(&replayed, page));
        }
        let ids: Vec<_> = self
            .entries()
            .iter()
            .map(|one| one.id().to_owned())
            .collect();
        let number = |entry: &RawEntry| ids.iter().position(|id| id == entry.id()).unwrap();
        let numbers = |batch: Vec<RawEntry>| batch.iter().map(number).collect();
        sent.into_iter().map(numbers).collect()
    }
}

#[test]
fn a_batch_goes_whole_when_its_first_entry_comes_wherever_pages_end() {
    let made = Made::new();
    made.note_own(&[0, 1, 2]);
    made.note_own(&[3]);
    made.note_own(&[4, 5, 6, 7]);
    let expected: [&[usize]; 4] = [&[0, 1, 2], &[3], &[4, 5, 6, 7], &[8, 9]];
    for page in [1, 2, 3, 4, 7, 10] {
        let sent = made.sent(&made.entries(), page);
        // Without a line, the last two go as they come.
        assert_eq!(sent.concat(), (0..10).collect::<Vec<_>>());
        assert_eq!(sent[..3], expected[..3], "{page}");
    }
    // In the order of time, its second entry may come first.
    let mut swapped = made.entries();
    swapped.swap(4, 6);
    swapped.swap(2, 3);
    assert_eq!(made.sent(&swapped, 10), expected);
}

#[test]
fn a_batch_that_was_made_anew_after_a_death_counts_for_nothing() {
    let made = Made::new();
    made.note_own(&[0, 1, 2, 3]);
    // It was not sent: its entries were read once more.
    made.note_own(&[0, 1]);
    made.note_own(&[2, 3, 4]);
    let sent = made.sent(&made.entries(), 10);
    assert_eq!(sent[..2], [vec![0, 1], vec![2, 3, 4]]);
    made.note_own(&[0]);
    // Of what has no batch of its own any more, nothing is lost.
    let sent = made.sent(&made.entries(), 10);
    assert_eq!(sent.concat(), (0..10).collect::<Vec<_>>());
    assert_eq!(sent[..3], [vec![0], vec![1], vec![2, 3, 4]]);
}

#[test]
fn only_whole_batches_of_the_same_form_go_as_they_were() {
    let made = Made::new();
    made.note("another", &[0, 1]);
    made.note_own(&[2, 3, 4, 5, 6, 7]);
    // It never had the entry between its entries.
    made.note_own(&[7, 9]);
    let sent = made.sent(&made.entries(), 10);
    let expected: [&[usize]; 4] = [&[0, 1, 2, 3, 4], &[5, 6], &[7, 9], &[8]];
    assert_eq!(sent, expected);
    // Its last entry is on no page yet, and is read where it stands.
    let first = &made.entries()[..9];
    assert_eq!(made.sent(first, 9), expected);
    // The filter leaves its last entry out.
    let info = Filter::new().with("severity", "info").unwrap();
    assert_eq!(
        made.sent_by(&info, first, 9),
        [vec![0, 1, 2, 3, 4], vec![5, 6, 7, 8]]
    );
}

#[test]
fn damaged_lines_cost_only_themselves() {
    let made = Made::new();
    made.note_own(&[0, 1]);
    made.note_own(&[2, 3]);
    made.note_own(&[4, 5]);
    let path = made.log.layout().state_dir().join("batches-e.1.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let huge = lines[0].replace(",2]]", &format!(",{}]]", u64::MAX));
    assert_ne!(huge, lines[0]);
    let others = lines[2].replace("msg_", "msg_0");
    for damaged in ["\0\0\0\0", "{}", &huge, &others, &lines[1][..40]] {
        let text = [lines[0], damaged, lines[2], ""].join("\n");
        fs::write(&path, text).unwrap();
        let sent = made.sent(&made.entries(), 10);
        assert_eq!(sent.concat(), (0..10).collect::<Vec<_>>(), "{damaged:?}");
        assert_eq!(sent[0], [0, 1]);
    }
    // A death cut the last line off: the next one stands by itself.
    fs::write(&path, &text[..text.len() - 9]).unwrap();
    assert_eq!(made.sent(&made.entries(), 10)[2].len(), 5);
    made.note_own(&[4, 5, 6]);
    assert_eq!(made.sent(&made.entries(), 10)[2], [4, 5, 6]);
}

#[test]
fn a_file_that_was_written_anew_is_read_anew() {
    let made = Made::new();
    made.note_own(&[0, 1]);
    let mut past = made.past();
    let filter = Filter::new();
    let replayed = Replayed::of(&made.webhook, &filter, &made.cursor);
    let entries = made.entries();
    assert_eq!(past.bundles(&replayed, &entries[..2]).len(), 1);
    let path = made.log.layout().state_dir().join("batches-e.1.jsonl");
    fs::rename(&path, path.with_extension("old")).unwrap();
    made.note_own(&[2]);
    made.note_own(&[3]);
    made.note_own(&[4, 5]);
    let sizes = |sent: Vec<Vec<RawEntry>>| sent.iter().map(Vec::len).collect::<Vec<_>>();
    assert_eq!(sizes(past.bundles(&replayed, &entries[2..])), [1, 1, 2, 4]);
}
