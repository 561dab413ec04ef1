//! `native`: the payload that Standard Webhooks recommends.

use super::{Batch, Encoded, Format, Unencodable, add, array, checked};
use crate::query::RawEntry;

/// `{"type":…,"timestamp":…,"data":…}` for one entry, its line as `data`; a JSON array of these for
/// a batch.
#[derive(Clone, Copy, Debug, Default)]
pub struct Native;

impl Format for Native {
    fn encode(&self, batch: &Batch<'_>) -> Result<Encoded, Unencodable> {
        if batch.batched {
            return array(batch.several()?, payload).map(Encoded::json);
        }
        let mut body = Vec::new();
        payload(batch.single()?, &mut body)?;
        Ok(Encoded::json(body))
    }
}

fn payload(entry: &RawEntry, body: &mut Vec<u8>) -> Result<(), Unencodable> {
    let (fields, line) = checked(entry)?;
    let time = fields.timestamp.to_string();
    let parts = [
        b"{\"type\":\"",
        fields.event_type,
        b"\",\"timestamp\":\"",
        time.as_bytes(),
        b"\",\"data\":",
        line,
        b"}",
    ];
    add(body, parts);
    Ok(())
}
