use std::{future::Future, pin::Pin};

use tracing_audit::audited;

#[audited("report")]
fn passed_on(number: u8) -> impl Future<Output = u8> {
    std::future::ready(number)
}

#[audited("report")]
fn boxed(number: u8) -> Pin<Box<dyn Future<Output = u8> + Send>> {
    let future = async move { number };
    Box::pin(future)
}

fn main() {}
