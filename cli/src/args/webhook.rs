//! The flags of the commands that manage webhooks.

use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Args, Command, FromArgMatches, Subcommand};
use tracing_audit::webhook::{Setting, SettingKind, Webhook};

use super::{DirArgs, Format};
use crate::filter::FilterArgs;

/// Manages webhooks: URLs that get entries as they are recorded
///
/// An application that runs webhooks, or `tracing-audit serve`, makes the deliveries; of the
/// processes that share the directory, only one does at a time.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  tracing-audit webhook add --name siem --url https://siem.example.com/hooks \\
    --event-type 'auth.*' --event-type user.deleted
  tracing-audit webhook test siem
  tracing-audit webhook list
  tracing-audit webhook set siem --severity error --severity critical --clear tenant-id
  tracing-audit webhook replay siem --start-date 2026-11-20 --end-date 2026-11-21")]
pub(crate) struct WebhookArgs {
    #[command(subcommand)]
    pub(crate) command: WebhookCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum WebhookCommand {
    Add(Box<AddArgs>),
    /// Shows all webhooks and how they are doing, without their secrets
    List(ListArgs),
    /// Shows a webhook's settings, without their secrets, how it is doing, and its last attempts
    Show(ShownArgs),
    Set(Box<SetArgs>),
    /// Sends a test event to a webhook in one attempt, and shows the result; exit code 1 if it was
    /// not delivered
    ///
    /// The event is recorded, and its entry is sent whatever event types the webhook gets, even
    /// while the webhook is paused.
    Test(ShownArgs),
    /// Shows the last attempts, the newest first: at most 50 that failed and 50 that did not
    Attempts(ShownArgs),
    /// Shows the dead letters: deliveries that were given up
    DeadLetters(ShownArgs),
    Replay(Box<ReplayArgs>),
    /// Shows one delivery: its state, its request without secrets, and the answers to its attempts
    ///
    /// The command finds deliveries that wait, dead letters, and deliveries of the last attempts.
    /// The body is made anew from the log.
    Deliveries(DeliveryArgs),
    /// Sends one delivery again, under its id and with the same entries
    Resend(ResendArgs),
    Skip(SkipArgs),
    /// Makes a new signing secret and shows it, only this once; older secrets sign as well until
    /// they are retired
    RotateSecret(NamedArgs),
    /// Removes all signing secrets but the newest
    RetireSecrets(NamedArgs),
    /// Pauses deliveries; entries that are recorded meanwhile wait in the log
    Pause(NamedArgs),
    /// Resumes deliveries
    Resume(NamedArgs),
    /// Takes over a webhook whose application or file is gone, so that it can be changed and
    /// removed here
    ///
    /// An application or a file that still declares the webhook takes it back at its next start.
    TakeOver(NamedArgs),
    /// Removes a webhook; entries that wait for it are not sent
    Remove(NamedArgs),
}

#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) dir: DirArgs,
    /// The output's format [default: table on a terminal, else ndjson]
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,
}

#[derive(Args, Debug)]
pub(crate) struct NamedArgs {
    #[command(flatten)]
    pub(crate) dir: DirArgs,
    /// The webhook's name
    pub(crate) name: String,
}

#[derive(Args, Debug)]
pub(crate) struct ShownArgs {
    #[command(flatten)]
    pub(crate) named: NamedArgs,
    /// The output's format [default: table on a terminal, else ndjson]
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,
}

#[derive(Args, Debug)]
pub(crate) struct DeliveryArgs {
    #[command(flatten)]
    pub(crate) shown: ShownArgs,
    /// The delivery's id, as attempts and dead-letters show it
    #[arg(long)]
    pub(crate) id: String,
}

#[derive(Args, Debug)]
pub(crate) struct ResendArgs {
    #[command(flatten)]
    pub(crate) named: NamedArgs,
    /// The delivery's id, as attempts and dead-letters show it
    pub(crate) id: String,
}

/// Gives up a delivery that waits: the delivery becomes a dead letter, and the next one goes on
///
/// In strict order, a delivery that the receiver never accepts holds up all that follow. The
/// process that delivers gives it up within a second or two; an attempt that is under way may still
/// succeed. A dead letter can be replayed.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  tracing-audit webhook skip siem
  tracing-audit webhook skip siem --id msg_0b1c2d3e4f5061728394a5b6c7d8e9f0")]
