//! A day is listed when it has changed, and not else.

use std::sync::Mutex;

use super::*;
use crate::{
    entry::Timestamp,
    store::{
        blob::Blob,
        blooms::Blooms,
        index::{Index, Key},
        samples::stem,
    },
};

/// Sealed files that say which of their directories were listed.
#[derive(Debug, Default)]
struct Listed(Mutex<Content>);

#[derive(Debug, Default)]
struct Content {
    days: BTreeMap<Day, Vec<FileStem>>,
    stamps: BTreeMap<Option<Day>, i64>,
    refused: Option<Day>,
    listings: Vec<Option<Day>>,
}

impl Listed {
    fn add(&self, stem: FileStem) {
        let mut content = self.0.lock().unwrap();
        let day = stem.day();
        if !content.days.contains_key(&day) {
            *content.stamps.entry(None).or_default() += 1;
        }
        *content.stamps.entry(Some(day)).or_default() += 1;
        let stems = content.days.entry(day).or_default();
        stems.push(stem);
        stems.sort_unstable();
    }

    fn remove(&self, stem: &FileStem) {
        let mut content = self.0.lock().unwrap();
        *content.stamps.entry(Some(stem.day())).or_default() += 1;
        let stems = content.days.get_mut(&stem.day()).unwrap();
        stems.retain(|other| other != stem);
    }

    /// The days that were listed since the last call of this, the list of days as `None`.
    fn take(&self) -> Vec<Option<Day>> {
        std::mem::take(&mut self.0.lock().unwrap().listings)
    }
}

impl SealedFiles for Listed {
    fn days(&self) -> Result<Vec<Day>> {
        let mut content = self.0.lock().unwrap();
        content.listings.push(None);
        Ok(content.days.keys().copied().collect())
    }

    fn list(&self, day: Day) -> Result<Vec<FileStem>> {
        let mut content = self.0.lock().unwrap();
        content.listings.push(Some(day));
        if content.refused == Some(day) {
            return Err(Error::io("list", "a day")(
                std::io::ErrorKind::PermissionDenied.into(),
            ));
        }
        Ok(content.days.get(&day).cloned().unwrap_or_default())
    }

    fn stamp(&self, day: Option<Day>) -> Option<Stamp> {
        let content = self.0.lock().unwrap();
        let time = content.stamps.get(&day).copied()?;
        Some(stamp(time))
    }

    fn open(&self, _: &FileStem) -> Result<std::sync::Arc<dyn Blob>> {
        unreachable!("nothing is opened")
    }

    fn index(&self, _: &FileStem) -> Result<Option<Index>> {
        unreachable!("nothing is opened")
    }

    fn blooms(&self, _: &Index, _: Key) -> Result<Blooms> {
        unreachable!("nothing is opened")
    }
}

fn stamp(time: i64) -> Stamp {
    Stamp {
        device: 1,
        inode: 1,
        times: [time; 4],
    }
}

fn day_of(day: i64) -> FileStem {
    FileStem {
        born: Timestamp::from_micros(day * 86_400_000_000),
        ..stem(u32::try_from(day).unwrap() + 1)
    }
}

fn another(day: i64, number: u32) -> FileStem {
    FileStem {
        number,
        ..day_of(day)
    }
}

/// Makes what was listed old enough to be settled at the next look.
fn age(days: &mut Days) {
    let then = Instant::now().checked_sub(STEP).unwrap();
    let directories = days.days.values_mut().map(|of_day| &mut of_day.directory);
    for directory in directories.chain([&mut days.root]) {
        directory.seen = directory.seen.map(|(stamp, _)| (stamp, then));
    }
}

fn settle(days: &mut Days, sealed: &Listed) {
    age(days);
    days.since(sealed, None).unwrap();
    sealed.take();
}

fn five_days() -> Listed {
    let sealed = Listed::default();
    (0..5).for_each(|day| sealed.add(day_of(day)));
    sealed
}

#[test]
fn a_question_lists_again_what_has_changed() {
    let sealed = five_days();
    let mut days = Days::default();
    assert_eq!(days.since(&sealed, None).unwrap().len(), 5);
    assert_eq!(sealed.take().len(), 6);
    // What came in the same step of time changes no stamp.
    days.since(&sealed, None).unwrap();
    assert_eq!(sealed.take().len(), 6);
    settle(&mut days, &sealed);
    for _ in 0..20 {
        assert_eq!(days.since(&sealed, None).unwrap().len(), 5);
    }
    assert_eq!(sealed.take(), []);
    sealed.add(another(2, 9));
    sealed.remove(&day_of(3));
    // Days before the first that is asked for are not looked at.
    assert_eq!(days.since(&sealed, Some(day_of(4).day())).unwrap().len(), 1);
    assert_eq!(sealed.take(), []);
    let found = days.since(&sealed, None).unwrap();
    assert!(found.contains(&another(2, 9)) && !found.contains(&day_of(3)));
    assert_eq!(
        sealed.take(),
        [Some(day_of(2).day()), Some(day_of(3).day())]
    );
    assert_eq!(days.take_gone(), [day_of(3)]);
    assert_eq!(days.take_gone(), []);
    settle(&mut days, &sealed);
    sealed.add(day_of(7));
    assert!(days.since(&sealed, None).unwrap().contains(&day_of(7)));
    assert_eq!(sealed.take(), [None, Some(day_of(7).day())]);
}

