//! The blocks that are read for a tenant's question depend on the entries of that tenant, and on
//! nothing that others hold.

use super::*;
use crate::query::tail::Room;

/// Enough to fill a block of a live file with a few entries.
const PADDING: usize = 70 << 10;

/// An entry of a tenant, in which each field that has a filter says this value.
fn line(seq: u64, tenant: &str, value: &str, address: &str, padding: usize) -> String {
    let mut record = Record::new(0, seq, seq as i64);
    record.actor = value.into();
    record.padding = padding;
    let more = format!(
        r#""tenant_id":"{tenant}","resource":{{"type":"door","id":"{value}"}},"ip_address":"{address}","context":{{"session_id":"{value}","request_id":"{value}"}},"description""#
    );
    record.line().replace(r#""description""#, &more)
}

/// Files in which globex holds `bob` and `192.0.2.1` everywhere, and acme other values.
fn log(number_of_files: u32) -> Log {
    let log = Log::new();
    for file in 1..=number_of_files {
        let seq = u64::from(file) * 10;
        let lines = [
            line(seq, "acme", "ann", "192.0.2.7", 0),
            line(seq + 1, "globex", "bob", "192.0.2.1", 0),
        ];
        log.sealed(&stem(0, file), &lines);
    }
    let last = number_of_files + 1;
    let first = u64::from(last) * 10;
    let grown = (0..20).map(|n| match n % 2 {
        0 => line(first + n, "acme", "ann", "192.0.2.7", PADDING),
        _ => line(first + n, "globex", "bob", "192.0.2.1", PADDING),
    });
    log.append(&stem(0, last), &grown.collect::<Vec<_>>());
    log
}

/// How many entries are found, and how many blocks are read for that.
fn asked(reader: &AuditReader, params: &[(&str, &str)]) -> (usize, u64) {
    let filter = Filter::parse(params.iter().copied()).unwrap();
    let (found, scanned) = all(reader, &filter, Order::Desc);
    (found.len(), scanned.blocks)
}

const KEYS: [&str; 5] = [
    "actor",
    "resource",
    "session_id",
    "request_id",
    "ip_address",
];

#[test]
fn a_value_of_another_tenant_is_as_absent_as_one_that_nobody_has() {
    let log = log(30);
    let reader = log.reader();
    for name in KEYS {
        let (held, nowhere, own) = match name {
            "ip_address" => ("192.0.2.1", "192.0.2.200", "192.0.2.7"),
            _ => ("bob", "nobody", "ann"),
        };
        let of = |tenant, value| asked(&reader, &[("tenant_id", tenant), (name, value)]);
        let absent = of("acme", nowhere);
        assert_eq!(of("acme", held), absent, "{name}");
        assert!(absent.1 <= 1, "only the rest of the live file: {absent:?}");
        // Each finds what it has, and whoever may see all tenants finds both.
        assert_eq!(of("acme", own).0, 40, "{name}");
        assert_eq!(of("globex", held).0, 40, "{name}");
        assert_eq!(asked(&reader, &[(name, held)]).0, 40, "{name}");
        assert_eq!(asked(&reader, &[(name, nowhere)]).1, absent.1, "{name}");
    }
}

#[test]
fn a_question_about_several_tenants_finds_the_values_of_each() {
    let log = log(5);
    let reader = log.reader();
    let both = [("tenant_id", "acme"), ("tenant_id", "globex")];
    let of = |value| asked(&reader, &[both[0], both[1], ("actor", value)]);
    assert_eq!([of("ann").0, of("bob").0, of("nobody").0], [15, 15, 0]);
    assert_eq!(
        asked(&reader, &[("tenant_id", "!globex"), ("actor", "ann")]).0,
        15
    );
}

#[test]
fn counts_of_a_tenant_are_not_those_of_whole_files() {
    let log = log(3);
    let stats = |params: &[(&str, &str)]| {
        let query = StatsQuery::parse(params.iter().copied()).unwrap();
        log.reader().stats(&query).unwrap()
    };
    let own = stats(&[("tenant_id", "acme")]);
    let actors = own.top.actor.unwrap().values;
    assert_eq!(own.total, 13);
    assert_eq!(actors.len(), 1);
    assert_eq!((&*actors[0].value, actors[0].count), ("ann", 13));
    assert_eq!(stats(&[]).total, 26);
    // A value of another tenant is not even looked for.
    let read = |value| {
        let stats = stats(&[("tenant_id", "acme"), ("actor", value)]);
        (stats.total, stats.scanned.blocks)
    };
    assert_eq!(read("bob"), read("nobody"));
}

#[test]
fn a_follower_reads_no_sealed_blocks_without_entries_of_its_tenant() {
    let log = Log::new();
    let of_globex = |seq| line(seq, "globex", "bob", "192.0.2.1", PADDING);
    let mut lines: Vec<_> = (1..=40).map(of_globex).collect();
    lines.push(line(41, "acme", "ann", "192.0.2.7", 0));
    lines.extend((42..=80).map(of_globex));
    lines.push(line(81, "acme", "ann", "192.0.2.7", 0));
    log.sealed(&stem(0, 1), &lines);
    // Room for the two blocks that have an entry of acme, and a part of a third.
    let room = Room {
        entries: 5,
        bytes: usize::MAX,
        scanned: 700 << 10,
    };
    let found = |params: &[(&str, &str)]| {
        let filter = Filter::parse(params.iter().copied()).unwrap();
        let mut tail = Tail::empty(Arc::clone(log.reader().files()), filter);
        let (live, streams) = tail.list().unwrap();
        for (stream, files) in streams {
            tail.begin(stream, files);
        }
        let found = tail.read_on(&live, room).unwrap();
        let seqs: Vec<_> = found.iter().map(|placed| placed.entry.seq().0).collect();
        (seqs, tail.places().0.into_values().next().unwrap().seq)
    };
    assert_eq!(found(&[("tenant_id", "acme")]), (vec![41, 81], 81));
    let of_ann = [("tenant_id", "acme"), ("actor", "ann")];
    assert_eq!(found(&of_ann), (vec![41, 81], 81));
    assert_eq!(found(&[]), (vec![1, 2, 3, 4, 5], 5));
    // Nothing is read, and the file is behind the follower.
    let of_bob = [("tenant_id", "acme"), ("actor", "bob")];
    assert_eq!(found(&of_bob), (vec![], 81));
}
