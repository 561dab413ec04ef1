//! Texts that are put together while compiling.

/// Texts that are known while compiling, one after the other, as bytes.
macro_rules! joined {
    ($($piece:expr),+ $(,)?) => {{
        use $crate::entry::render::joined::{join, len_of};
        const PIECES: &[&str] = &[$($piece),+];
        const JOINED: [u8; len_of(PIECES)] = join(PIECES);
        &JOINED
    }};
}
pub(super) use joined;

pub(super) const fn len_of(pieces: &[&str]) -> usize {
    let mut len = 0;
    let mut at = 0;
    while at < pieces.len() {
        len += pieces[at].len();
        at += 1;
    }
    len
}

pub(super) const fn join<const N: usize>(pieces: &[&str]) -> [u8; N] {
    let mut joined = [0; N];
    let mut len = 0;
    let mut at = 0;
    while at < pieces.len() {
        let piece = pieces[at].as_bytes();
        let mut byte = 0;
        while byte < piece.len() {
            joined[len] = piece[byte];
            len += 1;
            byte += 1;
        }
        at += 1;
    }
    joined
}
