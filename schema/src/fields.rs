//! The fields of an entry and their parts, in the order in which they stand in it.

/// A field of an entry, or a part of a field.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// As it is called in its object: `id`.
    pub name: &'static str,
    /// As it is called in the entry: `actor.id`.
    pub path: &'static str,
    /// The text before its value: `,"id":`.
    pub key: &'static str,
    /// The kind of its value in JSON.
    pub kind: Kind,
    /// Where its value comes from.
    pub set_by: SetBy,
    /// Whether every entry has it.
    pub required: bool,
    /// Whether it is a part that may be given without the name of its object.
    pub short: bool,
    /// Of an [object](Kind::Object): its parts, in their order.
    pub parts: &'static [Field],
}

/// The kind of a field's value in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A string. Another value becomes one.
    Text,
    /// An integer.
    Number,
    /// A list. Another value becomes its only element.
    List,
    /// An object that has parts of the entry's own, and no others.
    Object,
    /// An object of the application's own.
    Map,
}

/// Where the value of a field comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetBy {
    /// The thread that writes the entry into a file.
    Writer,
    /// The log, while it takes the event.
    Log,
    /// The event's declaration: what is known of it while compiling, or follows from its type.
    Head,
    /// The event, and what is in force around it.
    Event,
}

macro_rules! fields {
    (
        $(#[doc = $doc:literal])+
        $all:ident in $object:literal;
        $(
            $field:ident $name:literal $kind:ident $(($parts:ident))? by $set_by:ident
            $(, $flag:ident)*;
        )+
    ) => {
        $(
            #[doc = concat!("`", $object, $name, "`")]
            pub const $field: Field = Field {
                $($flag: true,)*
                $(parts: &$parts,)?
                ..Field::new(
                    $name,
                    concat!($object, $name),
                    concat!(",\"", $name, "\":"),
                    Kind::$kind,
                    SetBy::$set_by,
                )
            };
        )+

        $(#[doc = $doc])+
        pub const $all: [Field; [$($name),+].len()] = [$($field),+];
    };
}

fields! {
    /// The fields of an entry.
    FIELDS in "";
    STREAM "stream" Text by Writer, required;
    SEQ "seq" Number by Writer, required;
    ID "id" Text by Log, required;
    TIMESTAMP "timestamp" Text by Log, required;
    SCHEMA_VERSION "schema_version" Text by Log, required;
    EVENT_TYPE "event_type" Text by Head, required;
    CATEGORY "category" Text by Head, required;
    ACTION "action" Text by Head, required;
    SEVERITY "severity" Text by Head, required;
    SOURCE "source" Text by Log, required;
    TENANT_ID "tenant_id" Text by Event;
    ACTOR "actor" Object(ACTOR_PARTS) by Event, required;
    RESOURCE "resource" Object(RESOURCE_PARTS) by Event;
    OUTCOME "outcome" Object(OUTCOME_PARTS) by Event;
    DESCRIPTION "description" Text by Event;
    DETAILS "details" Map by Event;
    TAGS "tags" List by Event;
    IP_ADDRESS "ip_address" Text by Event;
    USER_AGENT "user_agent" Text by Event;
    CONTEXT "context" Object(CONTEXT_PARTS) by Event;
    TRUNCATED "truncated" List by Log;
}

fields! {
    /// The parts of [`ACTOR`].
    ACTOR_PARTS in "actor.";
    ACTOR_TYPE "type" Text by Event, required;
    ACTOR_ID "id" Text by Event;
    ACTOR_NAME "name" Text by Event;
    ACTOR_ATTRIBUTES "attributes" Map by Event;
}

fields! {
    /// The parts of [`RESOURCE`].
    RESOURCE_PARTS in "resource.";
    RESOURCE_TYPE "type" Text by Event;
    RESOURCE_ID "id" Text by Event;
    RESOURCE_NAME "name" Text by Event;
    RESOURCE_ATTRIBUTES "attributes" Map by Event;
    RESOURCE_PRIOR_ATTRIBUTES "prior_attributes" Map by Event;
}

fields! {
    /// The parts of [`OUTCOME`].
    OUTCOME_PARTS in "outcome.";
    OUTCOME_TYPE "type" Text by Event;
    OUTCOME_REASON "reason" Text by Event;
    OUTCOME_ERROR "error" Text by Event;
}

fields! {
    /// The parts of [`CONTEXT`]. The first two are those of an event that came through `tracing`.
    CONTEXT_PARTS in "context.";
    CONTEXT_CAPTURED "captured" Text by Log;
    CONTEXT_MODULE "module" Text by Log;
    CONTEXT_ENVIRONMENT "environment" Text by Event;
    CONTEXT_SESSION_ID "session_id" Text by Event, short;
    CONTEXT_REQUEST_ID "request_id" Text by Event, short;
    CONTEXT_PROTOCOL "protocol" Text by Event;
    CONTEXT_HOST "host" Text by Event;
    CONTEXT_TRACE_ID "trace_id" Text by Event, short;
    CONTEXT_SPAN_ID "span_id" Text by Event, short;
}

/// The values of [`OUTCOME_TYPE`].
pub const OUTCOMES: [&str; 3] = ["success", "failure", "unknown"];

/// The log's own words for [`ACTOR_TYPE`]: of an actor who has an id and was given no type, and of
/// an unknown actor.
pub const USER: &str = "user";
/// See [`USER`].
pub const UNKNOWN: &str = "unknown";

impl Field {
    const fn new(
        name: &'static str,
        path: &'static str,
        key: &'static str,
        kind: Kind,
        set_by: SetBy,
    ) -> Self {
        Self {
            name,
            path,
            key,
            kind,
            set_by,
            required: false,
            short: false,
            parts: &[],
        }
    }

    /// Its name in an event: its path, or its last name if that is enough.
    pub const fn given_as(&self) -> &'static str {
        if self.short { self.name } else { self.path }
    }

    /// Whether the event sets it.
    pub const fn is_of_event(&self) -> bool {
        matches!(self.set_by, SetBy::Event)
    }

    /// Its parts that the event sets.
    pub fn parts_of_event(&self) -> impl Iterator<Item = &'static Field> + Clone + use<> {
        self.parts.iter().filter(|part| part.is_of_event())
    }

    /// The part of this name that the event sets.
    pub fn part(&self, name: &str) -> Option<&'static Field> {
        self.parts_of_event().find(|part| part.name == name)
    }
}

