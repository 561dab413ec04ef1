//! The saved views, in documents beside the log's settings: `state/views.json` has those that were
//! saved with access to all tenants, and each tenant has a document of its own, so that neither the
//! number of views nor the time to read them says anything about other tenants.

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    entry::{Author, OwnEntry, Severity, Timestamp},
    error::{Error, Result},
    log::AuditLog,
    server::state::shorten,
    store::{document::Document, layout::Layout},
};

/// The most views of one tenant, and the most that are saved with access to all tenants.
const MOST: usize = 100;
/// How long a name may be, in characters.
pub(super) const MOST_OF_NAME: usize = 64;
/// How long the query of a view may be, in bytes.
const MOST_OF_QUERY: usize = 2000;

/// A view as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::server::console) struct View {
    pub(super) id: String,
    pub(super) name: String,
    /// The query of the page of entries, with its `?`; empty for the page as it usually is.
    pub(super) query: String,
    /// The tenant whose view it is; `None` if it was saved with access to all tenants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    pub(super) saved: Timestamp,
    /// The name of whoever saved it.
    pub(super) by: String,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Views {
    views: Vec<View>,
}

/// A view that is to be saved. Its query is one that the page takes.
pub(super) struct NewView {
    pub(super) name: String,
    pub(super) query: String,
    pub(super) tenant: Option<String>,
    pub(super) by: String,
}

impl NewView {
    fn check(&self, views: &[View]) -> Result<()> {
        let length = self.name.chars().count();
        if length == 0 || length > MOST_OF_NAME || self.name.chars().any(char::is_control) {
            let problem = format!("it must be 1 to {MOST_OF_NAME} characters on one line");
            return Err(Error::invalid("name", problem));
        }
        if self.query.len() > MOST_OF_QUERY {
            let problem = format!(
                "it has {} bytes, and a view has {MOST_OF_QUERY} at most; remove some conditions",
                self.query.len()
            );
            return Err(Error::invalid("query", problem));
        }
        if views.iter().any(|view| view.name == self.name) {
            let problem = "there is already a view of this name; remove it first, or choose \
                           another name";
            return Err(Error::invalid("name", problem));
        }
        if views.len() >= MOST {
            let problem = format!("there are {MOST} views already; remove one first");
            return Err(Error::Conflict(problem));
        }
        Ok(())
    }
}

/// The views of a tenant; of none, those that were saved with access to all tenants.
pub(super) fn read(layout: &Layout, tenant: Option<&str>) -> Result<Vec<View>> {
    let views: Views = document(layout, tenant).read()?;
    let is_own = |view: &View| view.tenant.as_deref() == tenant;
    Ok(views.views.into_iter().filter(is_own).collect())
}

/// Saves a view, which is recorded first.
pub(super) fn save(log: &AuditLog, new: NewView, author: &Author) -> Result<()> {
    document(log.layout(), new.tenant.as_deref()).change(|all: &mut Views| {
        new.check(&all.views)?;
        let view = View {
            id: format!("{:016x}", fastrand::u64(..)),
            name: new.name,
            query: new.query,
            tenant: new.tenant,
            saved: Timestamp::now(),
            by: new.by,
        };
        record(
            log,
            "audit.view.saved",
            "A view of the log was saved",
            &view,
            author,
        )?;
        all.views.push(view);
        Ok(())
    })
}

/// Removes a view, which is recorded first; false if there is none with this id.
pub(super) fn remove(
    log: &AuditLog,
    tenant: Option<&str>,
    id: &str,
    author: &Author,
) -> Result<bool> {
    document(log.layout(), tenant).change(|all: &mut Views| {
        let Some(at) = all.views.iter().position(|view| view.id == id) else {
            return Ok(false);
        };
        let description = "A saved view of the log was removed";
        record(
            log,
            "audit.view.removed",
            description,
            &all.views[at],
            author,
        )?;
        all.views.remove(at);
        Ok(true)
    })
}

fn record(
    log: &AuditLog,
    event_type: &'static str,
    description: &str,
    view: &View,
    author: &Author,
) -> Result<()> {
    let entry = OwnEntry::new(event_type, Severity::Info, description)
        .detail("view_id", view.id.as_str())
        .detail("name", view.name.as_str())
        .detail("query", shorten(&view.query));
    log.store()?.record(&author.sign(entry))
}

/// A tenant's name can have any characters, so that of its document has a hash of them.
fn document(layout: &Layout, tenant: Option<&str>) -> Document {
    let name = match tenant {
        None => "views".to_owned(),
        Some(tenant) => {
            let hash = Sha256::digest(tenant);
            format!("views-{}", HEXLOWER.encode(&hash[..16]))
        }
    };
    Document::new(layout, &name, "views")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(name: &str) -> NewView {
        NewView {
            name: name.to_owned(),
            query: "?actor=ann".to_owned(),
            tenant: None,
            by: "ann".to_owned(),
        }
    }

    #[test]
    fn names_queries_and_their_number_are_bounded() {
        let log = AuditLog::for_tests();
        let author = Author::default();
        let save = |view| super::save(&log, view, &author).map_err(|error| error.to_string());
        for (name, is_taken) in [
            ("", false),
            (&*"n".repeat(65), false),
            (&*"ü".repeat(64), true),
            ("two\nlines", false),
            ("a", true),
            ("a", false),
        ] {
            assert_eq!(save(new(name)).is_ok(), is_taken, "{name:?}");
        }
        let query = |length| NewView {
            query: "q".repeat(length),
            ..new("long")
        };
        assert!(save(query(2001)).unwrap_err().contains("2001 bytes"));
        save(query(2000)).unwrap();
        for n in 3..MOST {
            save(new(&n.to_string())).unwrap();
        }
        assert!(
            save(new("one more"))
                .unwrap_err()
                .contains("remove one first")
        );
        let views = read(log.layout(), None).unwrap();
        assert_eq!(views.len(), MOST);
        assert!(remove(&log, None, &views[0].id, &author).unwrap());
        assert!(!remove(&log, None, &views[0].id, &author).unwrap());
        save(new("one more")).unwrap();
        let of_tenant = NewView {
            tenant: Some("../acme".to_owned()),
            ..new("a")
        };
        save(of_tenant).unwrap();
        assert_eq!(read(log.layout(), Some("../acme")).unwrap().len(), 1);
        assert_eq!(read(log.layout(), Some("globex")).unwrap(), []);
    }
}
