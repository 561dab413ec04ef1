//! An index says what its lines say, on disk as in memory, and any damage to it is noticed.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;
use crate::{
    entry::scan::escape,
    store::{fs::OsFs, summary::IndexBuilder, tally::TallyPart},
};

const STEM: &str = "20261121T101500.123456Z-billing-7f3a9c-00000042";

fn line(seq: u64, actor: &str, micros: i64) -> String {
    let (time, actor) = (
        Timestamp::from_micros(micros),
        String::from_utf8(escape(actor)).unwrap(),
    );
    format!(
        r#"{{"stream":"billing-7f3a9c","seq":{seq},"id":"0193f2a4-7c1e-7d31-9f65-{seq:012}","timestamp":"{time}","event_type":"a.b","actor":{{"type":"user","id":"{actor}","name":"N {actor}"}},"tenant_id":"acme"}}"#
    )
}

fn block(seqs: std::ops::Range<u64>, actor: &str) -> String {
    seqs.fold(String::new(), |mut text, seq| {
        let _ = writeln!(text, "{}", line(seq, actor, 1_000_000 * (seq as i64 ^ 1)));
        text
    })
}

fn built(blocks: &[String]) -> Built {
    let mut builder = IndexBuilder::new(STEM.parse().unwrap());
    for block in blocks {
        builder.push(block.as_bytes(), block.len() as u32 / 4);
    }
    builder.finish(12_345, [7; 32])
}

fn written(bytes: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(format!("{STEM}.idx"));
    std::fs::write(&path, bytes).unwrap();
    (dir, path)
}

#[test]
fn an_index_is_read_as_it_was_written() {
    let blocks = [
        block(41..50, "user-1"),
        block(50..52, "user \"2\""),
        "{\"torn\n".into(),
        block(53..60, "user-3"),
    ];
    let built = built(&blocks);
    let (_dir, path) = written(&built.encode());
    let index = Index::read(&OsFs, &path).unwrap();
    assert_eq!(index, built.index);
    assert_eq!(
        (index.lines, index.first_seq, index.last_seq),
        (9 + 2 + 1 + 7, Seq(41), Seq(59))
    );
    assert_eq!(
        index.blocks.iter().map(|b| b.first_seq).collect::<Vec<_>>(),
        [41, 50, 52, 53]
    );
    assert_eq!(
        index.blocks.iter().map(|b| b.opaque).collect::<Vec<_>>(),
        [false, false, true, false]
    );
    assert_eq!(index.crc, crc32fast::hash(blocks.concat().as_bytes()));
    assert_eq!(
        (
            index.blocks[0].min.as_micros(),
            index.blocks[0].max.as_micros()
        ),
        (40_000_000, 49_000_000)
    );
    assert_eq!(
        (index.min, index.max),
        (Timestamp::MIN, Timestamp::MAX),
        "an opaque block may be of any time"
    );
    assert!(index.first_id.ends_with("-000000000041") && index.last_id.ends_with("-000000000059"));

    let actors = index.blooms(&OsFs, &path, Key::Actor).unwrap();
    let found = |value: &str| {
        (0..4)
            .map(|b| actors.may_contain(b, &escape(value)))
            .collect::<Vec<_>>()
    };
    assert_eq!(found("user-1"), [true, false, true, false]);
    assert_eq!(found("N user \"2\""), [false, true, true, false]);
    assert_eq!(found("nobody"), [false, false, true, false]);
    let sessions = index.blooms(&OsFs, &path, Key::Session).unwrap();
    assert!(
        !sessions.may_contain(0, b"s") && sessions.may_contain(2, b"s"),
        "no line has a session, but who knows the torn one"
    );
    assert!(
        sessions.may_contain(4, b"s"),
        "nothing is known of a block that isn't there"
    );
}

#[test]
fn actors_are_found_by_their_types_and_addresses_by_any_spelling() {
    let text = line(1, "ann", 1).replace(
        r#","tenant_id""#,
        r#","ip_address":"2001:DB8:0::1","tenant_id""#,
    ) + "\n";
    let of_version = |version| {
        let mut builder = IndexBuilder::of_version(version, STEM.parse().unwrap());
        builder.push(text.as_bytes(), 9);
        builder.finish(12_345, [7; 32])
    };
    let may_contain = |index: &Index, path: &Path, key, value: &str| {
        let blooms = index.blooms(&OsFs, path, key).unwrap();
        blooms.may_contain(0, value.as_bytes())
    };
    let (_dir, path) = written(&of_version(VERSION).encode());
    let index = Index::read(&OsFs, &path).unwrap();
    for (key, value, held) in [
        (Key::Actor, "user", true),
        (Key::Actor, "system", false),
        (Key::Address, "2001:db8::1", true),
        (Key::Address, "2001:db8::2", false),
    ] {
        assert_eq!(may_contain(&index, &path, key, value), held, "{value}");
    }

    // An index of the first version knows neither, and rules out nothing by them.
    let (_dir, path) = written(&of_version(FIRST_VERSION).encode());
    let index = Index::read(&OsFs, &path).unwrap();
    assert!(may_contain(&index, &path, Key::Actor, "system"));
    assert!(may_contain(&index, &path, Key::Address, "2001:db8::2"));
    assert!(!may_contain(&index, &path, Key::Tenant, "globex"));
}

