//! Documents as other programs read them: `qpdf` checks the objects, `pdftotext` reads the text, and
//! PDFBox checks what an archive needs. One that is missing fails the test.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use pdf_writer::{Chunk, Rect};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    document::Document,
    font::{Font, Fonts, Weight},
    metadata,
    page_tree::PageTree,
    pages::{Margins, Pages},
    table::Row,
    text::{self, Shown},
};
use crate::{entry::Timestamp, query::RawEntry};

const TITLE: &str = "Audit log, all days";

/// A document of these entries, with an empty title page.
fn document(entries: &[RawEntry]) -> Vec<u8> {
    let fonts = Fonts::new();
    let margins = Margins {
        title: TITLE.to_owned(),
        made: "Made now".to_owned(),
    };
    let mut written = Vec::new();
    let mut pages = Pages::begin(&mut written, &fonts, &margins).unwrap();
    for entry in entries {
        pages.row(entry).unwrap();
    }
    let end = |document: &mut _, pages| metadata::write(document, pages, TITLE, Timestamp::now());
    pages.finish(|_| {}, end).unwrap();
    written
}

fn entry(number: usize, parts: &Value) -> RawEntry {
    let mut entry = json!({
        "stream": "a-1",
        "seq": number,
        "id": format!("0193f2a4-7c1e-7d31-9f65-{number:012}"),
        "timestamp": "2026-11-21T00:00:00.123456Z",
        "schema_version": "1.0",
        "event_type": "a.b",
        "category": "a",
        "action": "b",
        "severity": "info",
        "source": "shop",
        "actor": {"type": "unknown"},
    });
    let parts = parts.as_object().unwrap().clone();
    entry.as_object_mut().unwrap().extend(parts);
    RawEntry::from_line(entry.to_string().as_bytes()).unwrap()
}

fn run(program: &str, args: &[&str]) -> Output {
    let output = Command::new(program).args(args).output();
    output.unwrap_or_else(|error| panic!("{program} is needed for this test: {error}"))
}

/// Gives the bytes as a file to `read`.
fn with_file<T>(pdf: &[u8], read: impl FnOnce(&str) -> T) -> T {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.pdf");
    fs::write(&path, pdf).unwrap();
    read(path.to_str().unwrap())
}

/// The text, in the order in which it was written.
fn pdftotext(pdf: &[u8]) -> String {
    let output = with_file(pdf, |path| run("pdftotext", &["-raw", path, "-"]));
    let problems = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && problems.is_empty(), "{problems}");
    String::from_utf8(output.stdout).unwrap()
}

fn without_spaces(text: &str) -> String {
    text.split_whitespace().collect()
}

/// A text as it comes back, without spaces.
fn comes_back(font: &Font, text: &str) -> String {
    let each = text
        .chars()
        .map(|character| match text::shown(font, character) {
            Shown::Glyph(_) => character.to_string(),
            Shown::Code if text::is_copied(character) => character.to_string(),
            Shown::Code => text::code(character),
        });
    without_spaces(&each.collect::<String>())
}

/// The texts of a row as they come back, without spaces.
fn row_comes_back(fonts: &Fonts, entry: &RawEntry) -> String {
    let row = Row::of(entry);
    let laid_out = row.lay_out(fonts);
    let lines = laid_out
        .lines()
        .map(|line| comes_back(fonts.of(Weight::Regular), &line));
    lines.collect()
}

/// Characters of all kinds, those that we treat differently more often.
fn characters() -> impl Strategy<Value = char> {
    prop_oneof![
        4 => prop::char::range(' ', '~'),
        2 => prop::char::range('\u{0}', '\u{24f}'),
        2 => prop::char::range('\u{370}', '\u{52f}'),
        1 => prop::char::range('\u{2000}', '\u{206f}'),
        1 => prop::char::range('\u{590}', '\u{6ff}'),
        1 => prop::char::range('\u{4e00}', '\u{9fff}'),
        1 => any::<char>(),
    ]
}

