//! What a filter takes, what it refuses and says, and what it finds.

use super::*;
use crate::entry::scan::scan;

const LINE: &str = r#"{"stream":"billing-7f3a9c","seq":1,"id":"0193f2a4-7c1e-7d31-9f65-1f0f5b0c2c11","timestamp":"2026-11-21T23:59:59.999999Z","event_type":"auth.login.failed","category":"auth","action":"failed","severity":"warning","source":"billing","tenant_id":"acme","actor":{"type":"user","id":"u-1","name":"Ann \"A\" Müller"},"resource":{"type":"door","id":"d-2","name":"Front"},"outcome":{"type":"failure","reason":"authentication"},"description":"first\name C:\\temp","details":{"n":45,"ok":true,"none":null,"by":{"zone.a":"x y"},"list":[1]},"ip_address":"192.0.2.1","user_agent":"curl/8 \"x\"","context":{"session_id":"s-1","request_id":"r-1","trace_id":"t-1"}}"#;

fn parse(params: &[(&str, &str)]) -> Result<Filter> {
    Filter::parse(params.iter().copied())
}

fn is_candidate(filter: &Filter, line: Haystack<'_>) -> bool {
    let mut found = false;
    filter.each_candidate(line, &mut |_| found = true);
    found
}

fn finds(params: &[(&str, &str)]) -> bool {
    let filter = parse(params).unwrap();
    let matches = filter.matches(&scan(LINE.as_bytes()).unwrap());
    let (plain, lower) = (LINE.as_bytes(), LINE.to_ascii_lowercase());
    let lines = Haystack {
        plain,
        lower: lower.as_bytes(),
    };
    assert!(
        !matches || is_candidate(&filter, lines),
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
        ("actor", "u-1", "door"),
        ("actor", "user", "use"),
        ("actor_type", "user", "door"),
        ("resource_type", "door", "user"),
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
        ("ip_address", "192.0.2.99/24", "192.0.3.0/24"),
        ("ip_address", "192.0.0.0/14", "192.4.0.0/14"),
        ("ip_address", "0.0.0.0/0", "::/0"),
        ("ip_address", "::ffff:c000:0/112", "::ffff:c100:0/112"),
        ("session_id", "s-1", "r-1"),
        ("request_id", "r-1", "s-1"),
        ("trace_id", "t-1", "r-1"),
        ("user_agent", "curl/8 \"x\"", "curl/8"),
        ("q", "LOGIN.fail", "door"),
        ("q", "\"a\" MÜLLER", "warning"),
        ("q", "\nAME", "\\name"),
        ("q", "t\nA", "name"),
        ("q", "c:\\TEMP", "c:\\\\temp"),
        ("q", "front", "u-1\",\"name"),
        ("details.n", "45.0", "45.1"),
        ("details.n", "4.5e1", "4.5e2"),
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
fn a_repeated_parameter_wants_any_value_and_a_sign_excludes_one() {
    for (params, found) in [
        (&[("actor", "u-9"), ("actor", "u-1")][..], true),
        (&[("actor", "u-9"), ("actor", "u-8")], false),
        (&[("actor", "!u-9")], true),
        (&[("actor", "!u-1")], false),
        (&[("actor", "!user")], false),
        (&[("actor", "u-1"), ("actor", "!user")], false),
        (&[("actor", "!u-9"), ("actor", "!u-8")], true),
        (
            &[("event_type", "auth.*"), ("event_type", "!auth.login.*")],
            false,
        ),
        (&[("event_type", "*"), ("event_type", "!auth.logout")], true),
        (&[("tenant_id", "globex"), ("tenant_id", "acme")], true),
        (&[("outcome", "!failure")], false),
        (&[("outcome", "success"), ("outcome", "failure")], true),
        (
            &[("ip_address", "192.0.2.0/24"), ("ip_address", "!192.0.2.1")],
            false,
        ),
        (
            &[("ip_address", "2001:db8::/32"), ("ip_address", "192.0.2.1")],
            true,
        ),
        (&[("q", "nothing"), ("q", "FRONT")], true),
        (&[("q", "nothing"), ("q", "MÜLLER")], true),
        (&[("q", "!FRONT")], false),
        (&[("q", "!nothing")], true),
        (&[("details.n", "44"), ("details.n", "45")], true),
        (&[("details.n", "no number"), ("details.n", "45")], true),
        (&[("details.n", "null"), ("details.n", "44")], false),
        (&[("details.n", "!45")], false),
        (&[("details.absent", "!45")], true),
        (&[("details.none", "!null")], false),
        (&[("session_id", "!s-1"), ("request_id", "r-1")], false),
    ] {
        assert_eq!(finds(params), found, "{params:?}");
    }
}

fn matches(line: &str, params: &[(&str, &str)]) -> bool {
    let filter = parse(params).unwrap();
    let lower = line.to_ascii_lowercase();
    let lines = Haystack {
        plain: line.as_bytes(),
        lower: lower.as_bytes(),
    };
    let matches = filter.matches(&scan(line.as_bytes()).unwrap());
    assert!(!matches || is_candidate(&filter, lines), "{params:?}");
    matches
}

#[test]
fn an_entry_without_an_outcome_is_a_success() {
    let without = LINE.replace(
        r#""outcome":{"type":"failure","reason":"authentication"},"#,
        "",
    );
    assert!(matches(&without, &[("outcome", "success")]));
    assert!(matches(
        &without,
        &[("outcome", "unknown"), ("outcome", "success")]
    ));
    assert!(!matches(&without, &[("outcome", "failure")]));
    assert!(!matches(&without, &[("outcome", "!success")]));
    assert!(matches(&without, &[("outcome", "!failure")]));
}

#[test]
fn a_number_is_found_by_its_value_and_a_text_by_its_letters() {
    for (stored, asked, found) in [
        ("1", "1.0", true),
        ("1.0", "1", true),
        ("1e2", "100", true),
        ("0.05", "5e-2", true),
        ("-0.0", "0", true),
        ("-7", "7", false),
        ("12", "1", false),
        ("9007199254740993", "9007199254740992", false),
        (r#""1""#, "1", true),
        (r#""1""#, "1.0", false),
        (r#""1.0""#, "1.0", true),
        (r#""007""#, "007", true),
        ("7", "007", false),
        (r#""true""#, "true", true),
        ("[1]", "1", false),
    ] {
        let line = LINE.replace("45", stored);
        assert_eq!(
            matches(&line, &[("details.n", asked)]),
            found,
            "{asked} in {stored}"
        );
    }
}

#[test]
fn a_value_that_begins_with_the_sign_is_written_with_a_backslash() {
    for value in ["!important", "\\!x", "\\\\!x", "\\x", "\\", "plain", "a!b"] {
        let line = LINE.replace(
            "u-1",
            &serde_json::to_string(value).unwrap().replace('"', ""),
        );
        let literal = Filter::literal(value);
        assert!(matches(&line, &[("actor", &literal)]), "{value}");
        assert!(
            !matches(&line, &[("actor", &format!("!{literal}"))]),
            "{value}"
        );
        assert!(!matches(LINE, &[("actor", &literal)]), "{value}");
        let filter = parse(&[("actor", &literal)]).unwrap();
        assert_eq!(
            filter.params(),
            [("actor".to_owned(), literal.into_owned())]
        );
    }
    assert_eq!(Filter::literal("\\x"), "\\x");
}

#[test]
fn one_parameter_more_never_wants_more_entries() {
    let filter = || parse(&[("tenant_id", "acme"), ("event_type", "auth.*")]).unwrap();
    for (name, value) in [
        ("tenant_id", "globex"),
        ("tenant_id", "acme"),
        ("event_type", "*"),
    ] {
        let error = filter().with(name, value).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("{name}: it has a value already")),
            "{error}"
        );
    }
    let narrowed = filter().with("tenant_id", "!globex").unwrap();
    assert_eq!(narrowed.with("actor", "u-1").unwrap().params().len(), 4);
}

#[test]
fn what_is_wrong_is_said_with_what_to_write_instead() {
    let long = "x".repeat(1025);
    for (params, said) in [
        (
            vec![("start_date", "yesterday")],
            "start_date: \"yesterday\" must be a date like 2026-11-21 or an ISO 8601 instant",
        ),
        (vec![("end_date", "2026-02-30")], "end_date: "),
        (
            vec![("start_date", "2026-11-22"), ("end_date", "2026-11-21")],
            "start_date: the range from it to end_date is empty",
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
            vec![("actor", "!")],
            "actor: it is empty; give a value or leave it out",
        ),
        (
            vec![("actor", "!!a")],
            "actor: it begins with \"!!\"; write \"!\\!\" to exclude",
        ),
        (
            vec![("start_date", "2026-11-21"), ("start_date", "2026-11-21")],
            "start_date: it is given twice",
        ),
        (
            vec![("start_date", "2026-11-21T10:00:00 02:00")],
            "start_date: \"2026-11-21T10:00:00 02:00\" has a space where the + of its zone was",
        ),
        (
            vec![("ip_address", "localhost")],
            "ip_address: \"localhost\" must be an address like 192.0.2.1 or 2001:db8::1, or a",
        ),
        (
            vec![("event_type", "!*")],
            "event_type: \"!*\" excludes every entry",
        ),
        (
            vec![("event_type", "*"), ("event_type", "A")],
            "event_type: \"A\" must be lower",
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
    let same = [
        (
            &[("ip_address", "10.0.1.0/24"), ("ip_address", "10.0.0.9/16")][..],
            "ip_address=10.0.0.0/16",
        ),
        (
            &[("ip_address", "!::ffff:10.0.0.1/128")],
            "ip_address=!10.0.0.1",
        ),
        (
            &[
                ("event_type", "auth.login"),
                ("event_type", "!auth.logout"),
                ("event_type", "auth.*"),
            ],
            "event_type=auth.*&event_type=!auth.logout",
        ),
        (
            &[
                ("actor", "!b"),
                ("actor", "z"),
                ("actor", "!a"),
                ("actor", "\\!c"),
            ],
            "actor=\\!c&actor=z&actor=!a&actor=!b",
        ),
        (
            &[("end_date", "2026-11-21T23:59:59.9999999")],
            "end_date=2026-11-21",
        ),
    ];
    for (params, form) in same {
        let texts = parse(params).unwrap().params();
        let texts: Vec<_> = texts
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(texts.join("&"), form);
    }
    assert!(parse(&[("actor", "!x")]).unwrap().has_field_filters());
    assert!(
        !parse(&[("start_date", "2026-11-20"), ("event_type", "*")])
            .unwrap()
            .has_field_filters()
    );
    assert!(parse(&[("q", "x")]).unwrap().has_field_filters());
}

#[test]
fn only_lines_of_the_tenant_are_looked_at_whatever_others_have() {
    let own = LINE.replace("Front", "Back");
    let of_globex = LINE.replace("acme", "globex");
    let lines = [&*own, &of_globex, &of_globex, &own].join("\n") + "\n";
    let lower = lines.to_ascii_lowercase();
    let lines = Haystack {
        plain: lines.as_bytes(),
        lower: lower.as_bytes(),
    };
    let candidates = |params: &[(&str, &str)]| {
        let mut count = 0;
        parse(params)
            .unwrap()
            .each_candidate(lines, &mut |_| count += 1);
        count
    };
    for (name, value) in [
        ("q", "FRONT"),
        ("resource", "Front"),
        ("resource", "nowhere"),
    ] {
        let of = |tenant| candidates(&[("tenant_id", tenant), (name, value)]);
        let of_others = if value == "nowhere" { 0 } else { 2 };
        assert_eq!((of("acme"), of("globex")), (0, of_others), "{name}={value}");
    }
    let both = [("tenant_id", "acme"), ("tenant_id", "globex")];
    assert_eq!(candidates(&[both[0]]), 2);
    assert_eq!(candidates(&[both[0], both[1], ("q", "back")]), 2);
    assert_eq!(candidates(&[("q", "back")]), 2);
    assert_eq!(candidates(&[]), 4);
}
