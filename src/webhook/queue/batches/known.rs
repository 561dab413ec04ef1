//! The batches that were made, as a replay looks them up by their entries. While the replay goes
//! on, they take some 100 bytes of memory each, so about 10 MB if there are as many as may be.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs::File,
    io::{self, BufRead as _, BufReader, Seek as _, SeekFrom},
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
};

use super::MadeBatch;

/// Where the line of a batch begins in the file.
pub(in crate::webhook) type LineAt = u64;

/// Finds the batch of an entry. A later line replaces each earlier one that has entries between
/// the same numbers of a stream: the earlier batch was never sent, or was sent in halves.
#[derive(Debug, Default)]
pub(in crate::webhook) struct KnownBatches {
    path: PathBuf,
    /// Which file was read, and how far.
    inode: u64,
    read_to: u64,
    /// For each stream, by the first number of a batch in it: the last one, and the batch.
    spans: HashMap<String, BTreeMap<u64, (u64, LineAt)>>,
    replaced: HashSet<LineAt>,
}

impl KnownBatches {
    pub(in crate::webhook) fn new(path: PathBuf) -> Self {
        Self {
            path,
            ..Self::default()
        }
    }

    /// Reads the lines that were added. True if the file was written anew since: then all lines
    /// stand elsewhere.
    pub(in crate::webhook) fn read_on(&mut self) -> io::Result<bool> {
        let file = match File::open(&self.path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
            opened => opened?,
        };
        let found = file.metadata()?;
        let is_another = self.inode != found.ino() || found.len() < self.read_to;
        if is_another {
            *self = Self::new(std::mem::take(&mut self.path));
            self.inode = found.ino();
        }
        let mut file = BufReader::new(file);
        file.seek(SeekFrom::Start(self.read_to))?;
        let mut line = Vec::new();
        loop {
            line.clear();
            let len = file.read_until(b'\n', &mut line)?;
            if line.last() != Some(&b'\n') {
                return Ok(is_another);
            }
            if let Some(made) = MadeBatch::parse(&line) {
                self.add(&made, self.read_to);
            }
            self.read_to += len as u64;
        }
    }

    fn add(&mut self, made: &MadeBatch, at: LineAt) {
        for runs in &made.entries {
            let seqs = || runs.seqs();
            if let Ok(file) = runs.file()
                && let Some(first) = seqs().min()
                && let Some(last) = seqs().max()
            {
                let stream = file.stream.as_str().to_owned();
                let spans = self.spans.entry(stream).or_default();
                let before = spans.range(..=last).rev();
                let others: Vec<u64> = before
                    .take_while(|(_, (end, _))| *end >= first)
                    .map(|(begin, _)| *begin)
                    .collect();
                let replaced = others.iter().filter_map(|begin| spans.remove(begin));
                let replaced = replaced.map(|(_, other)| other);
                self.replaced.extend(replaced.filter(|other| *other != at));
                spans.insert(first, (last, at));
            }
        }
    }

    /// Where the line of the batch is that may have this entry.
    pub(in crate::webhook) fn find(&self, stream: &str, seq: u64) -> Option<LineAt> {
        let spans = self.spans.get(stream)?;
        let (_, (last, at)) = spans.range(..=seq).next_back()?;
        (seq <= *last && !self.replaced.contains(at)).then_some(*at)
    }

    /// The batch whose line begins there; `None` if the file was written anew since.
    pub(in crate::webhook) fn at(&self, at: LineAt) -> io::Result<Option<MadeBatch>> {
        let mut file = File::open(&self.path)?;
        if file.metadata()?.ino() != self.inode {
            return Ok(None);
        }
        file.seek(SeekFrom::Start(at))?;
        let mut line = Vec::new();
        BufReader::new(file).read_until(b'\n', &mut line)?;
        Ok(MadeBatch::parse(&line))
    }
}
