//! Flags whose value is a number.

use std::{
    fmt::Display,
    ops::{Bound, RangeBounds},
    str::FromStr,
};

/// Takes a whole number of this range. The error says which numbers can be given.
pub(super) fn number<T, R>(
    range: R,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static
where
    T: FromStr + PartialOrd + Display,
    R: RangeBounds<T> + Clone + Send + Sync + 'static,
{
    move |text| {
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| wanted(&range))
    }
}

fn wanted<T: Display>(range: &impl RangeBounds<T>) -> String {
    let least = match range.start_bound() {
        Bound::Included(least) => least.to_string(),
        Bound::Excluded(_) | Bound::Unbounded => "0".to_owned(),
    };
    match range.end_bound() {
        Bound::Included(most) => format!("give a whole number from {least} to {most}"),
        _ => format!("give a whole number, {least} or more"),
    }
}

/// Takes a number that may have a fraction.
pub(super) fn fraction(text: &str) -> Result<f64, String> {
    let number = text.parse().ok();
    number.ok_or_else(|| "give a number like 20 or 0.5".to_owned())
}
