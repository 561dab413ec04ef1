//! The metadata of a PDF file, as PDF/A-2u (ISO 19005-2) wants them.
//!
//! All texts in here are ours, so that nothing has to be escaped: titles have dates in them, and
//! nothing that somebody else wrote.

use std::io::{self, Write};

use pdf_writer::{Date, Name, Ref, TextStr, types::OutputIntentSubtype, writers};

use super::{
    PRODUCER,
    document::{Document, End},
};
use crate::entry::Timestamp;

/// The colors of the file are those of sRGB.
const PROFILE: &[u8] = include_bytes!("data/sRGB-v2-micro.icc");
const SRGB: &str = "sRGB IEC61966-2.1";

/// Writes the objects that say what the file is.
pub(super) fn write<W: Write>(
    document: &mut Document<W>,
    pages: Ref,
    title: &str,
    made: Timestamp,
) -> io::Result<End> {
    let profile = document.add_packed(PROFILE, |stream| {
        stream.pair(Name(b"N"), 3);
    })?;
    let xmp = xmp(title, made);
    let metadata = document.add(|object, id| {
        // Not compressed, so that a program can find it without knowing PDF.
        object.metadata(id, xmp.as_bytes());
    })?;
    let info = document.add(|object, id| {
        let mut info: writers::DocumentInfo<'_> = object.indirect(id).start();
        info.title(TextStr(title));
        info.producer(TextStr(PRODUCER));
        info.creation_date(date(made));
    })?;
    let catalog = document.add(|object, id| {
        let mut catalog: writers::Catalog<'_> = object.indirect(id).start();
        catalog.pages(pages);
        catalog.metadata(metadata);
        catalog.lang(TextStr("en"));
        catalog.viewer_preferences().display_doc_title(true);
        let mut intents = catalog.output_intents();
        let mut intent = intents.push();
        intent.subtype(OutputIntentSubtype::PDFA);
        intent.output_condition_identifier(TextStr(SRGB));
        intent.info(TextStr(SRGB));
        intent.dest_output_profile(profile);
    })?;
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(io::Error::other)?;
    Ok(End { catalog, info, id })
}

/// The same for programs that read XMP (ISO 16684-1).
fn xmp(title: &str, made: Timestamp) -> String {
    let made = to_seconds(made);
    format!(
        r#"<?xpacket begin="{bom}" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:pdf="http://ns.adobe.com/pdf/1.3/" xmlns:pdfaid="http://www.aiim.org/pdfa/ns/id/" xmlns:xmp="http://ns.adobe.com/xap/1.0/">
<pdfaid:part>2</pdfaid:part>
<pdfaid:conformance>U</pdfaid:conformance>
<dc:format>application/pdf</dc:format>
<dc:title><rdf:Alt><rdf:li xml:lang="x-default">{title}</rdf:li></rdf:Alt></dc:title>
<pdf:Producer>{PRODUCER}</pdf:Producer>
<xmp:CreateDate>{made}</xmp:CreateDate>
</rdf:Description>
</rdf:RDF>
</x:xmpmeta>
<?xpacket end="r"?>"#,
        bom = '\u{feff}'
    )
}

/// As in `2026-11-21T10:15:00Z`.
fn to_seconds(time: Timestamp) -> String {
    let text = time.to_string();
    format!("{}Z", text.get(..19).unwrap_or(&text))
}

fn date(time: Timestamp) -> Date {
    let text = time.to_string();
    let part = |range| text.get(range).and_then(|digits: &str| digits.parse().ok());
    let year = text.get(..4).and_then(|digits| digits.parse().ok());
    Date::new(year.unwrap_or_default())
        .month(part(5..7).unwrap_or(1))
        .day(part(8..10).unwrap_or(1))
        .hour(part(11..13).unwrap_or_default())
        .minute(part(14..16).unwrap_or_default())
        .second(part(17..19).unwrap_or_default())
        .utc_offset_hour(0)
        .utc_offset_minute(0)
}
