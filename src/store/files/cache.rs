//! A cache of what is known of files, bounded by the memory it takes.

use std::collections::HashMap;

use crate::store::names::FileStem;

/// Keeps the values that were used last, at most `limit` bytes of them.
#[derive(Debug)]
pub(super) struct Cache<T> {
    items: HashMap<FileStem, Item<T>>,
    uses: u64,
    bytes: usize,
    limit: usize,
}

#[derive(Debug)]
struct Item<T> {
    value: T,
    used: u64,
    bytes: usize,
}

impl<T: Clone> Cache<T> {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            items: HashMap::new(),
            uses: 0,
            bytes: 0,
            limit,
        }
    }

    pub(super) fn get(&mut self, stem: &FileStem) -> Option<T> {
        self.uses += 1;
        let item = self.items.get_mut(stem)?;
        item.used = self.uses;
        Some(item.value.clone())
    }

    /// Keeps `value`, which takes so many bytes, at the cost of what was not used for long.
    pub(super) fn put(&mut self, stem: &FileStem, value: T, bytes: usize) {
        self.remove(stem);
        self.uses += 1;
        let used = self.uses;
        self.items.insert(stem.clone(), Item { value, used, bytes });
        self.bytes += bytes;
        while self.bytes > self.limit && self.items.len() > 1 {
            let oldest = self.items.iter().min_by_key(|(_, item)| item.used);
            let Some(oldest) = oldest.map(|(stem, _)| stem.clone()) else {
                break;
            };
            self.remove(&oldest);
        }
    }

    pub(super) fn remove(&mut self, stem: &FileStem) {
        if let Some(item) = self.items.remove(stem) {
            self.bytes -= item.bytes;
        }
    }

    /// Keeps nothing of files but these.
    pub(super) fn retain(&mut self, keep: impl Fn(&FileStem) -> bool) {
        self.items.retain(|stem, item| {
            let keeps = keep(stem);
            self.bytes -= if keeps { 0 } else { item.bytes };
            keeps
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::samples::stem;

    #[test]
    fn it_forgets_what_was_used_longest_ago() {
        let mut cache = Cache::new(1000);
        for number in 0..150 {
            cache.put(&stem(number), number, 10);
            assert_eq!(cache.get(&stem(0)), Some(0));
        }
        assert_eq!((cache.items.len(), cache.bytes), (100, 1000));
        assert_eq!(cache.get(&stem(1)), None);
        assert_eq!(cache.get(&stem(149)), Some(149));
        cache.put(&stem(149), 7, 20);
        assert_eq!((cache.items.len(), cache.bytes), (99, 1000));
        cache.retain(|stem| stem.number != 149);
        cache.remove(&stem(0));
        assert_eq!((cache.items.len(), cache.bytes), (97, 970));
        // A value that is too large by itself is kept until the next one comes.
        cache.put(&stem(1), 1, 5000);
        assert_eq!((cache.items.len(), cache.bytes), (1, 5000));
        cache.put(&stem(2), 2, 10);
        assert_eq!(cache.get(&stem(1)), None);
    }
}
