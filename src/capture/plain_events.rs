//! The modules whose ordinary events of `tracing` a log takes.

use crate::error::{Error, Result};

/// The modules whose ordinary events a log takes.
#[derive(Clone, Debug, Default)]
pub(crate) enum PlainEvents {
    #[default]
    All,
    /// The events of these modules, and of the modules in them.
    From(Vec<String>),
}

impl PlainEvents {
    /// The events of these modules. A crate may be called by the name of its package.
    pub(crate) fn from_modules<P: Into<String>>(modules: impl IntoIterator<Item = P>) -> Self {
        let modules = modules
            .into_iter()
            .map(|path| path.into().replace('-', "_"));
        Self::From(modules.collect())
    }

    /// A path that no module can have would take nothing, without anyone noticing.
    pub(crate) fn check(&self) -> Result<()> {
        let Self::From(modules) = self else {
            return Ok(());
        };
        let is_name =
            |name: &str| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
        match modules.iter().find(|path| !path.split("::").all(is_name)) {
            None => Ok(()),
            Some(path) => Err(Error::invalid(
                "plain_events_from",
                format!("{path:?} is not the path of a module, such as my_app or my_app::billing"),
            )),
        }
    }

    pub(super) fn takes(&self, module: Option<&str>) -> bool {
        let within = |path: &String| {
            module
                .and_then(|module| module.strip_prefix(path.as_str()))
                .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        };
        match self {
            Self::All => true,
            Self::From(modules) => modules.iter().any(within),
        }
    }
}