#[test]
fn followers_share_what_was_listed() {
    let sealed = five_days();
    let mut days = Days::default();
    let mut followers = [Seen::default(), Seen::default()];
    for seen in &mut followers {
        assert_eq!(days.came(&sealed, seen, true).unwrap().files.len(), 5);
    }
    settle(&mut days, &sealed);
    sealed.add(another(2, 9));
    let both = [day_of(2), another(2, 9)];
    for seen in &mut followers {
        // Not every few milliseconds.
        assert_eq!(days.came(&sealed, seen, false).unwrap().files, []);
    }
    assert_eq!(sealed.take(), []);
    days.looked = None;
    for seen in &mut followers {
        assert_eq!(days.came(&sealed, seen, false).unwrap().files, both);
        assert_eq!(days.came(&sealed, seen, false).unwrap().files, []);
    }
    assert_eq!(sealed.take(), [Some(day_of(2).day())], "once for both");
    sealed.add(another(3, 9));
    // One that misses something looks at once; what a question finds is found for all.
    let found = days.came(&sealed, &mut followers[0], true).unwrap();
    assert_eq!(found.files, [day_of(3), another(3, 9)]);
    sealed.take();
    let found = days.came(&sealed, &mut followers[1], false).unwrap();
    assert_eq!(found.files, [day_of(3), another(3, 9)]);
    assert_eq!(sealed.take(), []);
}

#[test]
fn a_day_that_cannot_be_listed_is_told_once_and_holds_up_no_other() {
    let sealed = five_days();
    let mut days = Days::default();
    let mut seen = Seen::default();
    let refused = day_of(2).day();
    sealed.0.lock().unwrap().refused = Some(refused);
    assert!(days.since(&sealed, None).is_err());
    assert_eq!(days.since(&sealed, Some(day_of(3).day())).unwrap().len(), 2);
    let came = days.came(&sealed, &mut seen, true).unwrap();
    assert_eq!(came.files.len(), 4);
    assert_eq!(came.refused.len(), 1);
    assert!(seen.is_blind());
    assert_eq!(days.came(&sealed, &mut seen, false).unwrap().refused, []);
    sealed.0.lock().unwrap().refused = None;
    let came = days.came(&sealed, &mut seen, false).unwrap();
    assert_eq!(came.files, [day_of(2)], "it is tried again on each look");
    assert!(!seen.is_blind());
}

#[test]
fn no_more_names_are_held_than_are_allowed() {
    let sealed = Listed::default();
    for day in 0..3 {
        let stems = (1..=HELD as u32 / 2).map(|number| another(day, number));
        sealed
            .0
            .lock()
            .unwrap()
            .days
            .insert(day_of(day).day(), stems.collect());
        for stamped in [None, Some(day_of(day).day())] {
            sealed.0.lock().unwrap().stamps.insert(stamped, 1);
        }
    }
    let mut days = Days::default();
    let mut seen = Seen::default();
    assert_eq!(
        days.came(&sealed, &mut seen, true).unwrap().files.len(),
        HELD / 2 * 3
    );
    settle(&mut days, &sealed);
    days.came(&sealed, &mut seen, false).unwrap();
    sealed.take();
    let held = |days: &Days| {
        days.days
            .values()
            .filter(|of_day| of_day.stems.is_some())
            .count()
    };
    assert_eq!(held(&days), 2);
    assert_eq!(days.since(&sealed, None).unwrap().len(), HELD / 2 * 3);
    assert_eq!(
        sealed.take(),
        [Some(day_of(0).day())],
        "the oldest are listed for each question"
    );
    assert_eq!(held(&days), 2);
    let came = days.came(&sealed, &mut seen, true).unwrap();
    assert_eq!(
        (came.files.len(), sealed.take()),
        (0, vec![]),
        "and not for followers"
    );
}

#[test]
fn what_came_in_the_step_of_time_of_a_listing_is_looked_for_once_more() {
    let start = Instant::now();
    let mut directory = Directory::default();
    let after = |millis| start + Duration::from_millis(millis);
    let (first, later) = (Some(stamp(5)), Some(stamp(6)));
    assert!(directory.is_to_list(first, start, false));
    assert!(
        !directory.is_to_list(first, after(100), false),
        "not on each look"
    );
    assert!(
        directory.is_to_list(first, after(200), true),
        "but where something is missing"
    );
    assert!(
        directory.is_to_list(first, after(3100), false),
        "no more comes with this time"
    );
    assert!(!directory.is_to_list(first, after(3200), true));
    assert!(directory.is_to_list(later, after(3300), false));
    let set_back = directory.is_to_list(first, after(3400), false);
    assert!(set_back, "also if the clock was set back");
    for _ in 0..3 {
        let is_to_list = directory.is_to_list(None, after(9000), false);
        assert!(is_to_list, "what says no time is listed");
    }
}
