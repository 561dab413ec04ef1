//! A living child of `fork` holds no lock of the dispatcher, whenever it was forked: the parent
//! goes on giving up deliveries that fail.

use crate::{
    forking::fork,
    receiver::Receiver,
    support::{HANGS, builder, is_apart, wait_for},
};
use tracing_audit::{audit, webhook::Webhook};
use tracing_subscriber::prelude::*;

const EVENTS: u64 = 300;
const CHILDREN: usize = 50;

#[test]
fn dead_letters_are_written_while_children_live() {
    if !is_apart(
        module_path!(),
        "dead_letters_are_written_while_children_live",
    ) {
        return;
    }
    // A problem with one request says nothing about others, so each is tried at once.
    let receiver = Receiver::saying(422);
    let dir = tempfile::tempdir().unwrap();
    let log = builder(dir.path()).open().unwrap();
    let webhook = Webhook::new("test", &receiver.url, ["order.*"])
        .allow_http()
        .egress(["loopback"])
        .schedule([0]);
    log.webhooks().add(webhook).unwrap();
    let dispatcher = log.webhooks().run().unwrap();
    let subscriber = tracing_subscriber::registry().with(log.layer());
    tracing::subscriber::with_default(subscriber, || {
        for n in 0..EVENTS {
            audit!("order.placed", n);
        }
    });
    // The children live until this test ends.
    let mut children = Vec::new();
    wait_for("all are given up", || {
        if receiver.count() > 0 && children.len() < CHILDREN {
            children.push(fork(|| std::thread::sleep(HANGS)));
        }
        let report = log.webhooks().get("test").unwrap().unwrap();
        match report.status.dead_lettered {
            EVENTS => Ok(()),
            _ => Err(Box::new(report.status)),
        }
    });
    assert!(!children.is_empty());
    drop(dispatcher);
    log.close().unwrap();
}
