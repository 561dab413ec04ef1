//! quick
#![allow(missing_docs, clippy::print_stdout, clippy::unwrap_used)]
use std::time::{Duration, Instant};
use tracing_audit::{AuditLog, audit};
use tracing_subscriber::prelude::*;
fn main() {
    let dir = std::env::args().nth(1).unwrap();
    let log = AuditLog::builder(dir).source("bench").open().unwrap();
    tracing_subscriber::registry().with(log.layer()).with(tracing_subscriber::EnvFilter::new("warn")).init();
    let mut t = Vec::with_capacity(2_000_000);
    let user = String::from("user-456"); let email = String::from("admin@company.com");
    let n: usize = std::env::args().nth(2).unwrap().parse().unwrap();
    let pace: u64 = std::env::args().nth(3).unwrap().parse().unwrap();
    let start = Instant::now();
    for i in 0..n {
        if pace > 0 { while start.elapsed() < Duration::from_nanos(i as u64 * pace) { std::hint::spin_loop() } }
        let a = Instant::now();
        audit!("discovery.scan.completed", actor.id = user, actor.name = email, resource.type = "scan", resource.id = "scan-789",
            ip_address = "192.0.2.50", mode = "full", duration_seconds = 45, vaults_scanned = 12, secrets_found = i, tenant_id = "acme", "Discovery scan completed successfully");
        t.push(a.elapsed().as_nanos() as u64);
    }
    let el = start.elapsed();
    t.sort();
    let p = |q: f64| t[((t.len() - 1) as f64 * q) as usize];
    println!("{:.0} ev/s p50 {} p90 {} p99 {} p99.9 {} max {}", n as f64 / el.as_secs_f64(), p(0.5), p(0.9), p(0.99), p(0.999), p(1.0));
    log.close().unwrap();
    println!("{:?}", log.counters());
}
