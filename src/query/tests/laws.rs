//! What a query gives is what a filter over all lines gives, in order; its pages are that, cut.

use proptest::{prelude::*, sample::Index};

use super::*;

/// How a file lies on disk.
#[derive(Clone, Copy, Debug)]
enum State {
    Live,
    Sealed,
    /// Sealed, and the live twin is still there.
    Twins,
}

fn record() -> impl Strategy<Value = Record> {
    let text = prop::sample::select(vec![
        "ann", "Bob", "c \"d\"", "e\\f", "grün", "h\ni", "user-1",
    ]);
    let event_type = prop::sample::select(vec![
        "auth.login",
        "auth.login.failed",
        "authz.denied",
        "file.read",
    ]);
    let severity = prop::sample::select(vec!["info", "warning", "error"]);
    // Times in small steps, so many share a millisecond; lines of up to 60 KB, so few make a block.
    let parts = (
        0..3usize,
        0..40_000i64,
        text.clone(),
        event_type,
        severity,
        text,
        0..5u64,
        prop::sample::select(vec![0, 100, 30_000, 60_000]),
    );
    parts.prop_map(
        |(stream, micros, actor, event_type, severity, description, count, padding)| Record {
            stream,
            seq: 0,
            micros,
            actor: actor.into(),
            event_type: event_type.into(),
            severity,
            description: description.into(),
            count,
            padding,
        },
    )
}

/// Records in the order in which they were written, with nearly rising times, and the files they
/// are in.
fn log() -> impl Strategy<Value = (Vec<Record>, Vec<(usize, State)>)> {
    let state = prop::sample::select(vec![State::Live, State::Sealed, State::Twins]);
    let files = prop::collection::vec((1..30usize, state), 3..9);
    (prop::collection::vec(record(), 0..90), files, any::<bool>()).prop_map(
        |(mut records, files, unordered)| {
            if !unordered {
                records.sort_by_key(|record| record.micros / 7000);
            }
            let mut seqs = [0; 3];
            for record in &mut records {
                seqs[record.stream] += 1;
                record.seq = seqs[record.stream];
            }
            (records, files)
        },
    )
}

fn written(records: &[Record], files: &[(usize, State)]) -> Log {
    let log = Log::new();
    for stream in 0..3 {
        let lines: Vec<_> = records
            .iter()
            .filter(|record| record.stream == stream)
            .map(Record::line)
            .collect();
        let mut rest = &lines[..];
        for (number, (len, state)) in (1..).zip(files.iter().cycle()) {
            if rest.is_empty() {
                break;
            }
            let (part, after) = rest.split_at((*len).min(rest.len()));
            rest = after;
            log.append(&stem(stream, number), part);
            match state {
                State::Live => {}
                State::Sealed => {
                    log.seal(&stem(stream, number));
                    log.unlink(&stem(stream, number));
                }
                State::Twins => log.seal(&stem(stream, number)),
            }
        }
    }
    log
}

fn filter() -> impl Strategy<Value = Vec<(String, String)>> {
    let one = prop_oneof![
        prop::sample::select(vec![
            "ann",
            "Name of Bob",
            "c \"d\"",
            "e\\f",
            "user-1",
            "nobody",
            "grün"
        ])
        .prop_map(|v| ("actor", v.to_owned())),
        prop::sample::select(vec![
            "auth.*",
            "auth.login",
            "file.read",
            "*",
            "auth.login.*"
        ])
        .prop_map(|v| ("event_type", v.to_owned())),
        prop::sample::select(vec!["info", "error"]).prop_map(|v| ("severity", v.to_owned())),
        prop::sample::select(vec!["BOB", "GRÜN", "\"d", "\\", "n", "h\nI", "AUTHZ", "ni"])
            .prop_map(|v| ("q", v.to_owned())),
        (0..5u64).prop_map(|n| ("details.count", n.to_string())),
        prop::sample::select(vec!["e\\f", "ann"]).prop_map(|v| ("details.who.is.it", v.to_owned())),
        (0..40_000i64)
            .prop_map(|us| ("start_date", Timestamp::from_micros(START + us).to_string())),
        (40_000..50_000i64).prop_map(|us| (
            "end_date",
            Timestamp::from_micros(START + us - 20_000).to_string()
        )),
    ];
    prop::collection::vec(one, 0..4).prop_map(|params| {
        params
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    })
}

