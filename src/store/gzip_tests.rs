//! What goes in comes out, to us and to gzip; damage anywhere is noticed.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use proptest::prelude::*;

use super::*;
use crate::store::{blob::Bytes, summary::IndexBuilder};

/// Packs `plain` as sealing does.
fn packed(plain: &[u8], level: Level) -> (Bytes, IndexBuilder) {
    let (mut packer, mut out) = (Packer::new(level), HEADER.to_vec());
    let mut builder = IndexBuilder::new(
        "20261121T101500.123456Z-billing-7f3a9c-00000042"
            .parse()
            .unwrap(),
    );
    let mut rest = plain;
    while !rest.is_empty() {
        let (block, after) = rest.split_at(cut(rest).unwrap_or(rest.len()));
        let len = packer.block(block, &mut out).unwrap();
        builder.push(block, len);
        rest = after;
    }
    out.extend(trailer(crc32fast::hash(plain), plain.len() as u64));
    (Bytes(out), builder)
}

/// All blocks' lines, or what is wrong.
fn walk(blob: &Bytes) -> Result<Vec<Vec<u8>>> {
    let (mut walk, mut blocks) = (Walk::new(blob)?, Vec::new());
    let mut plain = Vec::new();
    while walk.next(&mut plain)?.is_some() {
        blocks.push(plain.clone());
    }
    Ok(blocks)
}

