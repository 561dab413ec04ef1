//! What a filter takes, what it refuses and says, and what it finds.

use super::*;
use crate::entry::scan::scan;

const LINE: &str = r#"{"stream":"billing-7f3a9c","seq":1,"id":"0193f2a4-7c1e-7d31-9f65-1f0f5b0c2c11","timestamp":"2026-11-21T23:59:59.999999Z","event_type":"auth.login.failed","category":"auth","action":"failed","severity":"warning","source":"billing","tenant_id":"acme","actor":{"type":"user","id":"u-1","name":"Ann \"A\" Müller"},"resource":{"type":"door","id":"d-2","name":"Front"},"outcome":{"type":"failure","reason":"authentication"},"description":"first\name C:\\temp","details":{"n":45,"ok":true,"none":null,"by":{"zone.a":"x y"},"list":[1]},"ip_address":"192.0.2.1","context":{"session_id":"s-1","request_id":"r-1"}}"#;

fn parse(params: &[(&str, &str)]) -> Result<Filter> {
    Filter::parse(params.iter().copied())
}

fn finds(params: &[(&str, &str)]) -> bool {
    let filter = parse(params).unwrap();
    let matches = filter.matches(&scan(LINE.as_bytes()).unwrap());
    let (plain, lower) = (LINE.as_bytes(), LINE.to_ascii_lowercase());
    let candidate = filter.first_candidate(Haystack {
        plain,
        lower: lower.as_bytes(),
    });
    assert!(
        !matches || candidate.is_some(),
        "a needle misses what matches: {params:?}"
    );
    matches
}

#[test]
fn each_parameter_finds_what_it_says() {
    for (name, yes, no) in [
        ("start_date", "2026-11-21", "2026-11-22"),
        (
            "start_date",
            "2026-11-21T23:59:59.999999Z",
            "2026-11-22T00:00:00Z",
        ),
        (
            "start_date",
            "2026-11-22T00:59:00+01:00",
            "2026-11-22T01:00:00+01:00",
        ),
        ("end_date", "2026-11-21", "2026-11-20"),
        (
            "end_date",
            "2026-11-22T00:00:00Z",
            "2026-11-21T23:59:59.999999Z",
        ),
        ("event_type", "auth.login.failed", "auth.login"),
        ("event_type", "auth.*", "authz.*"),
        ("event_type", "*", "auth.login.failed.*"),
        ("category", "auth", "login"),
        ("action", "failed", "login"),
        ("actor", "u-1", "user"),
        ("actor", "Ann \"A\" Müller", "ann \"a\" müller"),
        ("resource", "d-2", "door"),
        ("resource", "Front", "d-1"),
        ("tenant_id", "acme", "acm"),
        ("severity", "warning", "info"),
        ("outcome", "failure", "success"),
        ("source", "billing", "bill"),
        ("ip_address", "192.0.2.1", "192.0.2.11"),
        ("ip_address", "::ffff:192.0.2.1", "::ffff:192.0.2.2"),
        ("ip_address", "::FFFF:C000:0201", "::192.0.2.1"),
        ("session_id", "s-1", "r-1"),
        ("request_id", "r-1", "s-1"),
        ("q", "LOGIN.fail", "door"),
        ("q", "\"a\" MÜLLER", "warning"),
        ("q", "\nAME", "\\name"),
        ("q", "t\nA", "name"),
        ("q", "c:\\TEMP", "c:\\\\temp"),
        ("q", "front", "u-1\",\"name"),
        ("details.n", "45", "45.0"),
        ("details.ok", "true", "false"),
        ("details.none", "null", ""),
        ("details.by.zone.a", "x y", "x"),
        ("details.by.zone.a", "x y", "\"x y\""),
        ("details.n", "45", "4"),
    ] {
        assert!(finds(&[(name, yes)]), "{name}={yes}");
        assert!(!finds(&[(name, no)]), "{name}={no}");
    }
    assert!(!finds(&[("details.list", "[1]")]));
    assert!(finds(&[
        ("event_type", "a.b"),
        ("event_type", "auth.*"),
        ("severity", "info"),
        ("severity", "warning"),
        ("actor", "u-1")
    ]));
    assert!(
        !finds(&[("event_type", "auth.*"), ("actor", "u-2")]),
        "different parameters must all hold"
    );
}

#[test]
fn what_is_wrong_is_said_with_what_to_write_instead() {
    let long = "x".repeat(1025);
    for (params, said) in [
        (
            vec![("start_date", "yesterday")],
            "start_date: \"yesterday\" must be a date like 2026-11-21 or an RFC 3339 instant",
        ),
        (vec![("end_date", "2026-02-30")], "end_date: "),
        (
            vec![("start_date", "2026-11-22"), ("end_date", "2026-11-21")],
            "start_date: nothing lies between it and end_date",
        ),
        (
            vec![("event_type", "auth")],
            "event_type: \"auth\" has only one part; write \"auth.*\"",
        ),
        (
            vec![("event_type", "Auth.Login")],
            "event_type: \"Auth.Login\" must be lower case and dotted",
        ),
        (vec![("event_type", "auth*")], "event_type: "),
        (
            vec![("severity", "warn")],
            "severity: \"warn\" must be one of info, warning, error, critical",
        ),
        (
            vec![("outcome", "ok")],
            "outcome: \"ok\" must be one of success, failure, unknown",
        ),
        (
            vec![("actor", "")],
            "actor: it is empty; give a value or leave it out",
        ),
        (
            vec![("actor", "a"), ("actor", "b")],
            "actor: it is given twice",
        ),
        (
            vec![("details.a", "a"), ("details.a", "b")],
            "details.a: it is given twice",
        ),
        (
            vec![("user", "a")],
            "user: there is no such parameter; there are start_date, end_date, event_type",
        ),
        (
            vec![("details.", "a")],
            "details.: there is no such parameter",
        ),
        (
            vec![("actor", &long)],
            "actor: it is longer than 1024 bytes",
        ),
        (vec![(&long, "a")], "xxxx"),
        (
            vec![("severity", "info"); 65],
            "severity: there are more than 64 parameters",
        ),
    ] {
        let error = parse(&params).unwrap_err().to_string();
        assert!(error.starts_with(said), "{error}");
        assert!(error.len() < 400, "{error}");
    }
    // The longest text that is let in can be looked for.
    assert!(parse(&[("q", &"ſ".repeat(512))]).is_ok());
}

#[test]
fn filters_of_the_same_meaning_have_the_same_parameters() {
    let a = parse(&[
        ("severity", "info"),
        ("details.b", "2"),
        ("severity", "error"),
        ("end_date", "2026-11-22T01:00:00+01:00"),
        ("severity", "info"),
        ("details.a", "1"),
        ("start_date", "2026-11-20"),
    ]);
    let b = parse(&[
        ("details.a", "1"),
        ("end_date", "2026-11-21"),
        ("event_type", "*"),
        ("start_date", "2026-11-20T00:00:00Z"),
        ("severity", "error"),
        ("severity", "info"),
        ("details.b", "2"),
    ]);
    let params = a.unwrap().params();
    assert_eq!(params, b.unwrap().params());
    let texts: Vec<_> = params
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    assert_eq!(
        texts.join("&"),
        "start_date=2026-11-20&end_date=2026-11-21&severity=error&severity=info&details.a=1&details.b=2"
    );
    assert_eq!(Filter::parse(params.clone()).unwrap().params(), params);
    assert!(
        !parse(&[("start_date", "2026-11-20"), ("event_type", "*")])
            .unwrap()
            .has_field_filters()
    );
    assert!(parse(&[("q", "x")]).unwrap().has_field_filters());
}
