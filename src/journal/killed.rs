//! The ring's file against what a kill, a power loss or a bad disk can do to it.

use std::{
    fs,
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

use proptest::prelude::*;
use tempfile::TempDir;

use super::{
    layout::{PAGE, at},
    tests::{Step, create_at, payload, steps, stream},
    *,
};
use crate::error::Error;

/// A ring in a file, and what reading it gives.
struct Filed {
    path: PathBuf,
    producer: Producer,
    consumer: Consumer,
    _directory: TempDir,
}

impl Filed {
    fn new(capacity: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("billing-7f3a9c.ring");
        let (producer, consumer) = create_at(&path, capacity).unwrap();
        Self {
            path,
            producer,
            consumer,
            _directory: directory,
        }
    }

    /// The file as a kill at this moment leaves it: the page cache holds every store.
    fn killed(&self) -> Leftover {
        read(&self.path).unwrap().expect("it was created")
    }

    fn poke(&self, at: u64, bytes: &[u8]) {
        fs::File::options()
            .write(true)
            .open(&self.path)
            .unwrap()
            .write_all_at(bytes, at)
            .unwrap();
    }

    fn damage(&self) -> String {
        match read(&self.path) {
            Err(Error::Damaged { what, path }) if path == self.path => what,
            other => panic!(
                "not reported as damaged: {:?}",
                other.map(|leftover| leftover.is_some())
            ),
        }
    }
}

fn read(path: &Path) -> crate::error::Result<Option<Leftover>> {
    Leftover::parse(path, fs::read(path).unwrap())
}

fn payloads(leftover: &Leftover) -> Vec<Vec<u8>> {
    leftover.frames().map(<[u8]>::to_vec).collect()
}

/// Frames of a model: the payload, or nothing for a hole, and where they end.
type Model = Vec<(Option<Vec<u8>>, u64)>;

/// Takes the steps with a ring in a file; gives what a kill now must leave, and the number of the
/// first frame of it.
fn live_through(ring: &mut Filed, steps: Vec<Step>) -> (Model, u64) {
    let (mut model, mut returned, mut next_seq) = (Model::new(), 0, 1);
    for (number, step) in steps.into_iter().enumerate() {
        match step {
            Step::Push(len) => {
                let payload = payload(number as u64 + 1, len);
                if let Ok(end) = ring.producer.push(&payload) {
                    model.push((Some(payload), end.0));
                }
            }
            Step::Die(len) => {
                if let Ok(end) = ring.producer.reserve_only(len) {
                    model.push((None, end.0));
                }
            }
            Step::Next => returned += usize::from(ring.consumer.next().is_some()),
            Step::Release => {
                next_seq += returned as u64;
                ring.consumer.release(ring.consumer.position(), next_seq);
                model.drain(..returned);
                returned = 0;
            }
            Step::Rewind => {
                ring.consumer.rewind();
                returned = 0;
            }
        }
    }
    (model, next_seq)
}

fn committed(model: &Model) -> Vec<Vec<u8>> {
    model
        .iter()
        .filter_map(|(payload, _)| payload.clone())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(100) })]

    #[test]
    fn a_kill_leaves_exactly_the_committed_frames(steps in steps(1)) {
        let mut ring = Filed::new(4096);
        let (model, next_seq) = live_through(&mut ring, steps);
        let leftover = ring.killed();
        prop_assert_eq!(payloads(&leftover), committed(&model));
        prop_assert_eq!(leftover.next_seq(), next_seq);
        prop_assert_eq!(leftover.unbroken(), model.iter().take_while(|(payload, _)| payload.is_some()).count());
        let holes = model.chunk_by(|a, b| a.0.is_none() && b.0.is_none()).filter(|run| run[0].0.is_none()).count();
        prop_assert_eq!(leftover.holes(), holes as u64);
        prop_assert_eq!(leftover.stream(), &stream());
    }

    #[test]
    fn a_flipped_bit_costs_its_frame_and_no_other(steps in steps(0), place in any::<prop::sample::Index>(), bit in 0..8u32) {
        let mut ring = Filed::new(4096);
        let (mut model, _) = live_through(&mut ring, steps);
        prop_assume!(!model.is_empty());
        let (tail, head) = (model_start(&model), model[model.len() - 1].1);
        let position = tail + place.index((head - tail) as usize) as u64;
        let at = PAGE as u64 + position % 4096;
        let byte = fs::read(&ring.path).unwrap()[at as usize];
        ring.poke(at, &[byte ^ (1u8 << bit)]);

        let mut start = tail;
        for (payload, end) in &mut model {
            let len = payload.as_ref().map_or(0, Vec::len) as u64;
            if (start..start + 16 + len).contains(&position) {
                *payload = None;
            }
            start = *end;
        }
        prop_assert_eq!(payloads(&ring.killed()), committed(&model));
    }
}

