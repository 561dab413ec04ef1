//! A clock that is set while entries wait: each stays where queries look for it.

use super::*;

impl Rig {
    /// Pushes an event and settles, twice. Then all is there, each entry where queries look for it.
    fn goes_on(&mut self) {
        for _ in 0..2 {
            self.push();
            self.settle();
        }
        self.all_there();
        self.filed_where_queries_look();
    }

    /// No entry is newer than the day of its file.
    fn filed_where_queries_look(&self) {
        for path in self.fs.files(self.layout().live_dir()) {
            let stem: FileStem = path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
            let text = self.fs.bytes(&path).unwrap();
            for fields in text.split(|byte| *byte == b'\n').filter_map(scan) {
                let day = fields.timestamp.day();
                assert!(day <= stem.day(), "an entry of {day} in {stem}");
            }
        }
    }
}

#[test]
fn entries_that_waited_while_the_clock_was_set_back_are_filed_under_their_day() {
    let mut rig = Rig::new();
    rig.clock.jump_to("2026-11-28T10:00:00Z");
    rig.fs.fail(|_, op| (op.what == "create_new").then(full));
    rig.push();
    assert!(!rig.step());
    rig.clock.jump_to("2026-11-10T10:00:00Z");
    rig.fs.heal();
    rig.goes_on();
}

#[test]
fn a_clock_that_is_set_forward_and_back_between_two_steps_is_seen() {
    let mut rig = Rig::new();
    rig.push();
    rig.settle();
    rig.clock.jump_to("2026-11-28T10:00:00Z");
    rig.push();
    rig.clock.jump_to("2026-11-21T11:00:00Z");
    rig.goes_on();
}

#[test]
fn what_is_written_again_after_a_failed_sync_is_filed_under_its_day() {
    let mut rig = Rig::new();
    rig.clock.jump_to("2026-11-28T10:00:00Z");
    rig.fs.fail(|_, op| (op.what == "sync").then(full));
    rig.push();
    rig.step();
    rig.clock.pass(Duration::from_secs(2));
    assert!(!rig.step());
    rig.clock.jump_to("2026-11-10T10:00:00Z");
    rig.fs.heal();
    rig.settle();
    rig.goes_on();
}
