//! The signal to stop, which carries the instant until which attempts under way may end.

use std::time::Duration;

use tokio::{sync::watch, time::Instant};

/// Stopping takes so long at most. Programs that end processes rarely wait more than ten seconds.
pub(super) const STOP_WITHIN: Duration = Duration::from_secs(5);

/// The side that is told to stop: `None` until then.
pub(super) type Stop = watch::Receiver<Option<Instant>>;
/// The side that tells it.
pub(super) type Stopper = watch::Sender<Option<Instant>>;

/// The instant until which attempts may end if stopping may take `within`. The rest of that time is
/// for saving their outcomes.
pub(super) fn attempts_end(within: Duration) -> Instant {
    Instant::now() + within / 5 * 4
}
