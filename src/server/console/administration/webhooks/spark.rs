//! The last answers of a receiver as a small drawing: a bar for each, the higher the longer the
//! answer took. The bar of a failed attempt has another colour and stands on a mark.

use std::fmt::Write as _;

use crate::{server::console::text::number, webhook::Attempt};

/// How many of the last attempts are drawn.
const LAST: usize = 20;
/// The height of the drawing, and of its lowest bar; the marks are below the bars.
const HEIGHT: u64 = 16;
const LOWEST: u64 = 3;
/// The width of a bar with the space after it, and without.
const STEP: usize = 5;
const WIDTH: usize = 4;

/// The drawing, as the data of two paths.
pub(super) struct Spark {
    pub(super) taken: String,
    pub(super) not_taken: String,
    pub(super) width: usize,
    /// The drawing in words.
    pub(super) words: String,
}

impl Spark {
    /// The attempts are the newest first; the drawing ends with the newest. `None` without any.
    pub(super) fn new(attempts: &[Attempt]) -> Option<Self> {
        let last = &attempts[..attempts.len().min(LAST)];
        let slowest = last.iter().map(|attempt| attempt.took_ms).max()?;
        let mut spark = Self {
            taken: String::new(),
            not_taken: String::new(),
            width: last.len() * STEP - (STEP - WIDTH),
            words: words(last, slowest),
        };
        for (at, attempt) in last.iter().rev().enumerate() {
            let left = at * STEP;
            let height = LOWEST + attempt.took_ms * (HEIGHT - LOWEST) / slowest.max(1);
            let top = HEIGHT - height;
            let path = match attempt.delivered {
                true => &mut spark.taken,
                false => &mut spark.not_taken,
            };
            // Writing to a String can't fail.
            let _ = write!(path, "M{left} {top}h{WIDTH}v{height}h-{WIDTH}z");
            if !attempt.delivered {
                let _ = write!(path, "M{left} {}h{WIDTH}v2h-{WIDTH}z", HEIGHT + 2);
            }
        }
        Some(spark)
    }
}

fn words(last: &[Attempt], slowest: u64) -> String {
    let taken = last.iter().filter(|attempt| attempt.delivered).count();
    let of = last.len();
    format!(
        "{taken} of the last {of} attempts succeeded; the slowest took {} ms",
        number(slowest)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(took_ms: u64, delivered: bool) -> Attempt {
        serde_json::from_value(serde_json::json!({
            "delivery_id": "msg_1", "ended": "2025-01-15T10:31:00Z", "took_ms": took_ms,
            "attempt": 1, "entries": 1, "first_entry_id": "", "delivered": delivered, "result": "",
        }))
        .unwrap()
    }

    #[test]
    fn the_newest_attempt_is_the_last_bar_and_the_slowest_the_highest() {
        assert!(Spark::new(&[]).is_none());
        let spark = Spark::new(&[attempt(0, false), attempt(100, true)]).unwrap();
        assert_eq!(spark.taken, "M0 0h4v16h-4z");
        assert_eq!(spark.not_taken, "M5 13h4v3h-4zM5 18h4v2h-4z");
        assert_eq!(spark.width, 9);
        assert_eq!(
            spark.words,
            "1 of the last 2 attempts succeeded; the slowest took 100 ms"
        );
        let many: Vec<_> = (0..99).map(|_| attempt(u64::MAX / 100, true)).collect();
        assert_eq!(Spark::new(&many).unwrap().width, 99);
        assert!(Spark::new(&[attempt(0, true)]).is_some());
    }
}
