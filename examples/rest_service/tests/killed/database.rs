//! The log, held against the database.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use serde_json::Value;

use crate::support::text;

/// Follows what the entries say of each note and each role, through all kills, to what the database
/// has in the end. A start without an end leaves two possibilities, of which the next entry, or the
/// database, tells which it was.
pub(crate) fn follow_database(dir: &Path, entries: &[Value]) {
    let rows = rows_of_database(dir);
    let mut possible: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    let mut begun = BTreeSet::new();
    let mut entries: Vec<_> = entries.iter().collect();
    // Streams of several lives: by time. Within one it is the order of the numbers.
    entries.sort_by_key(|e| (text(e, "/timestamp"), e["seq"].as_u64()));
    for entry in entries {
        let (before, after) = match text(entry, "/resource/type") {
            "note" => (
                "/resource/prior_attributes/text",
                "/resource/attributes/text",
            ),
            _ => (
                "/resource/prior_attributes/role",
                "/resource/attributes/role",
            ),
        };
        let (before, after) = (text(entry, before), text(entry, after));
        let note = ("note", text(entry, "/resource/id"));
        let user = ("user", text(entry, "/resource/name"));
        match text(entry, "/event_type") {
            "note.create.started" => assert!(begun.insert(after)),
            "note.created" => {
                assert!(begun.remove(after), "{entry}");
                assert_eq!(possible.insert(note, [after].into()), None, "{entry}");
            }
            "note.update.started" | "note.delete.started" => {
                let known = possible.insert(note, [before, after].into());
                assert!(known.unwrap().contains(before), "{entry}");
            }
            "note.updated" | "note.deleted" => {
                possible.insert(note, [after].into());
            }
            "user.created" => {
                possible.insert(user, [after].into());
            }
            "user.role_change.started" if after != "king" => {
                possible.get_mut(&user).unwrap().insert(after);
            }
            "user.role_changed" => {
                let known = possible.insert(user, [after].into());
                assert!(known.unwrap().contains(before), "{entry}");
            }
            _ => {}
        }
    }
    for (kind, id, value) in &rows {
        match possible.remove(&(kind.as_str(), id.as_str())) {
            Some(known) => assert!(known.contains(value.as_str()), "{kind} {id}: {known:?}"),
            None => assert!(begun.remove(value.as_str()), "no start of {kind} {id}"),
        }
    }
    // What is not in the database was deleted, or that had begun.
    possible.retain(|_, known| !known.contains(""));
    assert!(possible.is_empty(), "not in the database: {possible:?}");
}

/// Each note with its text and each user with its role.
pub(crate) fn rows_of_database(dir: &Path) -> Vec<(String, String, String)> {
    let db = rusqlite::Connection::open(dir.join("notes.db")).unwrap();
    let query = "SELECT 'note', CAST(id AS TEXT), text FROM notes
                 UNION ALL SELECT 'user', name, role FROM users";
    let mut query = db.prepare(query).unwrap();
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    rows.unwrap().map(Result::unwrap).collect()
}
