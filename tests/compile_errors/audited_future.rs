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

#[audited("report")]
fn denied(number: u8) -> Pin<Box<dyn Future<Output = u8> + Send>> {
    if number == 0 {
        return Box::pin(std::future::ready(0));
    }
    Box::pin(async move { number })
}

macro_rules! passed_on {
    ($type:ty) => {
        #[audited("report")]
        fn typed() -> $type {
            let future = async move { 1 };
            Box::pin(future)
        }
    };
}

passed_on!(Pin<Box<dyn Future<Output = u8>>>);

fn main() {}
