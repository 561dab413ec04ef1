use serde_json::json;

use super::*;

fn site<'a>(event_type: &'a str, fields: &'a str) -> Described<'a> {
    Described {
        event_type,
        severity: Severity::Info,
        description: "Did <it> | so",
        fields,
        file: "src/a.rs",
        line: 7,
        module: "a",
    }
}

#[test]
fn calls_of_one_type_are_one_entry() {
    let warning = Described {
        severity: Severity::Warning,
        description: "",
        line: 9,
        ..site("a.b", "details.n number\ndetails.x list")
    };
    let sites = [
        site("b.c", ""),
        site("a.b", "details.n integer\nactor.id text\ndetails.x text"),
        warning,
    ];
    let catalogue = Catalogue::gather(sites.into_iter(), None);
    assert_eq!(
        catalogue
            .iter()
            .map(CatalogueEntry::event_type)
            .collect::<Vec<_>>(),
        ["a.b", "b.c"]
    );
    let entry = catalogue.get("a.b").unwrap();
    assert_eq!(
        entry.severities().collect::<Vec<_>>(),
        [Severity::Info, Severity::Warning]
    );
    let fields: Vec<_> = entry.fields().collect();
    assert_eq!(
        fields,
        [
            ("actor.id", FieldKind::Text),
            ("details.n", FieldKind::Number),
            ("details.x", FieldKind::Any)
        ]
    );
    assert_eq!(
        entry
            .locations()
            .map(|place| place.line)
            .collect::<Vec<_>>(),
        [7, 9]
    );
    let read: Catalogue =
        serde_json::from_str(&serde_json::to_string(&catalogue).unwrap()).unwrap();
    assert_eq!(read, catalogue);
    assert!(catalogue.to_markdown().contains(
        "| `a.b` | info, warning | Did &lt;it> \\| so | `actor.id` text, `details.n` number"
    ));
}

#[test]
fn what_breaks_readers_is_said() {
    let of = |sites: &[(&'static str, &'static str)]| {
        Catalogue::gather(sites.iter().map(|(kind, fields)| site(kind, fields)), None)
    };
    let old = of(&[
        ("a.gone", ""),
        (
            "a.b",
            "details.n integer\ndetails.any any\ndetails.gone text\ndetails.num number",
        ),
    ]);
    let new = of(&[
        (
            "a.b",
            "details.n text\ndetails.any text\ndetails.new text\ndetails.num integer",
        ),
        ("a.new", ""),
    ]);
    let expected = [
        "a.b: the field details.gone is gone",
        "a.b: the field details.n was integer and is text",
        "a.gone: the event type is gone",
    ];
    assert_eq!(old.breaking_changes(&new), expected);
    assert!(new.breaking_changes(&new).is_empty());
}

#[test]
fn a_schema_has_the_fields_where_they_are() {
    let catalogue = Catalogue::gather(
        [site(
            "a.b",
            "details.a.b integer\ndetails.a.c text\ntags list",
        )]
        .into_iter(),
        None,
    );
    let schema = catalogue.get("a.b").unwrap().json_schema();
    assert_eq!(schema["properties"]["event_type"], json!({"const": "a.b"}));
    assert_eq!(
        schema["properties"]["details"]["properties"]["a"]["properties"]["b"],
        json!({"type": "integer"})
    );
    assert_eq!(schema["properties"]["tags"], json!({"type": "array"}));
}

#[test]
fn a_field_that_looks_like_a_secret_is_marked() {
    let fields = [
        "actor.name text hashed",
        "actor.attributes.pin integer",
        "details.email text masked",
        "details.jwt any clear",
        "details.note any",
        "details.note_id any",
        "details.password.length integer",
        "details.token text masked",
        "details.token_count integer",
    ]
    .join("\n");
    let gather = |names| {
        Catalogue::gather(
            [site("a.b", &fields), site("b.c", &fields)].into_iter(),
            names,
        )
    };
    let forms = |catalogue: &Catalogue| {
        let entry = catalogue.get("a.b").unwrap();
        let forms = entry.looks_secret.iter();
        forms
            .map(|(path, form)| format!("{path} {} {form}", entry.fields[path]))
            .collect::<Vec<_>>()
    };
    let plain = gather(None);
    assert_eq!(
        forms(&plain),
        [
            "actor.attributes.pin text redacted",
            "details.jwt any clear",
            "details.password.length text redacted",
            "details.token text masked",
        ]
    );
    let owned = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Vec<_>>()
    };
    let names = FieldNames::leak(&owned(&["note", "email", "name"]), &owned(&["pin"])).unwrap();
    assert_eq!(
        forms(&gather(names)),
        [
            "actor.attributes.pin integer clear",
            "details.email text masked",
            "details.jwt any clear",
            "details.note text redacted",
            "details.password.length text redacted",
            "details.token text masked",
        ]
    );
    // Where calls differ, the mark says what shows the most.
    let both = [
        site("a.b", "details.pin any"),
        site("a.b", "details.pin text hashed"),
    ];
    let both = Catalogue::gather(both.into_iter(), None);
    assert_eq!(forms(&both), ["details.pin text hashed"]);

    let schema = plain.get("a.b").unwrap().json_schema();
    let details = &schema["properties"]["details"]["properties"];
    assert_eq!(
        details["token"],
        json!({"type": "string", "looks_secret": true, "recorded": "masked"})
    );
    assert_eq!(details["token_count"], json!({"type": "integer"}));
    let row = plain.to_markdown();
    assert!(
        row.contains("`details.token` text (looks secret: masked), "),
        "{row}"
    );
    let read: Catalogue = serde_json::from_value(json!(plain)).unwrap();
    assert_eq!(read, plain);
    assert_eq!(json!(plain)[0]["looks_secret"]["details.jwt"], "clear");
}