/// Lines of about this length that compress about as a log does.
fn log(lines: usize, len: usize, mut seed: u64) -> Vec<u8> {
    let mut out = Vec::new();
    for n in 0..lines {
        let start = out.len();
        let _ = write!(out, r#"{{"seq":{n},"type":"auth.login.success""#);
        while out.len() < start + len {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let _ = write!(out, r#","field_{}":"{:x}""#, seed >> 61, seed >> 40);
        }
        out.extend(b"}\n");
    }
    out
}

#[test]
fn gzip_reads_it() {
    for level in [1, 3, 6, 9].map(|n| Level::new(n).unwrap()) {
        let plain = log(3_000, 450, 1);
        let (blob, _) = packed(&plain, level);
        let mut zcat = Command::new("gzip")
            .args(["-dc"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = zcat.stdin.take().unwrap();
        let writing = std::thread::spawn(move || stdin.write_all(&blob.0));
        let output = zcat.wait_with_output().unwrap();
        writing.join().unwrap().unwrap();
        assert!(output.status.success() && output.stdout == plain);
    }
}

#[test]
fn blocks_end_with_the_line_that_fills_them() {
    let mut plain = log(2_000, 450, 2);
    plain.extend(log(1, 3 * BLOCK_LEN, 3));
    plain.extend(log(700, 450, 4));
    let (blob, builder) = packed(&plain, Level::DEFAULT);
    let blocks = walk(&blob).unwrap();
    assert!(blocks.len() > 4 && blocks.concat() == plain);
    let lens = builder
        .blocks()
        .iter()
        .map(|block| block.plain_len as usize)
        .collect::<Vec<_>>();
    assert_eq!(lens, blocks.iter().map(Vec::len).collect::<Vec<_>>());
    for block in &blocks[..blocks.len() - 1] {
        let last_line = memchr::memrchr(b'\n', &block[..block.len() - 1]).unwrap_or(0);
        assert!(block.len() >= BLOCK_LEN && last_line < BLOCK_LEN);
    }
    let (mut unpacker, mut plain) = (Unpacker::new(), Vec::new());
    for (row, block) in builder.blocks().iter().zip(&blocks).rev() {
        unpacker.block(&blob, row, &mut plain).unwrap();
        assert_eq!(&plain, block);
    }
}

#[test]
fn blocks_of_two_files_make_a_third() {
    let (one, two) = (log(900, 450, 5), log(800, 450, 6));
    let ((a, _), (b, _)) = (packed(&one, Level::DEFAULT), packed(&two, Level::FASTEST));
    let mut joined = HEADER.to_vec();
    for blob in [&a, &b] {
        joined.extend(&blob.0[HEADER.len()..blob.0.len() - TRAILER_LEN as usize]);
    }
    let both = [one, two].concat();
    joined.extend(trailer(crc32fast::hash(&both), both.len() as u64));
    let mut out = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&joined[..]), &mut out).unwrap();
    assert_eq!(out, both);
}

#[test]
fn marks_that_are_there_by_chance_are_no_ends() {
    // Stored uncompressed, random text with NULs and 0xFF has the mark in it many times over.
    let mut plain: Vec<u8> = log(5_000, 90, 7);
    for at in (0..plain.len() - 8).step_by(97).filter(|at| at % 5 > 1) {
        if !plain[at..at + 6].contains(&b'\n') {
            plain[at..at + 6].copy_from_slice(b"\x00\x00\xff\xff\x00\x00");
        }
    }
    let mut stored = Packer(Compress::new(Compression::none(), false));
    let mut out = HEADER.to_vec();
    let mut rest = &plain[..];
    let mut count = 0;
    while !rest.is_empty() {
        let (block, after) = rest.split_at(cut(rest).unwrap_or(rest.len()));
        stored.block(block, &mut out).unwrap();
        rest = after;
        count += 1;
    }
    assert!(memmem::find_iter(&out, &MARK).count() > 100 * count);
    out.extend(trailer(crc32fast::hash(&plain), plain.len() as u64));
    let blocks = walk(&Bytes(out)).unwrap();
    assert!(blocks.len() == count && blocks.concat() == plain);
}

#[test]
fn the_message_says_where() {
    let plain = log(2_000, 450, 8);
    let (blob, builder) = packed(&plain, Level::DEFAULT);
    let row = builder.blocks()[1];
    let mut cut = blob.0.clone();
    cut.truncate(row.packed_offset as usize + 1_000);
    let message = walk(&Bytes(cut)).unwrap_err().to_string();
    let lines = builder.blocks()[0].lines;
    assert!(
        message.contains(&format!(
            "the block from byte {}, after line {lines},",
            row.packed_offset
        )),
        "{message}"
    );
    let mut flipped = blob.0.clone();
    let last = flipped.len() - 1;
    flipped[last] ^= 1;
    let message = walk(&Bytes(flipped)).unwrap_err().to_string();
    assert!(
        message.contains("its length is not that of its lines")
            && message.contains("after line 2000"),
        "{message}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_lines_come_back(lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..50), copies in 1usize..60, level in 1u32..=9) {
        let mut plain = Vec::new();
        for line in std::iter::repeat_n(&lines, copies).flatten() {
            plain.extend(line.iter().filter(|b| **b != b'\n'));
            plain.push(b'\n');
        }
        let (blob, builder) = packed(&plain, Level::new(level).unwrap());
        prop_assert!(walk(&blob).unwrap().concat() == plain);
        let (mut unpacker, mut block, mut all) = (Unpacker::new(), Vec::new(), Vec::new());
        for row in builder.blocks() {
            unpacker.block(&blob, row, &mut block).unwrap();
            all.extend_from_slice(&block);
        }
        prop_assert!(all == plain);
    }

    #[test]
    fn damage_at_any_byte_is_noticed(seed: u64, at: prop::sample::Index, flip in 1u8..=255, cut: prop::sample::Index) {
        let (blob, builder) = packed(&log(1_300, 450, seed), Level::FASTEST);
        let mut flipped = Bytes(blob.0.clone());
        let at = at.index(flipped.0.len());
        flipped.0[at] ^= flip;
        // Some bits of a deflate stream mean nothing, as those between a block's last code and its
        // mark: the SHA-256 alone sees them.
        let harmless = walk(&flipped).is_ok_and(|blocks| blocks == walk(&blob).unwrap());
        prop_assert!(harmless || walk(&flipped).is_err());
        let row = builder.blocks().iter().find(|row| (row.packed_offset..row.packed_offset + u64::from(row.packed_len)).contains(&(at as u64)));
        if let Some(row) = row.filter(|_| !harmless) {
            prop_assert!(Unpacker::new().block(&flipped, row, &mut Vec::new()).is_err());
        }
        let cut = Bytes(blob.0[..cut.index(blob.0.len())].to_vec());
        prop_assert!(walk(&cut).is_err());
    }

    #[test]
    fn any_bytes_are_survived(mut bytes in prop::collection::vec(any::<u8>(), 0..500), offset: u64, lens: (u32, u32)) {
        let row = Block { plain_offset: 0, plain_len: lens.0 % 100_000, packed_offset: offset % 600, packed_len: lens.1 % 600, crc: 0, lines: 1, first_seq: 1,
            min: crate::Timestamp::MIN, max: crate::Timestamp::MAX, opaque: false };
        bytes.splice(..bytes.len().min(10), HEADER);
        let blob = Bytes(bytes);
        prop_assert!(walk(&blob).is_err());
        let _ = Unpacker::new().block(&blob, &row, &mut Vec::new());
    }
}