fn model_start(model: &Model) -> u64 {
    let (payload, end) = &model[0];
    end - (16 + payload.as_ref().map_or(0, Vec::len) as u64).next_multiple_of(16)
}

#[test]
fn a_new_ring_is_private_allocated_and_empty() {
    let mut ring = Filed::new(1 << 20);
    let metadata = fs::metadata(&ring.path).unwrap();
    assert_eq!(metadata.mode() & 0o777, 0o600);
    assert_eq!(metadata.len(), PAGE as u64 + (1 << 20));
    assert!(metadata.blocks() * 512 >= 1 << 20);
    let leftover = ring.killed();
    assert_eq!(
        (
            leftover.frames().len(),
            leftover.holes(),
            leftover.next_seq(),
            leftover.dropped()
        ),
        (0, 0, 1, Dropped::default())
    );
    assert_eq!(leftover.files(), 0);
    ring.consumer.note_file(7);
    ring.consumer.sync_header().unwrap();
    assert_eq!(ring.killed().files(), 7);
}

#[test]
fn an_existing_ring_is_never_overwritten() {
    let ring = Filed::new(4096);
    ring.producer.push(b"precious").unwrap();
    assert!(matches!(
        create_at(&ring.path, 4096),
        Err(Error::Io {
            operation: "create",
            ..
        })
    ));
    assert_eq!(payloads(&ring.killed()), [b"precious"]);
}

#[test]
fn a_capacity_that_does_not_fit_is_refused_before_a_file_is_made() {
    let directory = tempfile::tempdir().unwrap();
    for capacity in [0, 1024, 5000, 3 << 20] {
        let path = directory.path().join("ring");
        assert!(
            matches!(create_at(&path, capacity), Err(Error::Invalid { .. })),
            "{capacity}"
        );
        assert!(!path.exists());
    }
}

#[test]
fn no_event_of_an_earlier_lap_comes_back() {
    let mut ring = Filed::new(4096);
    for number in 0..1000 {
        ring.producer.push(&payload(number, 100)).unwrap();
        ring.consumer.next().unwrap();
        ring.consumer.release(ring.consumer.position(), number + 2);
    }
    // The ring is full of committed frames of the laps before, each where a frame of this lap would
    // be.
    let leftover = ring.killed();
    assert_eq!(
        (
            leftover.frames().len(),
            leftover.holes(),
            leftover.next_seq()
        ),
        (0, 0, 1001)
    );
}

#[test]
fn a_payload_cannot_forge_a_frame_inside_a_hole() {
    let mut ring = Filed::new(4096);
    // A payload made of an image of a real frame, as one lap before, in a place where a hole will
    // be.
    let end = ring.producer.push(b"real").unwrap().0 as usize;
    let image = fs::read(&ring.path).unwrap()[PAGE..PAGE + end].repeat(15);
    ring.producer.push(&image).unwrap();
    while ring.consumer.next().is_some() {}
    ring.consumer.release(ring.consumer.position(), 3);
    while ring.producer.push(&[]).is_ok() {
        ring.consumer.next();
        if ring.consumer.position().0 >= 4096 {
            break;
        }
        ring.consumer.release(ring.consumer.position(), 3);
    }
    ring.consumer.release(Position(4096), 4);
    ring.producer.reserve_only(400).unwrap();
    ring.producer.push(b"after the hole").unwrap();
    let leftover = ring.killed();
    assert_eq!(
        (payloads(&leftover), leftover.holes()),
        (vec![b"after the hole".to_vec()], 1)
    );
}

