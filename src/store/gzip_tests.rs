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

/// Whether reading a damaged file fails; `None` if it gives other lines.
///
/// Not all damage changes a line: a back reference may lead to the same text elsewhere, and some
/// bits between a block's last code and its mark mean nothing. Then the file is read as before,
/// whole and by its index, and the SHA-256 alone is another.
fn is_noticed(blob: &Bytes, builder: &IndexBuilder, damaged: &Bytes) -> Option<bool> {
    let (Ok(wanted), Ok(wanted_sha256)) = (walk(blob), walked_sha256(blob)) else {
        panic!("it is whole");
    };
    let (mut unpacker, mut plain) = (Unpacker::new(), Vec::new());
    let by_index = builder.blocks().iter().zip(&wanted).map(|(row, lines)| {
        let read = unpacker.block(damaged, row, &mut plain);
        read.map(|()| plain == *lines)
    });
    let by_index: Vec<_> = by_index.collect();
    match walk(damaged) {
        // The end of the file is in no block.
        Err(_) => {
            let right = by_index.iter().all(|read| !matches!(read, Ok(false)));
            right.then_some(true)
        }
        Ok(read) => {
            let same = read == wanted && by_index.iter().all(|read| matches!(read, Ok(true)));
            let told_apart = walked_sha256(damaged).is_ok_and(|found| found != wanted_sha256);
            (same && told_apart).then_some(false)
        }
    }
}

/// The SHA-256 that a walk finds, which `verify` compares with that in the index.
fn walked_sha256(blob: &Bytes) -> Result<[u8; 32]> {
    let (mut walk, mut plain) = (Walk::new(blob)?, Vec::new());
    while walk.next(&mut plain)?.is_some() {}
    let sha256 = walk.sha256();
    assert_eq!(sha256, <[u8; 32]>::from(Sha256::digest(&blob.0)));
    Ok(sha256)
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
    let mut stored = Packer::new(Level(0));
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

#[test]
fn data_behind_the_end_is_told_from_a_block_that_is_damaged() {
    let small = log(3, 100, 1);
    let full = log(4, BLOCK_LEN, 2);
    for plain in [&small, &full] {
        let (Bytes(file), _) = packed(plain, Level::DEFAULT);
        let len = file.len();
        for added in [&b"x"[..], b"a line\n", &MARK, &file] {
            let bytes = Bytes([&file, added].concat());
            let said = walk(&bytes).unwrap_err().to_string();
            let to = len + added.len();
            let wanted = format!("data was added after its end, from byte {len} to byte {to}");
            assert!(said.ends_with(&wanted), "{said}");
        }
        let cut = walk(&Bytes(file[..len - 1].to_vec())).unwrap_err();
        assert!(!cut.to_string().contains("after its end"), "{cut}");
    }
}

#[test]
fn each_flipped_bit_is_noticed_or_harmless() {
    let (blob, builder) = packed(&log(25, 450, 9), Level::DEFAULT);
    let (mut noticed, mut harmless) = (0, 0);
    for bit in 0..blob.0.len() * 8 {
        let mut flipped = Bytes(blob.0.clone());
        flipped.0[bit / 8] ^= 1 << (bit % 8);
        match is_noticed(&blob, &builder, &flipped) {
            Some(true) => noticed += 1,
            Some(false) => harmless += 1,
            None => panic!("bit {bit} changes a line, and nobody notices"),
        }
    }
    assert!(harmless * 1_000 < noticed, "{harmless} of {noticed}");
}

#[test]
fn a_reference_to_the_same_text_elsewhere_is_seen_by_the_sha_256_alone() {
    let (blob, builder) = packed(&log(1_300, 450, 13_323_132_858_023_958_400), Level::FASTEST);
    let mut flipped = Bytes(blob.0.clone());
    // From 8,023 bytes back to 8,004; both times it is `,"field_`.
    flipped.0[221_714] ^= 21;
    assert_eq!(is_noticed(&blob, &builder, &flipped), Some(false));
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
        let at = at.index(blob.0.len());
        let mut flipped = Bytes(blob.0.clone());
        flipped.0[at] ^= flip;
        let noticed = is_noticed(&blob, &builder, &flipped);
        prop_assert!(noticed.is_some(), "byte {at} ^ {flip} changes a line, and nobody notices");
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