pub(crate) struct SkipArgs {
    #[command(flatten)]
    pub(crate) named: NamedArgs,
    /// Give up the delivery with this id [default: the first one that waits]
    #[arg(long)]
    pub(crate) id: Option<String>,
}

/// Adds a webhook, which gets the entries that are recorded from now on
///
/// Requests are signed as Standard Webhooks specifies. Unless a secret is given, a new secret is
/// made and printed, only this once: give it to the receiver.
#[derive(Args, Debug)]
#[command(after_help = "\
A secret on the command line can be seen by other users of this machine, and stays in the shell's
history. Better ways, here for the API key:
  --api-key-file FILE     read from FILE now; from standard input if FILE is -
  --api-key file:/path    read when delivery begins, by the process that delivers
  --api-key env:NAME      the same, from an environment variable of that process

Examples:
  tracing-audit webhook add --name siem --url https://siem.example.com/hooks \\
    --event-type 'auth.*' --api-key-file siem.key
  pass show ops-chat | tracing-audit webhook add --name chat --url-file - \\
    --event-type 'audit.delivery.*'")]
pub(crate) struct AddArgs {
    #[command(flatten)]
    pub(crate) dir: DirArgs,
    #[command(flatten)]
    pub(crate) settings: SettingArgs<true>,
    /// Don't sign requests
    #[arg(long, conflicts_with_all = ["signing-secret", "signing-secret-file"])]
    pub(crate) unsigned: bool,
}

/// Changes settings of a webhook, which keeps its cursor
///
/// Settings that are not named stay as they are. A list replaces the previous list; a header is
/// added to the existing headers.
#[derive(Args, Debug)]
pub(crate) struct SetArgs {
    #[command(flatten)]
    pub(crate) named: NamedArgs,
    /// Reset this setting to its default, as in --clear tenant-id; repeatable
    #[arg(long, value_name = "FLAG")]
    pub(crate) clear: Vec<String>,
    #[command(flatten)]
    pub(crate) settings: SettingArgs<false>,
}

/// The settings that are given as flags. There is a flag for each setting of a webhook; `NEW` says
/// that the webhook is to be added, so those that it must have are required, and its name is one of
/// them.
#[derive(Clone, Debug)]
pub(crate) struct SettingArgs<const NEW: bool>(pub(crate) Vec<Given>);

/// A flag, with the texts of its values and the files that its values are in.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub(crate) flag: Flag,
    pub(crate) texts: Vec<String>,
    pub(crate) files: Vec<String>,
}

/// A flag that sets a setting of a webhook, or a part of one.
#[derive(Clone, Debug)]
pub(crate) struct Flag {
    pub(crate) name: String,
    pub(crate) setting: &'static str,
    pub(crate) part: Option<&'static str>,
    pub(crate) of: &'static Setting,
}

