//! What a file of dead letters says, and how it is written anew.

use std::{cell::Cell, fs};

use super::*;
use crate::{
    entry::OwnEntry,
    webhook::testing::{self, entry},
};

const KEY: &str = "e.1";

fn letter(id: &str, reason: &str) -> Kept {
    let entry = [entry(1)];
    Kept::new("e", id, 3, reason, Contents::by_id(&entry), &entry)
}

fn dead(layout: &Layout) -> Vec<String> {
    let letters = index(layout, KEY).unwrap().into_iter();
    letters
        .map(|at| read(layout, KEY, at).unwrap().unwrap())
        .map(|letter| letter.delivery_id + " " + &letter.reason)
        .collect()
}

/// Writes it anew; gives how many deliveries were removed from it.
fn tidy(dir: &tempfile::TempDir, most: u64) -> u64 {
    let layout = testing::layout(dir.path());
    let reader = AuditReader::open(dir.path()).unwrap();
    let removed = Cell::new(0);
    let record = |record: &OwnEntry| {
        let line = [b"{", &record.render(&"a".parse()?)[..]].concat();
        let line: serde_json::Value = serde_json::from_slice(&line).unwrap();
        removed.set(removed.get() + line["details"]["deliveries"].as_u64().unwrap());
        Ok(())
    };
    let files = files::of(&layout, KEY).unwrap();
    super::tidy::tidy(&reader, KEY, &files, most, &record).unwrap();
    removed.get()
}

#[test]
fn what_arrived_since_is_dead_no_longer_and_a_cut_line_costs_only_itself() {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::new(dir.path());
    assert!(dead(&layout).is_empty());
    letter("a", "first").append(&layout, KEY).unwrap();
    letter("b", "x").append(&layout, KEY).unwrap();
    delivered(&layout, KEY, "b").unwrap();
    letter("c", "x").append(&layout, KEY).unwrap();
    letter("a", "again").append(&layout, KEY).unwrap();
    assert_eq!(dead(&layout), ["a again", "c x"]);
    // A death in the middle of a line.
    let path = files::of(&layout, KEY).unwrap().remove(0).path;
    let text = fs::read(&path).unwrap();
    fs::write(&path, &text[..text.len() - 20]).unwrap();
    assert_eq!(dead(&layout), ["a first", "c x"]);
    letter("d", "x").append(&layout, KEY).unwrap();
    assert_eq!(dead(&layout), ["a first", "c x", "d x"]);
}

#[test]
fn a_write_that_fails_leaves_no_piece() {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::new(dir.path());
    letter("a", "first").append(&layout, KEY).unwrap();
    let path = files::of(&layout, KEY).unwrap().remove(0).path;
    let before = fs::read(&path).unwrap();
    let full = |mut file: &File, text: &[u8]| {
        file.write_all(&text[..text.len() / 2])?;
        Err(io::ErrorKind::StorageFull.into())
    };
    let file = File::options().append(true).read(true).open(&path).unwrap();
    for _ in 0..3 {
        assert!(lines::add(&file, b"{}\n", full).is_err());
        assert_eq!(fs::read(&path).unwrap(), before);
    }
}

#[test]
fn it_is_written_anew_without_what_arrived_and_within_its_bound() {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::new(dir.path());
    fs::create_dir_all(dir.path().join("state")).unwrap();
    for n in 0..10 {
        letter(&format!("{n}"), "x").append(&layout, KEY).unwrap();
    }
    delivered(&layout, KEY, "3").unwrap();
    assert_eq!(tidy(&dir, u64::MAX), 0);
    assert_eq!(generation(&layout, KEY).unwrap(), 1);
    let text = fs::read_to_string(files::path(&layout, KEY, 0)).unwrap();
    assert_eq!(text.lines().count(), 10, "a header and nine dead letters");
    assert_eq!(dead(&layout).len(), 9);
    // Nothing is done where nothing is to be done.
    assert_eq!(tidy(&dir, u64::MAX), 0);
    assert_eq!(generation(&layout, KEY).unwrap(), 1);
    // What is too much goes, the oldest first.
    let most = fs::metadata(files::path(&layout, KEY, 0)).unwrap().len() * 2 / 3;
    let removed = tidy(&dir, most);
    let left = dead(&layout);
    assert_eq!(
        (removed as usize + left.len(), &*left[left.len() - 1]),
        (9, "9 x")
    );
    assert!(removed > 3 && !left.is_empty(), "{removed}");
    letter("new", "x").append(&layout, KEY).unwrap();
    assert_eq!(dead(&layout).len(), left.len() + 1);
}

#[test]
fn what_an_older_version_replayed_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::new(dir.path());
    fs::create_dir_all(files::dir(&layout)).unwrap();
    let copy = String::from_utf8(entry(1).line().to_vec()).unwrap();
    let line = format!(
        r#"{{"webhook_id":"msg_1","endpoint":"e","given_up":"2025-01-15T10:30:00Z","attempts":3,"why":"x","entries":[{copy}]}}"#
    );
    fs::write(files::path(&layout, KEY, 2), line + "\n").unwrap();
    let queue = r#"{"places":{},"parcels":[{"id":"msg_1","letter":{"offset":0,"len":10},"count":1},{"id":"msg_2","entries":[{"file":"20250115T103000.000000Z-a-1-00000001","at":[[0,10]]}],"ids":["0193f2a4-7c1e-7d31-9f65-1f0f5b0c2c11"],"count":1}],"replaying":{"dead_letters":{"from":0,"to":9}}}"#;
    let mut queue: crate::webhook::queue::Queue = serde_json::from_str(queue).unwrap();
    queue.migrate(&layout, KEY).unwrap();
    let text = String::from_utf8(queue.text()).unwrap();
    let queue: crate::webhook::queue::Queue = serde_json::from_str(&text).unwrap();
    let [first, second] = [&queue.deliveries[0], &queue.deliveries[1]];
    assert!(first.dead && first.contents.len() == 1, "{text}");
    assert!(!second.dead && second.contents.len() == 1, "{text}");
    assert!(text.contains(r#""places":[{"file":"20250115T103000.000000Z-a-1-00000001""#));
}