fn texts(longest: usize) -> impl Strategy<Value = String> {
    prop::collection::vec(characters(), 0..longest).prop_map(String::from_iter)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_text_in_any_field_comes_back(
        given in prop::collection::vec((texts(300), texts(60), texts(20)), 1..5)
    ) {
        let entries: Vec<_> = given.iter().enumerate().map(|(number, (long, name, id))| {
            entry(number + 1, &json!({
                "description": long,
                "actor": {"type": id, "id": id, "name": name},
                "resource": {"type": "scan", "id": name, "name": id},
                "outcome": {"type": "failure", "reason": id, "error": name},
                "tenant_id": id,
                "ip_address": id,
            }))
        }).collect();
        let fonts = Fonts::new();
        let rows = entries.iter().map(|entry| row_comes_back(&fonts, entry));
        let text = without_spaces(&pdftotext(&document(&entries)));
        let expected: String = rows.collect();
        let found = text.split_once("Description").unwrap().1.rsplit_once("Madenow").unwrap().0;
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn hostile_texts_are_shown_and_disturb_nothing() {
    let fonts = Fonts::new();
    for (text, back) in [
        (
            "(a) \\(b\\ ) Tj ET Q endstream endobj",
            "(a)\\(b\\)TjETQendstreamendobj",
        ),
        ("line\nbreak\ttab\r", "line\\nbreak\\ttab\\r"),
        ("\u{1b}[31mred\0", "\\u{1b}[31mred\\u{0}"),
        ("\u{202e}fdp.exe\u{2066}", "\\u{202e}fdp.exe\\u{2066}"),
        ("soft\u{ad}hyphen\u{200b}", "soft\\u{ad}hyphen\\u{200b}"),
        ("日本語 🎉", "日本語🎉"),
        ("שלום", "\\u{5e9}\\u{5dc}\\u{5d5}\\u{5dd}"),
        ("a\u{a0}b\u{3000}c", "abc"),
    ] {
        assert_eq!(comes_back(fonts.of(Weight::Regular), text), back);
        let pdf = document(&[entry(1, &json!({ "description": text }))]);
        let found = without_spaces(&pdftotext(&pdf));
        assert!(found.contains(&format!("successinfo{back}")), "{found}");
        assert_is_sound(&pdf);
    }
}

/// Lets `qpdf` check the file.
fn assert_is_sound(pdf: &[u8]) {
    let output = with_file(pdf, |path| run("qpdf", &["--check", path]));
    let said = String::from_utf8_lossy(&output.stdout);
    let problems = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && problems.is_empty(),
        "{said}{problems}"
    );
}

/// Whether PDFBox takes the file for PDF/A-1b, the only part of the standard that it knows. What
/// part 1 forbids beyond part 2 isn't in our files, so that only the labels have to be changed.
fn is_for_archives(pdf: &[u8]) -> Result<(), String> {
    let mut pdf = pdf.to_vec();
    for (from, to) in [
        ("<pdfaid:part>2<", "<pdfaid:part>1<"),
        ("<pdfaid:conformance>U<", "<pdfaid:conformance>B<"),
        ("%PDF-1.7", "%PDF-1.4"),
    ] {
        let at = memchr::memmem::find(&pdf, from.as_bytes());
        let at = at.ok_or_else(|| format!("{from} is missing"))?;
        pdf[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
    let jars = [
        "commons-io",
        "commons-logging",
        "fontbox2",
        "javax.activation",
        "jaxb-api",
        "pdfbox2",
        "preflight",
        "xmpbox",
    ];
    let jars = jars.map(|jar| format!("/usr/share/java/{jar}.jar"));
    assert!(
        Path::new(&jars[6]).exists(),
        "Debian's libpdfbox2-java is needed for this test"
    );
    let class = "org.apache.pdfbox.preflight.Validator_A1b";
    let output = with_file(&pdf, |path| {
        run("java", &["-cp", &jars.join(":"), class, path])
    });
    let said = String::from_utf8_lossy(&output.stdout);
    if said.contains("is a valid PDF/A-1b file") {
        return Ok(());
    }
    Err(format!("{said}{}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn a_document_is_fit_for_archives() {
    let texts = ["Zoë", "Київ", "日本語 🎉", "\u{202e}\u{0}"];
    let parts = |text| json!({ "description": text, "severity": "critical" });
    let entries: Vec<_> = (1..=300)
        .map(|n| entry(n, &parts(texts[n % texts.len()])))
        .collect();
    let pdf = document(&entries);
    assert_is_sound(&pdf);
    is_for_archives(&pdf).unwrap();
    // The check can fail.
    let at = memchr::memmem::find(&pdf, b"/OutputIntents").unwrap();
    let mut spoiled = pdf.clone();
    spoiled[at + 1] = b'X';
    let problem = is_for_archives(&spoiled).unwrap_err();
    assert!(
        problem.contains("is not a valid PDF/A-1b file"),
        "{problem}"
    );
    let fonts = with_file(&pdf, |path| run("pdffonts", &[path]));
    let fonts = String::from_utf8(fonts.stdout).unwrap();
    for font in fonts.lines().skip(2) {
        let columns: Vec<_> = font.split_whitespace().collect();
        // Embedded, and with a map to Unicode.
        assert_eq!((columns[4], columns[6]), ("yes", "yes"), "{fonts}");
    }
    assert_eq!(fonts.lines().count(), 4, "{fonts}");
}

#[test]
fn many_pages_are_numbered_and_repeat_the_head() {
    let entries: Vec<_> = (1..=3_000).map(|n| entry(n, &json!({}))).collect();
    let pdf = document(&entries);
    assert_is_sound(&pdf);
    let text = pdftotext(&pdf);
    let pages: Vec<_> = text.split('\u{c}').collect();
    let number = pages.len() - 1;
    assert!(
        number > 100,
        "{number} pages: the tree of pages has two levels"
    );
    for (at, page) in pages[..number].iter().enumerate() {
        assert!(
            page.contains(&format!("Page {} of {number}", at + 1)),
            "{page}"
        );
        let heads = page
            .matches("Time (UTC) Event type Actor Resource Outcome")
            .count();
        assert_eq!(heads, usize::from(at > 0), "{page}");
    }
    let ids = text.matches("0193f2a4-7c1e-7d31-9f65-").count();
    assert_eq!(ids, 3_000);
}

#[test]
fn a_tree_of_pages_grows_by_levels() {
    for number in [1, 64, 65, 4_096, 4_097, 5_000] {
        let mut written = Vec::new();
        let mut document = Document::begin(&mut written).unwrap();
        let mut tree = PageTree::new(&mut document).unwrap();
        for width in (100..).take(number) {
            let page = document.reserve().unwrap();
            let above = tree.add(&mut document, page).unwrap();
            let size = Rect::new(0.0, 0.0, width as f32, 100.0);
            let fill = |object: &mut Chunk| {
                let mut page = object.page(page);
                page.parent(above).media_box(size).resources();
            };
            document.write(page, fill).unwrap();
        }
        let top = tree.finish(&mut document).unwrap();
        let end = metadata::write(&mut document, top, TITLE, Timestamp::now()).unwrap();
        document.finish(&end).unwrap();
        assert_is_sound(&written);
        let count = with_file(&written, |path| run("qpdf", &["--show-npages", path]));
        assert_eq!(count.stdout, format!("{number}\n").into_bytes());
        // The width of a page says which one it is.
        let last = number.to_string();
        let args = |path: &str| run("pdfinfo", &["-f", &last, "-l", &last, path]);
        let last_page = String::from_utf8(with_file(&written, args).stdout).unwrap();
        let last_page: Vec<_> = last_page.split_whitespace().collect();
        let size = format!("size: {} x 100 pts", 99 + number);
        assert!(last_page.join(" ").contains(&size), "{last_page:?}");
    }
}

#[test]
fn a_document_without_its_end_does_not_open() {
    let entries: Vec<_> = (1..=500).map(|n| entry(n, &json!({}))).collect();
    let pdf = document(&entries);
    let catalog = memchr::memmem::find(&pdf, b"/Type/Catalog").unwrap();
    assert!(catalog * 10 > pdf.len() * 9, "the catalog is near the end");
    for len in [pdf.len() / 2, catalog - 1] {
        let part = &pdf[..len];
        let read = with_file(part, |path| run("pdftotext", &[path, "-"]));
        assert!(!read.status.success(), "pdftotext reads {len} bytes");
        let checked = with_file(part, |path| run("qpdf", &["--check", path]));
        assert!(!checked.status.success(), "qpdf takes {len} bytes");
    }
}
