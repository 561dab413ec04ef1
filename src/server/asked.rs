//! The parameters of a download, and what follows from them: its form, its name, its plan.

use std::sync::{Arc, Mutex};

use axum::http::{HeaderValue, header};

#[cfg(feature = "pdf")]
use super::access::Access;
use super::{
    params::take,
    plans::Planned,
    problem::Problem,
    state::{Asker, Slot, State},
};
use crate::{
    entry::Timestamp,
    export::{ExportFormat, filtered::Filtered, plan::Plan},
    query::{Filter, Order},
};

/// The parameters of a download that are not the filter's.
const OWN: [&str; 4] = ["format", "order", "details", "bom"];

/// A download that is asked for.
pub(super) struct Asked {
    pub(super) format: ExportFormat,
    order: Order,
    filter: Filter,
    is_of_all_tenants: bool,
    /// The caller's name and id.
    #[cfg(feature = "pdf")]
    caller: String,
    name: String,
}

impl Asked {
    pub(super) fn parse(asker: &Asker, given: &[(String, String)]) -> Result<Self, Problem> {
        let mut params = given.to_vec();
        let format = take_format(&mut params)?;
        let order = match take(&mut params, "order")? {
            None => Order::Asc,
            Some(order) if !format.is_copied() => order.parse()?,
            Some(_) => {
                return Err(Problem::parameter(
                    "order",
                    "format=zip and gz take no order; leave it out, or give another format",
                ));
            }
        };
        let filter = Filter::parse_beside(&OWN, asker.narrow(&params)?)?;
        let name = file_name(&filter, format);
        Ok(Self {
            format,
            order,
            filter,
            is_of_all_tenants: asker.access.tenant.is_none(),
            #[cfg(feature = "pdf")]
            caller: caller(&asker.access),
            name,
        })
    }

    /// The name of the file.
    #[cfg(feature = "console")]
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The filter of the entries in it.
    #[cfg(feature = "console")]
    pub(super) fn into_filter(self) -> Filter {
        self.filter
    }

    /// Whether the file is made while it is sent.
    pub(super) fn is_streamed(&self) -> bool {
        !self.format.is_copied() || self.filter.has_field_filters()
    }

    /// The parameters, by which the plan of the download is found again.
    pub(super) fn question(&self) -> String {
        format!("{} {:?}", self.format.as_str(), self.filter.params())
    }

    pub(super) fn filtered(&self, app: &State) -> Filtered {
        Filtered {
            reader: app.reader.clone(),
            filter: self.filter.clone(),
            order: self.order,
            format: self.format,
            names_files: self.is_of_all_tenants,
            #[cfg(feature = "pdf")]
            requested_by: Some(self.caller.clone()),
            entries: Arc::default(),
            times: Mutex::default(),
        }
    }

    /// The plan of the download. Making it reads the disk.
    pub(super) async fn plan(&self, app: &State, slot: Slot) -> Result<Planned, Problem> {
        let format = self.format;
        let start = self.filter.start().unwrap_or(Timestamp::MIN);
        let end = self.filter.end().unwrap_or(Timestamp::MAX);
        let files = Arc::clone(app.reader.files());
        app.blocking(slot, move |_| {
            let plan = Plan::new(&files, start..end)?;
            plan.check_whole()?;
            let (lines, fixed) = (plan.lines(), plan.immutable() && plan.is_complete());
            let file = match format {
                ExportFormat::Gzip => plan.into_gzip(),
                _ => plan.into_zip()?,
            };
            Ok(Planned {
                file: Arc::new(file),
                lines,
                fixed,
            })
        })
        .await
    }

    pub(super) fn headers(&self) -> [(header::HeaderName, HeaderValue); 2] {
        let disposition = format!("attachment; filename=\"{}\"", self.name);
        let disposition =
            HeaderValue::try_from(disposition).expect("the name has letters, digits and dashes");
        let media_type = HeaderValue::from_static(self.format.media_type());
        [
            (header::CONTENT_TYPE, media_type),
            (header::CONTENT_DISPOSITION, disposition),
        ]
    }
}

/// Takes the format (ZIP if none is given) and the form of CSV.
fn take_format(params: &mut Vec<(String, String)>) -> Result<ExportFormat, Problem> {
    let format = take(params, "format")?;
    let mut format: ExportFormat = format.as_deref().unwrap_or("zip").parse()?;
    let details = take(params, "details")?;
    let bom = take(params, "bom")?;
    if let ExportFormat::Csv(options) = &mut format {
        options.details = details.as_deref().unwrap_or("json").parse()?;
        options.bom = match bom.as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return Err(Problem::parameter("bom", "it must be true or false")),
        };
        return Ok(format);
    }
    for (name, given) in [("details", details), ("bom", bom)] {
        if given.is_some() {
            return Err(Problem::parameter(
                name,
                "only format=csv takes this parameter; leave it out, or give format=csv",
            ));
        }
    }
    Ok(format)
}

/// The caller as a document names it: `ann (user u-1)`.
#[cfg(feature = "pdf")]
fn caller(access: &Access) -> String {
    let Access {
        actor_type,
        id,
        name,
        ..
    } = access;
    if name.is_empty() {
        format!("{actor_type} {id}")
    } else {
        format!("{name} ({actor_type} {id})")
    }
}

/// `audit-2026-11-01-2026-11-30.zip`: the first and the last day, made of our own texts only.
fn file_name(filter: &Filter, format: ExportFormat) -> String {
    let day = |time: Timestamp| time.day().to_string();
    let from = filter.start().map_or_else(|| "begin".to_owned(), day);
    // The end itself is outside of the range.
    let to = filter.end().map_or_else(
        || day(Timestamp::now()),
        |end| day(Timestamp::from_micros(end.as_micros() - 1)),
    );
    let filtered = if filter.has_field_filters() {
        "-filtered"
    } else {
        ""
    };
    format!("audit-{from}-{to}{filtered}.{}", format.ending())
}