impl Flag {
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        Webhook::SETTINGS.iter().flat_map(|setting| {
            let (whole, parts) = match setting.kind {
                SettingKind::Parts(parts) => (None, parts),
                _ => (Some(setting), &[][..]),
            };
            let parts = parts.iter().map(|part| (Some(part.name), part));
            let whole = whole.map(|whole| (None, whole));
            whole.into_iter().chain(parts).filter_map(|(part, of)| {
                Some(Self {
                    name: of.flag()?,
                    setting: setting.name,
                    part,
                    of,
                })
            })
        })
    }

    /// The flag that reads the value from a file, so that no secret has to be on a command line.
    pub(crate) fn of_file(&self) -> String {
        format!("{}-file", self.name)
    }

    fn is_several(&self) -> bool {
        matches!(self.of.kind, SettingKind::List | SettingKind::Pairs)
    }

    fn args(&self, new: bool) -> Vec<Arg> {
        let arg = self.arg();
        if !self.of.is_secret() {
            return vec![arg.required(new && self.of.is_required())];
        }
        let file = self.of_file();
        let value_name = match self.of.kind {
            SettingKind::Pairs => "NAME=FILE",
            _ => "FILE",
        };
        let help = format!(
            "The same as --{}, read from this file; - is standard input",
            self.name
        );
        let read = Arg::new(file.clone())
            .long(file)
            .help(help)
            .value_name(value_name);
        let read = match self.is_several() {
            true => read.action(ArgAction::Append),
            false => read.conflicts_with(&self.name),
        };
        vec![arg, read]
    }

    /// For a secret that a new webhook must have: one of its two flags.
    fn one_of_two(&self) -> Option<ArgGroup> {
        let is_wanted = self.of.is_required() && self.of.is_secret();
        is_wanted.then(|| {
            ArgGroup::new(format!("{} or its file", self.name))
                .args([self.name.clone(), self.of_file()])
                .required(true)
        })
    }

    fn arg(&self) -> Arg {
        let is_several = self.is_several();
        let mut help = self.of.help.to_owned();
        if is_several {
            help.push_str("; repeatable");
        }
        if let Some(default) = self.of.default {
            help.push_str(&format!(" [default: {default}]"));
        }
        let arg = Arg::new(self.name.clone())
            .long(self.name.clone())
            .help(help);
        let several = match self.of.kind {
            SettingKind::Switch(_) => return arg.action(ArgAction::SetTrue),
            SettingKind::Numbers => arg.value_delimiter(',').action(ArgAction::Append),
            _ if is_several => arg.action(ArgAction::Append),
            _ => arg,
        };
        several.value_name(self.of.value_name)
    }

    /// The files that its values are in.
    fn files(&self, matches: &ArgMatches) -> Vec<String> {
        if !self.of.is_secret() {
            return Vec::new();
        }
        let given = matches.get_many(&self.of_file());
        given.into_iter().flatten().cloned().collect()
    }

    /// The texts that were given for it.
    fn texts(&self, matches: &ArgMatches) -> Vec<String> {
        match self.of.kind {
            SettingKind::Switch(value) => {
                let given = matches.get_flag(&self.name).then(|| value.to_owned());
                given.into_iter().collect()
            }
            _ => {
                let given = matches.get_many(&self.name);
                given.into_iter().flatten().cloned().collect()
            }
        }
    }
}

impl<const NEW: bool> SettingArgs<NEW> {
    fn flags() -> impl Iterator<Item = Flag> {
        Flag::all().filter(|flag| NEW || flag.setting != "name")
    }
}

impl<const NEW: bool> Args for SettingArgs<NEW> {
    fn augment_args(command: Command) -> Command {
        let command = command.args(Self::flags().flat_map(|flag| flag.args(NEW)));
        match NEW {
            true => command.groups(Self::flags().filter_map(|flag| flag.one_of_two())),
            false => command,
        }
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<const NEW: bool> FromArgMatches for SettingArgs<NEW> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = Self::flags().map(|flag| Given {
            texts: flag.texts(matches),
            files: flag.files(matches),
            flag,
        });
        let given = given.filter(|given| !(given.texts.is_empty() && given.files.is_empty()));
        Ok(Self(given.collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Sends entries to a webhook again, under the ids that they had
///
/// The process that delivers begins within a second or two. With filters, only entries that the
/// webhook's settings select are sent. A batch keeps its id only if it has the same entries, as a
/// dead letter always has.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  tracing-audit webhook replay siem --dead-letters --wait
  tracing-audit webhook replay siem --start-date 2026-11-20 --dry-run
  tracing-audit webhook replay siem --cancel
  tracing-audit webhook replay siem --start-date 2026-11-20 --event-type 'auth.*'")]
pub(crate) struct ReplayArgs {
    #[command(flatten)]
    pub(crate) named: NamedArgs,
    /// Send all dead letters that were not delivered since
    #[arg(long)]
    pub(crate) dead_letters: bool,
    /// Only count the entries and deliveries that would be sent
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Wait until all entries are delivered or given up, and show how many are; exit code 1 if any
    /// were given up
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) wait: bool,
    /// Cancel the replay that is under way, and those that wait
    #[arg(long, conflicts_with_all = ["dead_letters", "dry_run", "wait"])]
    pub(crate) cancel: bool,
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
}
