//! Other names that people have for a field, so that an error can name the right one.

/// In an event: the name, and the field that is meant.
pub const OF_EVENT: [(&str, &str); 9] = [
    ("agent", "user_agent"),
    ("client_ip", "ip_address"),
    ("detail", "details"),
    ("ip", "ip_address"),
    ("ip_addr", "ip_address"),
    ("remote_addr", "ip_address"),
    ("remote_ip", "ip_address"),
    ("tag", "tags"),
    ("tenant", "tenant_id"),
];

/// In a context: the name, and the field that is meant.
pub const OF_CONTEXT: [(&str, &str); 10] = [
    ("client.address", "ip_address"),
    ("enduser.id", "actor.id"),
    ("env", "environment"),
    ("hostname", "host"),
    ("scheme", "protocol"),
    ("session.id", "session_id"),
    ("user", "actor"),
    ("user.id", "actor.id"),
    ("user.name", "actor.name"),
    ("user_id", "actor.id"),
];

/// Fields that no word of one other letter is likely to be: `scan_id` is not `span_id`, nor
/// `content` `context`.
pub const UNMISTAKABLE: [&str; 10] = [
    "tenant_id",
    "actor",
    "resource",
    "outcome",
    "description",
    "ip_address",
    "user_agent",
    "session_id",
    "request_id",
    "severity",
];

/// Words that look like a misspelling and aren't.
pub const WORDS: [&str; 1] = ["factor"];