/// The filter, told once more in other words.
fn wanted(record: &Record, params: &[(String, String)]) -> bool {
    let any = |name: &str, is: &dyn Fn(&str) -> bool| {
        let mut values = params.iter().filter(|(n, _)| n == name).peekable();
        values.peek().is_none() || values.any(|(_, value)| is(value))
    };
    let time = Timestamp::from_micros(START + record.micros).to_string();
    let name = format!("Name of {}", record.actor);
    any("actor", &|value| record.actor == value || name == value)
        && any("event_type", &|value| match value.strip_suffix('*') {
            Some(prefix) => record.event_type.starts_with(prefix),
            None => record.event_type == value,
        })
        && any("severity", &|value| record.severity == value)
        && any("q", &|value| {
            let texts = [
                &record.event_type,
                &record.description,
                &record.actor,
                &name,
            ];
            texts
                .iter()
                .any(|text| text.to_lowercase().contains(&value.to_lowercase()))
        })
        && any("details.count", &|value| record.count.to_string() == value)
        && any("details.who.is.it", &|value| record.actor == value)
        && any("start_date", &|value| time.as_str() >= value)
        && any("end_date", &|value| time.as_str() < value)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_query_gives_what_the_filter_wants_and_its_pages_are_that_cut(
        (records, files) in log(),
        filters in prop::collection::vec(filter(), 1..5),
        limit in 2..40usize,
        looked_up: Index,
    ) {
        let log = written(&records, &files);
        let reader = log.reader();
        for params in filters {
            let Ok(filter) = Filter::parse(params.clone()) else { continue };
            let model: Vec<_> = records.iter().filter(|record| wanted(record, &params)).cloned().collect();
            for order in [Order::Asc, Order::Desc] {
                let model = sorted(&model, order);
                let (found, scanned) = all(&reader, &filter, order);
                prop_assert_eq!(&found, &model, "{:?} {:?}", params, order);
                prop_assert_eq!(scanned.problems, vec![]);

                let (mut paged, mut query) = (Vec::new(), Query { filter: filter.clone(), order, limit, ..Query::default() });
                loop {
                    let page = reader.page(&query).unwrap();
                    let by_offset = reader.page(&Query { start: PageStart::Offset(paged.len()), ..query.clone() }).unwrap();
                    let lines = |page: &Page| page.entries.iter().map(|e| String::from_utf8(e.line().to_vec()).unwrap()).collect::<Vec<_>>();
                    prop_assert_eq!(lines(&page), lines(&by_offset));
                    prop_assert!(page.entries.len() == limit || !page.has_more);
                    paged.extend(lines(&page));
                    if !page.has_more {
                        break;
                    }
                    query.start = PageStart::Cursor(page.next_cursor);
                }
                prop_assert_eq!(&paged, &model);
            }
        }
        if !records.is_empty() {
            let record = &records[looked_up.index(records.len())];
            let id = record.id().parse().unwrap();
            let file = reader.file_of(id).unwrap().unwrap();
            prop_assert!(file.starts_with("live/") || file.starts_with("sealed/dt="), "{}", file);
            let entry = reader.get(id).unwrap().unwrap();
            prop_assert_eq!(String::from_utf8(entry.into_line()).unwrap(), record.line());
        }
        prop_assert!(reader.get(uuid::Uuid::nil()).unwrap().is_none());
        prop_assert!(reader.file_of(uuid::Uuid::nil()).unwrap().is_none());
    }
}

