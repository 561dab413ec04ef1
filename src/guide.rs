//! The guide, chapter by chapter.
//!
//! | chapter | answers |
//! |---|---|
//! | [Setting up](set_up) | Where does the log go in a program, with several subscribers, crates or processes? |
//! | [Context](context/index.html) | Who did it, and from where, in HTTP services, tasks, threads and jobs? |
//! | [Redaction](redaction) | How do secrets stay out of the log? |
//! | [Failing closed](fail_closed/index.html) | How is an operation refused unless its event is on stable storage? |
//! | [Shutting down](shutdown) | What survives which end of a process? |
//! | [Testing](testing) | How does an application test what it records? |
//! | [Following](following/index.html) | How does another program read the log as it grows, and when is a range of time complete? |
//! | [Exports](exports/index.html) | Which formats are there, and how does a download show that it is whole? |
//! | [The console](console/index.html) | How do people open the log in a browser, how long do they stay signed in, and what is recorded of that? |
//! | [Webhooks](webhooks/index.html) | How does a receiver verify and read deliveries, and how does an operator look after webhooks? |
//! | [HTTP API](api/index.html) | Which requests are there, and what do they answer? |
//! | [SIEM](siem/index.html) | How do entries get into Splunk, Elastic, Sentinel and others? |
//! | [Operations](operations/index.html) | How is a log sized, backed up, watched, and run as a service or in containers? |
//! | [Compliance](compliance/index.html) | Which requirements of SOC 2, ISO 27001, NIST, HIPAA and PCI DSS does the log serve? |
//! | [Migrating](migrating) | How does a program move from `tracing-appender` to `audit!`? |
//!
//! The chapters on context and on failing closed use axum, so they are there with the features
//! `server` and `tower`. The ones on exports and on webhooks come with the features `export` and
//! `webhook`, those on following, the HTTP API, SIEM, operations and compliance with `server` and
//! `webhook`, and the one on the console with `console`.

/// The places of a log in a program.
#[doc = include_str!("../docs/set_up.md")]
pub mod set_up {}

/// Context for events: who acted, and from where.
#[cfg(all(feature = "macros", feature = "server", feature = "tower"))]
#[doc = include_str!("../docs/context.md")]
pub mod context {}

/// How secrets stay out of the log.
#[doc = include_str!("../docs/redaction.md")]
pub mod redaction {}

/// How an operation is refused unless its event is on stable storage.
#[cfg(all(feature = "macros", feature = "server", feature = "tower"))]
#[doc = include_str!("../docs/fail_closed.md")]
pub mod fail_closed {}

/// Which events survive which end of a process, and how to end in order.
#[doc = include_str!("../docs/shutdown.md")]
pub mod shutdown {}

/// How an application tests what it records.
#[doc = include_str!("../docs/testing.md")]
pub mod testing {}

/// How another program reads the log as it grows.
#[cfg(all(feature = "server", feature = "webhook"))]
#[doc = include_str!("../docs/following.md")]
pub mod following {}

/// The formats of exports, and what makes an export whole.
#[cfg(feature = "export")]
#[doc = include_str!("../docs/exports.md")]
pub mod exports {}

/// The log in a browser, for operators.
#[cfg(feature = "console")]
#[doc = include_str!("../docs/console.md")]
pub mod console {}

/// For the developers of receivers, and the operators of webhooks.
#[cfg(feature = "webhook")]
#[doc = include_str!("../docs/webhooks.md")]
pub mod webhooks {}

/// Each request of the HTTP API, with its answer.
#[cfg(all(feature = "server", feature = "webhook"))]
#[doc = include_str!("../docs/api.md")]
pub mod api {}

/// The ways of entries into other systems.
#[cfg(all(feature = "server", feature = "webhook"))]
#[doc = include_str!("../docs/siem.md")]
pub mod siem {}

/// For the people who look after a log.
#[cfg(all(feature = "server", feature = "webhook"))]
#[doc = include_str!("../docs/operations.md")]
pub mod operations {}

/// Requirements of standards, and the features that serve them.
#[cfg(all(feature = "server", feature = "webhook"))]
#[doc = include_str!("../docs/compliance.md")]
pub mod compliance {}

/// From `tracing` and `tracing-appender` to `audit!`.
#[doc = include_str!("../docs/migrating.md")]
pub mod migrating {}
