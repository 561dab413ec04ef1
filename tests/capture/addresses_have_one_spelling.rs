//! Equal addresses are equal texts in the log, however the application spells them.

use std::net::{IpAddr, Ipv6Addr};

use tracing_audit::{AuditContext, AuditEvent, audit, audit_context, audited};

/// How each is given, and how it is stored.
const SPELLINGS: [(&str, &str); 16] = [
    ("192.0.2.1", "192.0.2.1"),
    ("2001:DB8::1", "2001:db8::1"),
    ("2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8::1"),
    ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
    ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
    ("::ffff:192.0.2.1", "192.0.2.1"),
    ("::FFFF:C000:0201", "192.0.2.1"),
    (
        "0000:0000:0000:0000:0000:ffff:255.255.255.255",
        "255.255.255.255",
    ),
    ("0:0:0:0:0:0:0:0", "::"),
    ("::0001", "::1"),
    // No addresses.
    ("192.0.2.1:443", "192.0.2.1:443"),
    ("[2001:DB8::1]", "[2001:DB8::1]"),
    ("FE80::1%eth0", "FE80::1%eth0"),
    ("2001:DB8::/32", "2001:DB8::/32"),
    ("unknown: \"A\"", "unknown: \"A\""),
    ("", ""),
];

fn addresses(act: impl FnOnce()) -> Vec<String> {
    crate::recorded(act)
        .iter()
        .map(|record| record["ip_address"].as_str().unwrap().to_owned())
        .collect()
}

#[derive(AuditEvent)]
#[audit("door.opened")]
struct Opened<'a> {
    ip_address: &'a str,
}

#[audited("door", ip_address = from, skip_started)]
fn open(from: &str) {}

#[test]
fn by_every_way_into_an_entry() {
    for (given, stored) in SPELLINGS {
        let found = addresses(|| {
            audit!("door.opened", ip_address = given);
            audit!("door.opened", ip_address = %given);
            audit!(Opened { ip_address: given });
            open(given);
            tracing::info!(target: "audit", event_type = "door.opened", ip_address = given);
            let context = audit_context! { ip_address = given };
            context.clone().run(|| audit!("door.opened"));
            context.run(|| AuditContext::current().run(|| audit!("door.opened")));
            AuditContext::new()
                .ip_address(given)
                .run(|| audit!("door.opened"));
            tracing::info_span!("request", client.address = given)
                .in_scope(|| audit!("door.opened"));
            let span = tracing::info_span!("request", ip_address = tracing::field::Empty);
            span.record("ip_address", tracing::field::debug(format_args!("{given}")));
            span.in_scope(|| tracing::info!(target: "audit", event_type = "door.opened"));
        });
        assert_eq!(found, vec![stored; 10], "{given}");
    }
}

#[test]
fn of_every_type() {
    let mapped: Ipv6Addr = "::ffff:192.0.2.1".parse().unwrap();
    let found = addresses(|| {
        audit!("door.opened", ip_address = mapped);
        audit!("door.opened", ip_address = ?IpAddr::V6(mapped));
        audit!("door.opened", ip_address = "::FFFF:192.0.2.1");
        audit!("door.opened", ip_address = 7);
        audit_context! { ip_address = %mapped }
            .run(|| audit!("door.opened", ip_address = None::<&str>));
        // Only the field that is an address.
        audit_context! { ip_address = "::1", context.host = "2001:DB8::1" }
            .run(|| audit!("door.opened"));
    });
    assert_eq!(
        found,
        [
            "192.0.2.1",
            "192.0.2.1",
            "192.0.2.1",
            "7",
            "192.0.2.1",
            "::1"
        ]
    );
}