#[test]
fn a_tenants_value_is_not_found_for_another_tenant() {
    let ann = line(1, "ann", 1);
    let text = [ann, line(2, "bob", 2).replace("acme", "globex")].join("\n") + "\n";
    for (version, held) in [(VERSION, [true, false]), (2, [true, true])] {
        let mut builder = IndexBuilder::of_version(version, STEM.parse().unwrap());
        builder.push(text.as_bytes(), 9);
        let tenant = Some(&b"acme"[..]);
        let of_builder = [b"ann", b"bob"]
            .map(|value| builder.may_contain(0, Key::Actor, tenant, value.as_slice()));
        let (_dir, path) = written(&builder.finish(12_345, [7; 32]).encode());
        let index = Index::read(&OsFs, &path).unwrap();
        let actors = index.blooms(&OsFs, &path, Key::Actor).unwrap();
        let of_acme = [b"ann", b"bob"].map(|value| actors.may_contain_of(0, b"acme", value));
        assert_eq!([of_acme, of_builder], [held; 2], "version {version}");
        assert!(actors.may_contain(0, b"ann") && actors.may_contain(0, b"bob"));
        assert!(!actors.may_contain(0, b"eve") && !actors.may_contain_of(0, b"acme", b"eve"));
    }
}

#[test]
fn a_builder_answers_as_its_index_does() {
    let blocks = [
        block(1..9, "user-1"),
        "{\"torn\n".into(),
        block(10..20, "user-2"),
    ];
    let mut builder = IndexBuilder::new(STEM.parse().unwrap());
    for block in &blocks {
        builder.push(block.as_bytes(), 0);
    }
    let ask = |block, value: &str| builder.may_contain(block, Key::Actor, None, value.as_bytes());
    assert_eq!([0, 1, 2].map(|b| ask(b, "user-1")), [true, true, false]);
    assert_eq!([0, 1, 2].map(|b| ask(b, "user-2")), [false, true, true]);
}

#[test]
fn the_index_of_another_file_is_refused() {
    let (dir, path) = written(&built(&[block(1..3, "a")]).encode());
    let other = dir
        .path()
        .join("20261121T101500.123456Z-billing-7f3a9c-00000043.idx");
    std::fs::rename(path, &other).unwrap();
    assert!(matches!(
        Index::read(&OsFs, &other),
        Err(Error::Damaged { .. })
    ));
}

/// Reads everything that can be read.
fn read_all(path: &std::path::Path) -> Result<Index> {
    let index = Index::read(&OsFs, path)?;
    for key in Key::ALL {
        index.blooms(&OsFs, path, key)?;
    }
    index.tally(&OsFs, path)?;
    Ok(index)
}

fn damaged(path: &std::path::Path) -> bool {
    matches!(read_all(path), Err(Error::Damaged { .. }))
}

proptest! {
    #[test]
    fn any_damage_is_noticed(at: prop::sample::Index, flip in 1u8..=255, cut: prop::sample::Index) {
        let bytes = built(&[block(1..9, "user-1"), block(9..12, "user-2")]).encode();
        let (_dir, path) = written(&bytes);
        prop_assert!(read_all(&path).unwrap().has_tally());
        let mut flipped = bytes.clone();
        flipped[at.index(bytes.len())] ^= flip;
        std::fs::write(&path, flipped).unwrap();
        prop_assert!(damaged(&path));
        std::fs::write(&path, &bytes[..cut.index(bytes.len())]).unwrap();
        prop_assert!(damaged(&path));
    }
}

/// The tally of an index with these blocks; `None` if it has none.
fn tally(version: u32, blocks: &[String]) -> Option<Tally> {
    let mut builder = IndexBuilder::of_version(version, STEM.parse().unwrap());
    for block in blocks {
        builder.push(block.as_bytes(), 9);
    }
    let (_dir, path) = written(&builder.finish(12_345, [7; 32]).encode());
    let index = Index::read(&OsFs, &path).unwrap();
    let tally = index.tally(&OsFs, &path).unwrap();
    assert_eq!(tally.is_some(), index.has_tally());
    tally
}

