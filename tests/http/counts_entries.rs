//! Counts over HTTP: `GET /stats`.

use axum::{Router, http::header};
use serde_json::{Value, json};
use tracing_audit::http::{RouterOptions, Scope};

use crate::http::{Served, open, record_one, served, token, write};

/// A log of 40 entries, 20 of each of two tenants, by ten actors.
fn log() -> Served {
    served(40, RouterOptions::new())
}

async fn stats(served: &Served, query: &str) -> Value {
    let answer = served.get(&format!("/audit/stats?{query}")).await;
    assert_eq!(answer.status, 200, "{query}");
    assert_eq!(answer.header(header::CONTENT_TYPE), "application/json");
    answer.json()
}

#[tokio::test]
async fn entries_are_counted_over_time_and_by_values() {
    let served = log();
    let all = stats(&served, "step=year&top=3").await;
    assert_eq!((&all["total"], &all["exact"]), (&json!(40), &json!(true)));
    assert_eq!(all["scanned"]["problems"], json!([]));
    assert_eq!(all["complete_until"].as_str().map(str::len), Some(27));
    let year = &all["steps"][0];
    assert_eq!(year["start"], all["start"]);
    assert_eq!(
        year["severity"],
        json!({"info": 40, "warning": 0, "error": 0, "critical": 0})
    );
    assert_eq!(
        year["outcome"],
        json!({"success": 40, "failure": 0, "unknown": 0})
    );
    let value = |value: &str, count: u64| json!({"value": value, "count": count});
    let actors = [value("user-0", 4), value("user-1", 4), value("user-2", 4)];
    assert_eq!(
        all["top"]["actor"],
        json!({"values": actors, "other": 28, "without": 0, "distinct": 10})
    );
    assert_eq!(
        all["top"]["ip_address"],
        json!({"values": [], "other": 0, "without": 40, "distinct": 0})
    );
    assert_eq!(
        all["top"]["event_type"]["values"],
        json!([value("invoice.sent", 40)])
    );

    let chosen = stats(&served, "step=year&top=3&fields=actor,severity").await;
    let names = |stats: &Value| Vec::from_iter(stats["top"].as_object().unwrap().keys().cloned());
    assert_eq!(names(&chosen), ["actor", "severity"]);
    assert_eq!(chosen["top"]["actor"], all["top"]["actor"]);
    let alone = stats(&served, "step=year&top=0").await;
    assert_eq!(
        (&alone["steps"], &alone["top"]),
        (&all["steps"], &json!({}))
    );

    let few = stats(&served, "actor=user-3&actor=user-4").await;
    assert_eq!((&few["total"], &few["step"]), (&json!(8), &json!("minute")));
    // Steps of seconds have to be asked for.
    let seconds = stats(&served, "step=10-seconds&top=0").await;
    assert_eq!(seconds["step"], "10-seconds");
    let steps = seconds["steps"].as_array().unwrap().iter();
    let counts = steps.map(|step| step["count"].as_u64().unwrap());
    assert_eq!(counts.sum::<u64>(), 40);
}

#[tokio::test]
async fn each_count_is_recorded_and_not_counted_itself() {
    let served = log();
    for _ in 0..2 {
        assert_eq!(stats(&served, "top=5").await["total"], 40);
    }
    let access = served.accesses(2).remove(0);
    assert_eq!(access["event_type"], "audit.access.read");
    assert_eq!(access["details"]["path"], "/audit/stats");
    assert_eq!(access["details"]["parameters"], json!({"top": "5"}));
    assert_eq!(access["details"]["counted"], 40);
    let with = stats(&served, "include=access").await;
    assert!(with["total"].as_u64() >= Some(42), "{with}");
}

#[tokio::test]
async fn a_wrong_parameter_is_named() {
    let served = log();
    for (query, parameter) in [
        ("step=week", "step"),
        ("top=-1", "top"),
        ("fields=actor,door", "fields"),
        ("top=101", "top"),
        ("top=1&top=2", "top"),
        ("include=all", "include"),
        ("limit=5", "limit"),
        ("severity=loud", "severity"),
        (
            "step=minute&start_date=2020-01-01&end_date=2020-01-31",
            "step",
        ),
    ] {
        let problem = served
            .get(&format!("/audit/stats?{query}"))
            .await
            .problem(400);
        assert_eq!(problem["parameter"], parameter, "{query}");
    }
    assert_eq!(
        stats(&served, "event_type=invoice.paid").await["hints"],
        json!(["no event type is named invoice.paid; there is invoice.sent"])
    );
}

#[tokio::test]
async fn a_tenant_gets_its_own_counts_and_learns_nothing_of_others() {
    let mut served = log();
    served.token = token(served.dir.path(), Scope::Read, Some("acme"));
    let own = stats(&served, "").await;
    assert_eq!((&own["total"], &own["exact"]), (&json!(20), &json!(true)));
    assert_eq!(own["top"]["actor"]["distinct"], 5);
    assert_eq!(own.get("scanned"), None);
    served
        .get("/audit/stats?tenant_id=globex")
        .await
        .problem(400);
}

#[tokio::test]
async fn sealed_and_live_entries_are_counted_once() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), 3_000);
    let log = open(dir.path());
    record_one(&log);
    let token = token(dir.path(), Scope::Read, None);
    let app = Router::new().nest("/audit", log.router(RouterOptions::new()).unwrap());
    let served = Served {
        log,
        app,
        token,
        dir,
    };
    for (query, files) in [("", 1), ("event_type=invoice.*", 3)] {
        let all = stats(&served, query).await;
        assert_eq!(all["total"], 3_001, "{query}");
        let read = all["scanned"]["files"].as_u64();
        assert!(read >= Some(files), "{query}: {}", all["scanned"]);
    }
}
