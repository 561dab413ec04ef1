//! The part of a list that a request asks for: `limit` and `offset`.

use std::ops::RangeInclusive;

use axum::http::request::Parts;

use crate::server::{params, problem::Problem};

/// The most items that may be skipped.
const MOST_SKIPPED: usize = 1_000_000_000;

pub(super) struct Paging {
    /// The parameters, as they were given.
    pub(super) given: Vec<(String, String)>,
    pub(super) offset: usize,
    pub(super) limit: usize,
}

impl Paging {
    /// Reads the parameters of a list that gives `usual` items unless asked for another number, and
    /// never more than `most`.
    pub(super) fn parse(request: &Parts, usual: usize, most: usize) -> Result<Self, Problem> {
        let given = params::parse(request.uri.query())?;
        let mut rest = given.clone();
        let limit = number(&mut rest, "limit", 1..=most)?.unwrap_or(usual);
        let offset = number(&mut rest, "offset", 0..=MOST_SKIPPED)?.unwrap_or(0);
        match rest.first() {
            Some((name, _)) => Err(Problem::parameter(
                name,
                "there is no such parameter; use limit or offset",
            )),
            None => Ok(Self {
                given,
                offset,
                limit,
            }),
        }
    }
}

/// Takes a number out of the parameters.
fn number(
    parameters: &mut Vec<(String, String)>,
    name: &str,
    range: RangeInclusive<usize>,
) -> Result<Option<usize>, Problem> {
    let Some(text) = params::take(parameters, name)? else {
        return Ok(None);
    };
    match text.parse() {
        Ok(number) if range.contains(&number) => Ok(Some(number)),
        _ => {
            let (least, most) = range.into_inner();
            let problem = format!("it must be a number from {least} to {most}");
            Err(Problem::parameter(name, problem))
        }
    }
}