#[test]
fn a_page_of_the_newest_reads_few_blocks() {
    let log = Log::new();
    for number in 1..=6 {
        let lines = (0..40).map(|n| u64::from(number) * 40 + n).map(|seq| {
            let micros = seq as i64 * 1_000_000;
            Record {
                padding: 30_000,
                ..Record::new(0, seq - 39, micros)
            }
            .line()
        });
        log.sealed(&stem(0, number), &lines.collect::<Vec<_>>());
    }
    let reader = log.reader();
    let page = reader
        .page(&Query {
            limit: 3,
            ..Query::default()
        })
        .unwrap();
    assert_eq!((page.entries.len(), page.entries[0].seq().0), (3, 240));
    assert!(page.has_more);
    assert_eq!(
        (page.scanned.files, page.scanned.blocks),
        (1, 1),
        "{:?}",
        page.scanned
    );

    let filter = Filter::new().with("actor", "user-100").unwrap();
    let page = reader
        .page(&Query {
            filter,
            ..Query::default()
        })
        .unwrap();
    assert_eq!(
        (page.entries.len(), page.scanned.blocks, page.has_more),
        (1, 1, false),
        "the Bloom filters rule out the others"
    );

    for (params, entries, blocks) in [
        (&[("actor", "user-100"), ("actor", "user-200")][..], 2, 2),
        (
            &[
                ("actor", "user-100"),
                ("actor", "nobody"),
                ("actor", "!user-7"),
            ],
            1,
            1,
        ),
        (&[("actor", "nobody")], 0, 0),
        (&[("actor", "system")], 0, 0),
        (
            &[
                ("ip_address", "192.0.2.0/31"),
                ("ip_address", "2001:DB8::1"),
            ],
            0,
            0,
        ),
    ] {
        let filter = Filter::parse(params.iter().copied()).unwrap();
        let (found, scanned) = all(&reader, &filter, Order::Desc);
        assert_eq!(
            (found.len(), scanned.blocks),
            (entries, blocks),
            "{params:?}"
        );
    }
}

#[test]
fn a_full_page_says_whether_there_are_more() {
    // Some blocks of five lines, and one block of twelve.
    for padding in [60_000, 0] {
        let log = Log::new();
        let lines: Vec<_> = (1..=12)
            .map(|seq| {
                Record {
                    padding,
                    ..Record::new(0, seq, seq as i64 * 1_000_000)
                }
                .line()
            })
            .collect();
        log.sealed(&stem(0, 1), &lines);
        let reader = log.reader();
        for limit in 1..=13 {
            for order in [Order::Asc, Order::Desc] {
                let page = reader
                    .page(&Query {
                        limit,
                        order,
                        ..Query::default()
                    })
                    .unwrap();
                assert_eq!(
                    (page.entries.len(), page.has_more),
                    (limit.min(12), limit < 12),
                    "{limit} {order}"
                );
            }
        }
    }
}

#[test]
fn a_query_is_read_from_text() {
    let cursor = "v1.5.0193f2a4-7c1e-7d31-9f65-1f0f5b0c2c11";
    let query = Query::parse([
        ("limit", "7"),
        ("actor", "u"),
        ("order", "asc"),
        ("cursor", cursor),
    ])
    .unwrap();
    assert_eq!(
        (query.limit, query.order, query.start),
        (7, Order::Asc, PageStart::Cursor(cursor.into()))
    );
    assert_eq!(
        query.filter.params(),
        [("actor".to_owned(), "u".to_owned())]
    );
    for (params, said) in [
        (
            vec![("limit", "0")],
            "limit: it must be a number from 1 to 1000",
        ),
        (vec![("limit", "1001")], "limit: "),
        (
            vec![("limit", "5"), ("limit", "5")],
            "limit: it is given twice",
        ),
        (
            vec![("order", "up")],
            "order: \"up\" must be \"desc\" (newest first), \"asc\" or \"arrival\"",
        ),
        (
            vec![("offset", "-1")],
            "offset: it must be a number, 0 or more",
        ),
        (
            vec![("offset", "1"), ("cursor", cursor)],
            "cursor: cursor and offset are both given",
        ),
        (
            vec![("cursor", "x")],
            "cursor: it isn't the next_cursor of a page",
        ),
        (
            vec![("page", "2")],
            "page: there is no such parameter; there are start_date, end_date, event_type, category, action, actor, actor_type, resource, resource_type, tenant_id, severity, outcome, source, ip_address, user_agent, session_id, request_id, trace_id, q, limit, order, cursor, offset, include and details.<path>",
        ),
    ] {
        let error = Query::parse(params).unwrap_err().to_string();
        assert!(error.starts_with(said), "{error}");
    }
}

#[test]
fn a_cursor_of_ones_own_making_is_refused() {
    let reader = Log::new().reader();
    for cursor in [
        "",
        "v1",
        "v1.5.x",
        "0193f2a4-7c1e-7d31-9f65-1f0f5b0c2c11",
        "v1.99999999999999999999.0193f2a4-7c1e-7d31-9f65-1f0f5b0c2c11",
    ] {
        let query = Query {
            start: PageStart::Cursor(cursor.into()),
            ..Query::default()
        };
        let error = reader.page(&query).unwrap_err().to_string();
        assert!(error.starts_with("cursor: "), "{error}");
    }
}