#[test]
fn a_tally_counts_minutes_and_values() {
    let failed = line(3, "eve", 70_000_000).replace(
        r#","tenant_id""#,
        r#","severity":"error","outcome":{"type":"failure"},"tenant_id""#,
    );
    let read = line(4, "ann", 80_000_000).replace("a.b", "audit.access.read");
    let text = [line(1, "ann", 1), line(2, "ann", 59_999_999), failed, read].join("\n") + "\n";
    let tally = tally(VERSION, &[text]).unwrap();
    let minutes = tally.entries.minutes.iter();
    let minutes: Vec<_> = minutes
        .map(|(start, counts)| {
            let failures = counts.outcome.failure;
            (
                start.as_micros(),
                counts.count,
                counts.severity.error,
                failures,
            )
        })
        .collect();
    assert_eq!(minutes, [(0, 2, 0, 0), (60_000_000, 1, 1, 1)]);
    let values = tally.entries.values.map(|values| {
        let values = values.unwrap();
        let text = |value: &[u8]| String::from_utf8(value.into()).unwrap();
        let pairs = values.iter().map(|(value, count)| (text(value), count));
        pairs.collect::<Vec<_>>()
    });
    let pairs = |pairs: &[(&str, u64)]| {
        let pairs = pairs
            .iter()
            .map(|(value, count)| ((*value).to_owned(), *count));
        pairs.collect::<Vec<_>>()
    };
    assert_eq!(
        values,
        [
            pairs(&[("a.b", 3)]),
            pairs(&[("", 2), ("error", 1)]),
            pairs(&[("failure", 1), ("success", 2)]),
            pairs(&[("ann", 2), ("eve", 1)]),
            pairs(&[("", 3)]),
        ]
    );
    assert_eq!(tally.access.minutes.len(), 1);
    let actors = tally.access.values[3].as_ref().unwrap();
    assert_eq!(actors.iter().count(), 1);
}

#[test]
fn a_file_that_no_tally_can_count_has_none() {
    let whole = block(1..9, "user-1");
    assert!(tally(VERSION, std::slice::from_ref(&whole)).is_some());
    assert!(tally(FIRST_VERSION, std::slice::from_ref(&whole)).is_none());
    assert!(tally(VERSION, &[whole, "{\"torn\n".into()]).is_none());
    // Its minutes alone take more bytes than a tally may have.
    let minutes = (1..7000).map(|seq| line(seq, "ann", seq as i64 * 60_000_000) + "\n");
    assert!(tally(VERSION, &[minutes.collect()]).is_none());
}

/// Lines of so many actors, whose ids take 100 bytes each, all from the same address.
fn lines_of_actors(seqs: std::ops::Range<u64>, event_type: &str) -> String {
    let line = |seq| {
        let line = line(seq, &format!("{seq:0100}"), seq as i64).replace("a.b", event_type);
        line.replace(r#""tenant_id""#, r#""ip_address":"192.0.2.1","tenant_id""#) + "\n"
    };
    seqs.map(line).collect()
}

#[test]
fn a_tally_leaves_out_the_values_that_take_most() {
    let text = lines_of_actors(1..4000, "a.b") + &lines_of_actors(4000..4010, "audit.access.read");
    let found = tally(VERSION, std::slice::from_ref(&text)).unwrap();
    let are_there = |part: &TallyPart| part.values.each_ref().map(Option::is_some);
    assert_eq!(are_there(&found.entries), [true, true, true, false, true]);
    assert_eq!(are_there(&found.access), [true; 5]);
    let count: u64 = found.entries.minutes.iter().map(|(_, one)| one.count).sum();
    assert_eq!(count, 3999);
    let addresses = found.entries.values[4].as_ref().unwrap();
    assert_eq!(
        addresses.iter().collect::<Vec<_>>(),
        [(&b"192.0.2.1"[..], 3999)]
    );
    // A tally of the version before is given up then.
    assert!(tally(2, &[text]).is_none());
}

#[test]
fn a_tally_with_everything_in_it_stays_short_and_is_always_the_same() {
    let text: String = (1..9000)
        .map(|seq| {
            let text = line(seq, &format!("{:050}", seq % 3000), seq as i64 * 4_000_000);
            let event_type = format!("a.type-{}", seq % 2900);
            let address = format!(r#""ip_address":"host-{seq:030}","tenant_id""#);
            text.replace("a.b", &event_type)
                .replace(r#""tenant_id""#, &address)
                + "\n"
        })
        .collect();
    let built = || {
        let mut builder = IndexBuilder::new(STEM.parse().unwrap());
        builder.push(text.as_bytes(), 9);
        builder.finish(12_345, [7; 32]).encode()
    };
    let bytes = built();
    assert!(built() == bytes);
    let (_dir, path) = written(&bytes);
    let index = Index::read(&OsFs, &path).unwrap();
    assert!(
        (1..=256 << 10).contains(&index.tally.len),
        "{:?}",
        index.tally
    );
    let tally = index.tally(&OsFs, &path).unwrap().unwrap();
    let are_there = tally.entries.values.each_ref().map(Option::is_some);
    assert_eq!(are_there, [true, true, true, false, false]);
}
