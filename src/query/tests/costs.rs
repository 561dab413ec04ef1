//! What questions cost in system calls: run by hand under `strace -f -c`.
//!
//! `COST_DIR` names a log, made anew if it is not there, of 2,160 sealed files over 90 days and a
//! live one; `COST_ASK` says what is asked (`scan`, `id`, `newest`, `follow`), `COST_TIMES` how
//! often. The first two cost more than the others: what a directory holds is believed three seconds
//! after it was listed, so there is a pause after the first.

use super::*;

const DAYS: u32 = 90;
const PER_DAY: u32 = 24;
const PER_FILE: u64 = 20;

fn file(number: u32) -> FileStem {
    let day = i64::from((number - 1) / PER_DAY) - i64::from(DAYS);
    let hour = i64::from((number - 1) % PER_DAY);
    let born = START - 10 * 3_600_000_000 + day * 86_400_000_000 + hour * 3_600_000_000;
    FileStem {
        born: Timestamp::from_micros(born),
        ..stem(0, number)
    }
}

fn records(number: u32) -> impl Iterator<Item = Record> {
    let first = u64::from(number - 1) * PER_FILE + 1;
    let born = file(number).born.as_micros() - START;
    (first..first + PER_FILE).map(move |seq| Record::new(0, seq, born + seq as i64))
}

fn make(layout: &Layout) {
    for part in [layout.live_dir(), layout.sealed_dir(), layout.tmp_dir()] {
        std::fs::create_dir_all(part).unwrap();
    }
    std::fs::write(layout.format_file(), "tracing-audit 1\n").unwrap();
    for number in 1..=DAYS * PER_DAY + 1 {
        let text: String = records(number).map(|record| record.line() + "\n").collect();
        std::fs::write(layout.live(&file(number)), text).unwrap();
        if number <= DAYS * PER_DAY {
            seal(&OsFs, layout, &file(number), Level::FASTEST).unwrap();
            std::fs::remove_file(layout.live(&file(number))).unwrap();
        }
    }
}

#[test]
#[ignore = "for strace"]
fn ask() {
    let Ok(dir) = std::env::var("COST_DIR") else {
        return;
    };
    let layout = Layout::new(&dir);
    if !layout.format_file().exists() {
        make(&layout);
    }
    let times: usize = std::env::var("COST_TIMES").unwrap().parse().unwrap();
    let reader = AuditReader::open(&dir).unwrap();
    let id = records(1000).nth(7).unwrap().id().parse().unwrap();
    let mut tail = reader.tail(Filter::new(), TailStart::Now).unwrap();
    for time in 0..times {
        if time == 1 {
            std::thread::sleep(std::time::Duration::from_millis(3_100));
        }
        match &*std::env::var("COST_ASK").unwrap() {
            "scan" => {
                let (found, _) = all(&reader, &Filter::new(), Order::Asc);
                assert_eq!(found.len() as u64, u64::from(DAYS * PER_DAY + 1) * PER_FILE);
            }
            "id" => assert!(reader.get(id).unwrap().is_some()),
            "newest" => assert_eq!(reader.page(&Query::default()).unwrap().entries.len(), 100),
            _ => assert!(tail.poll(10).unwrap().is_empty()),
        }
    }
}
