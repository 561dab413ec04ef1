//! The severity of an event.

/// The severity of an event. `tracing_audit::Severity` is the same, for applications.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Business as usual.
    #[default]
    Info,
    /// Worth a look.
    Warning,
    /// Something that should have worked failed.
    Error,
    /// Someone should act now.
    Critical,
}

/// The name of each severity, the mildest first.
pub const NAMES: [&str; 4] = ["info", "warning", "error", "critical"];

impl Severity {
    /// All of them, the mildest first.
    pub const ALL: [Self; NAMES.len()] = [Self::Info, Self::Warning, Self::Error, Self::Critical];

    /// As in an entry.
    pub const fn as_str(self) -> &'static str {
        NAMES[self as usize]
    }

    /// The severity of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|severity| severity.as_str() == name)
    }

    /// The severity that a word of another vocabulary means.
    pub fn nearest(word: &str) -> Option<Self> {
        match word.to_ascii_lowercase().as_str() {
            "info" | "information" | "informational" | "notice" | "debug" | "trace" | "low" => {
                Some(Self::Info)
            }
            "warning" | "warn" | "medium" => Some(Self::Warning),
            "error" | "err" | "high" => Some(Self::Error),
            "critical" | "crit" | "fatal" | "alert" | "emergency" => Some(Self::Critical),
            _ => None,
        }
    }
}
