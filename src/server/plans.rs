//! The plans of the last downloads, by which one that was cut off is resumed.
//!
//! The log goes on, if only with the entry about the download, so a later plan of today would be
//! another file. And a past day changes when retention takes a part of it. So plans are kept for
//! some minutes, and the tags of what was given for much longer: a range is honoured only if it is
//! sure which file the client has the first bytes of.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use sha2::{Digest as _, Sha256};

use crate::export::pieces::Download;

/// How many plans are kept, and for how long after their last use.
const KEPT: usize = 8;
const KEPT_FOR: Duration = Duration::from_secs(15 * 60);
/// Of how many downloads the tags are remembered.
const REMEMBERED: usize = 1024;

/// A planned file.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    pub(super) file: Arc<Download>,
    pub(super) lines: u64,
    /// The same parameters give the same file again, unless retention takes a part of it.
    pub(super) fixed: bool,
}

impl Planned {
    pub(super) fn etag(&self) -> String {
        format!("\"{}\"", self.file.etag())
    }
}

/// The plans of the last downloads, and what was given.
#[derive(Debug, Default)]
pub(super) struct Plans {
    kept: Mutex<VecDeque<Kept>>,
    given: Mutex<Given>,
}

#[derive(Debug)]
struct Kept {
    /// The parameters of the download: a tag alone gives no access.
    question: String,
    planned: Planned,
    used: Instant,
}

/// By question: the tag of the file that was given, or `None` if there were several.
#[derive(Debug, Default)]
struct Given {
    tags: HashMap<[u8; 32], Option<String>>,
    /// The oldest first.
    questions: VecDeque<[u8; 32]>,
}

impl Plans {
    /// The plan that this tag stands for.
    pub(super) fn find(&self, question: &str, etag: &str) -> Option<Planned> {
        let mut plans = lock(&self.kept);
        plans.retain(|kept| kept.used.elapsed() < KEPT_FOR);
        let kept = plans
            .iter_mut()
            .find(|kept| kept.question == question && kept.planned.etag() == etag)?;
        kept.used = Instant::now();
        Some(kept.planned.clone())
    }

    pub(super) fn keep(&self, question: String, planned: Planned) {
        let mut plans = lock(&self.kept);
        plans.retain(|kept| {
            kept.used.elapsed() < KEPT_FOR && kept.planned.file.etag() != planned.file.etag()
        });
        if plans.len() >= KEPT {
            plans.pop_front();
        }
        plans.push_back(Kept {
            question,
            planned,
            used: Instant::now(),
        });
    }

    /// Drops a plan that can't be carried out any more.
    pub(super) fn forget(&self, planned: &Planned) {
        let etag = planned.file.etag();
        lock(&self.kept).retain(|kept| kept.planned.file.etag() != etag);
    }

    /// Whether the file with this tag is the only one that was given for this question.
    pub(super) fn gave_only(&self, question: &str, etag: &str) -> bool {
        let given = lock(&self.given);
        given.tags.get(&hash(question)) == Some(&Some(etag.to_owned()))
    }

    /// Notes that the file with this tag is given.
    pub(super) fn give(&self, question: &str, etag: &str) {
        let question = hash(question);
        let mut given = lock(&self.given);
        if let Some(before) = given.tags.get_mut(&question) {
            if before.as_deref() != Some(etag) {
                *before = None;
            }
            return;
        }
        if given.questions.len() >= REMEMBERED
            && let Some(oldest) = given.questions.pop_front()
        {
            given.tags.remove(&oldest);
        }
        given.questions.push_back(question);
        given.tags.insert(question, Some(etag.to_owned()));
    }
}

/// A question may be long.
fn hash(question: &str) -> [u8; 32] {
    Sha256::digest(question).into()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_that_had_two_answers_is_never_sure_again() {
        let plans = Plans::default();
        assert!(!plans.gave_only("a", "1"));
        plans.give("a", "1");
        plans.give("a", "1");
        assert!(plans.gave_only("a", "1") && !plans.gave_only("a", "2"));
        plans.give("a", "2");
        plans.give("a", "2");
        assert!(!plans.gave_only("a", "1") && !plans.gave_only("a", "2"));
        for n in 0..REMEMBERED {
            plans.give(&n.to_string(), "1");
        }
        assert!(plans.gave_only("0", "1"));
        plans.give("b", "1");
        assert!(!plans.gave_only("0", "1"), "the oldest is forgotten");
        assert_eq!(lock(&plans.given).tags.len(), REMEMBERED);
    }
}
