//! `catalogue`: which event types there are, and whether a newer program breaks those who read
//! them.

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
};

use tracing_audit::{AuditReader, catalogue::Catalogue};

use super::{
    args::{CatalogueArgs, CatalogueFormat},
    failure::{Failure, Outcome},
    output,
};

pub(super) fn run(args: &CatalogueArgs) -> Result<Outcome, Failure> {
    let catalogue = match &args.file {
        Some(file) => read(file)?,
        None => AuditReader::open(&args.dir.dir)?.catalogue()?,
    };
    let mut out = io::stdout().lock();
    if let Some(older) = &args.against {
        let breaking = read(older)?.breaking_changes(&catalogue);
        for change in &breaking {
            writeln!(out, "{}", output::escaped(change))?;
        }
        return Ok(Outcome::problem_if(!breaking.is_empty()));
    }
    if let Some(event_type) = &args.schema {
        let Some(entry) = catalogue.get(event_type) else {
            return Err(Failure::failed(format!(
                "the catalogue has no event type {event_type:?}; tracing-audit catalogue lists all"
            )));
        };
        writeln!(out, "{:#}", entry.json_schema())?;
        return Ok(Outcome::Fine);
    }
    match args.format {
        CatalogueFormat::Table => {
            let mut table =
                output::table(&["EVENT TYPE", "SEVERITY", "DESCRIPTION", "FIELDS", "WHERE"]);
            for entry in catalogue.iter() {
                let severities: Vec<_> = entry
                    .severities()
                    .map(|severity| severity.as_str())
                    .collect();
                let fields: Vec<_> = entry
                    .fields()
                    .map(|(path, kind)| match entry.looks_secret(path) {
                        None => format!("{path} ({kind})"),
                        Some(form) => format!("{path} ({kind}, looks secret: {form})"),
                    })
                    .collect();
                let places: Vec<_> = entry
                    .locations()
                    .map(|place| format!("{}:{}", place.file, place.line))
                    .collect();
                let description = entry.description().unwrap_or_default();
                let row = [
                    entry.event_type(),
                    &severities.join(", "),
                    description,
                    &fields.join("\n"),
                    &places.join("\n"),
                ];
                table.add_row(row.map(|cell| {
                    cell.split('\n')
                        .map(output::escaped)
                        .collect::<Vec<_>>()
                        .join("\n")
                }));
            }
            writeln!(out, "{}", table.trim_fmt())?;
        }
        CatalogueFormat::Json => {
            serde_json::to_writer_pretty(&mut out, &catalogue).map_err(io::Error::from)?;
            writeln!(out)?;
        }
        CatalogueFormat::Markdown => write!(out, "{}", catalogue.to_markdown())?,
    }
    Ok(Outcome::Fine)
}

fn read(file: &Path) -> Result<Catalogue, Failure> {
    let text = fs::read(file)
        .map_err(|e| Failure::failed(format!("cannot read {}: {e}", file.display())))?;
    serde_json::from_slice(&text).map_err(|e| {
        Failure::failed(format!(
            "{} is not a catalogue of event types: {e}",
            file.display()
        ))
    })
}