#[test]
fn a_release_cut_short_anywhere_leaves_the_pair_before_or_the_pair_after() {
    let mut ring = Filed::new(4096);
    for number in 0..3 {
        ring.producer.push(&payload(number, 20)).unwrap();
    }
    for seq in [2, 3] {
        ring.consumer.next().unwrap();
        ring.consumer.release(ring.consumer.position(), seq);
    }
    let before = fs::read(&ring.path).unwrap();
    ring.consumer.next().unwrap();
    ring.consumer.release(ring.consumer.position(), 4);
    let after = fs::read(&ring.path).unwrap();

    // The words that a release stores, in its order; and after a power loss, in any.
    let slot = at::SLOTS[usize::from(before[at::SLOTS[0]..][..32] == after[at::SLOTS[0]..][..32])];
    let words = [slot + 8, slot + 16, slot + 24, slot, at::TAIL];
    for stored in 0..1u32 << words.len() {
        let mut image = before.clone();
        for (_, word) in words
            .iter()
            .enumerate()
            .filter(|(number, _)| stored & 1 << number != 0)
        {
            image[*word..word + 8].copy_from_slice(&after[*word..word + 8]);
        }
        for voided in [false, true] {
            if voided && stored & 1 << 3 == 0 {
                image[slot..slot + 8].fill(0);
            }
            fs::write(&ring.path, &image).unwrap();
            let leftover = ring.killed();
            let expected = if stored & 0b1111 == 0b1111 {
                (4, 0)
            } else {
                (3, 1)
            };
            assert_eq!(
                (leftover.next_seq(), leftover.frames().len()),
                expected,
                "{stored:b} {voided}"
            );
        }
    }
}

#[test]
fn what_was_dropped_is_known_after_a_kill() {
    let mut ring = Filed::new(4096);
    ring.producer.count_dropped(1_000);
    ring.producer.count_dropped(2_000);
    let dropped = Dropped {
        total: 2,
        unreported: 2,
        since_micros: Some(1_000),
    };
    assert_eq!(
        (ring.consumer.dropped(), ring.killed().dropped()),
        (dropped, dropped)
    );
    ring.producer.count_dropped(3_000);
    ring.consumer.mark_dropped_reported(2);
    assert_eq!(
        ring.killed().dropped(),
        Dropped {
            total: 3,
            unreported: 1,
            since_micros: Some(1_000)
        }
    );
    ring.consumer.mark_dropped_reported(3);
    ring.producer.count_dropped(4_000);
    assert_eq!(
        ring.killed().dropped(),
        Dropped {
            total: 4,
            unreported: 1,
            since_micros: Some(4_000)
        }
    );
}

#[test]
fn after_a_rewind_what_was_not_released_is_returned_again() {
    let mut ring = Filed::new(4096);
    for payload in [b"one", b"two", b"six"] {
        ring.producer.push(payload).unwrap();
    }
    assert_eq!(ring.consumer.next(), Some(b"one".as_slice()));
    ring.consumer.release(ring.consumer.position(), 2);
    assert_eq!(ring.consumer.next(), Some(b"two".as_slice()));
    ring.consumer.rewind();
    assert_eq!(ring.consumer.next(), Some(b"two".as_slice()));
    assert_eq!(ring.consumer.next(), Some(b"six".as_slice()));
    assert_eq!(ring.consumer.next(), None);
}

#[test]
fn a_header_that_is_not_whole_is_reported_in_words() {
    let ring = Filed::new(4096);
    ring.producer.push(b"precious").unwrap();
    let whole = fs::read(&ring.path).unwrap();
    for (at, says) in [
        (0, "does not begin like"),
        (8, "version"),
        (12, "checksum"),
        (16, "checksum"),
        (24, "checksum"),
        (32, "checksum"),
    ] {
        ring.poke(at, &[whole[at as usize] ^ 0x40]);
        let what = ring.damage();
        assert!(what.contains(says), "byte {at}: {what}");
        fs::write(&ring.path, &whole).unwrap();
    }
    ring.poke(at::SLOTS[0] as u64, &[7]);
    assert!(ring.damage().contains("release slots"));
    fs::write(&ring.path, &whole[..whole.len() - 1]).unwrap();
    assert!(ring.damage().contains("its header says"));
    fs::write(&ring.path, [0, 0, 1]).unwrap();
    assert!(ring.damage().contains("no header"));
}

#[test]
fn a_creation_cut_short_left_no_event() {
    let ring = Filed::new(4096);
    for len in [0, 1, 4096, 8192] {
        fs::write(&ring.path, vec![0; len]).unwrap();
        assert!(read(&ring.path).unwrap().is_none(), "{len} zeros");
    }
    // The words of the header are stored one after the other; a power loss takes any of them.
    let whole = fs::read(Filed::new(4096).path).unwrap();
    for from in (0..1024).step_by(8) {
        let mut image = whole.clone();
        image[from..PAGE].fill(0);
        fs::write(&ring.path, &image).unwrap();
        let begun = image[768..800] == whole[768..800];
        assert_eq!(
            read(&ring.path).unwrap().is_some(),
            begun,
            "up to byte {from}"
        );
        let mut image = whole.clone();
        image[..from + 8].fill(0);
        fs::write(&ring.path, &image).unwrap();
        assert!(
            read(&ring.path).unwrap().is_none(),
            "from byte {}",
            from + 8
        );
    }
}