/// The fields that the event sets.
pub fn of_event() -> impl Iterator<Item = &'static Field> + Clone {
    const ALL: &[Field] = &FIELDS;
    ALL.iter().filter(|field| field.is_of_event())
}

/// The fields that the event sets, and those of their parts that it may give without the name of
/// their object.
pub fn of_one_word() -> impl Iterator<Item = &'static Field> + Clone {
    let short = of_event().flat_map(|field| field.parts_of_event().filter(|part| part.short));
    of_event().chain(short)
}

/// The field, or the part of a field, at this path; of those that the event sets.
pub fn at(path: &str) -> Option<&'static Field> {
    of_event().find_map(|field| {
        let itself = (field.path == path).then_some(field);
        itself.or_else(|| field.parts_of_event().find(|part| part.path == path))
    })
}

/// The path that a value of the application's own has in the [map](Kind::Map) it stands in:
/// `order.id` is that of `details.order.id`.
pub fn in_map(path: &str) -> Option<&str> {
    let maps = of_event().flat_map(|field| std::iter::once(field).chain(field.parts_of_event()));
    maps.filter(|field| field.kind == Kind::Map)
        .find_map(|map| path.strip_prefix(map.path)?.strip_prefix('.'))
}

/// The place of a field in a table.
///
/// # Panics
///
/// If it is not there.
pub const fn place(table: &[Field], field: &Field) -> usize {
    let mut at = 0;
    while at < table.len() {
        if is_same(table[at].path, field.path) {
            return at;
        }
        at += 1;
    }
    panic!("the field is not in the table")
}

/// The keys of a table.
pub const fn keys<const N: usize>(table: &[Field; N]) -> [&'static str; N] {
    let mut keys = [""; N];
    let mut at = 0;
    while at < N {
        keys[at] = table[at].key;
        at += 1;
    }
    keys
}

const fn is_same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}
