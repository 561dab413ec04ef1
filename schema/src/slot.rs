//! The fields that an event inherits from the spans and contexts around it.

use crate::fields::{
    self, ACTOR_ATTRIBUTES, ACTOR_ID, ACTOR_NAME, ACTOR_TYPE, CONTEXT_ENVIRONMENT, CONTEXT_HOST,
    CONTEXT_PROTOCOL, CONTEXT_REQUEST_ID, CONTEXT_SESSION_ID, CONTEXT_SPAN_ID, CONTEXT_TRACE_ID,
    Field, IP_ADDRESS, TENANT_ID, USER_AGENT,
};

macro_rules! slots {
    ($($slot:ident $field:ident [$($of_spans:literal),*];)+) => {
        /// A field that spans and contexts can fill when the event leaves it empty.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        pub enum Slot {
            $(#[doc = concat!("[`", stringify!($field), "`]")] $slot,)+
        }

        impl Slot {
            /// All of them, in the order of the entry.
            pub const ALL: [Self; [$(stringify!($slot)),+].len()] = [$(Self::$slot),+];

            /// The field that it fills.
            pub const fn field(self) -> &'static Field {
                match self {
                    $(Self::$slot => &$field,)+
                }
            }

            /// Its names in spans besides its own: OpenTelemetry's names
            /// (<https://opentelemetry.io/docs/specs/semconv/registry/attributes/>).
            const fn other_names(self) -> &'static [&'static str] {
                match self {
                    $(Self::$slot => &[$($of_spans),*],)+
                }
            }
        }
    };
}

slots! {
    TenantId TENANT_ID [];
    ActorType ACTOR_TYPE [];
    // Only names that mean the one who acts: `user.id` is as likely the user who is edited.
    ActorId ACTOR_ID ["enduser.id"];
    ActorName ACTOR_NAME [];
    ActorAttributes ACTOR_ATTRIBUTES [];
    IpAddress IP_ADDRESS ["client.address"];
    UserAgent USER_AGENT ["user_agent.original"];
    Environment CONTEXT_ENVIRONMENT ["deployment.environment.name"];
    SessionId CONTEXT_SESSION_ID ["session.id"];
    RequestId CONTEXT_REQUEST_ID [];
    Protocol CONTEXT_PROTOCOL ["url.scheme"];
    Host CONTEXT_HOST ["server.address"];
    TraceId CONTEXT_TRACE_ID [];
    SpanId CONTEXT_SPAN_ID [];
}

impl Slot {
    /// The slots of the actor.
    pub const OF_ACTOR: [Self; 4] = from(Self::ActorType);

    /// The slots of the context.
    pub const OF_CONTEXT: [Self; 7] = from(Self::Environment);

    /// Its name in a context: its path, without the word `context`, which goes without
    /// saying there.
    pub fn name(self) -> &'static str {
        let field = self.field();
        if self.is_of_context() {
            field.name
        } else {
            field.path
        }
    }

    /// Whether slots fill a field, or its parts.
    pub fn fills(field: &Field) -> bool {
        let filled = Self::ALL.into_iter().map(|slot| slot.field().path);
        let is_in =
            |path: &str| path == field.path || field.parts.iter().any(|part| part.path == path);
        filled.into_iter().any(is_in)
    }

    /// The slot that a context calls so; those of `context` with that word or without.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|slot| slot.name() == name || slot.field().path == name)
    }

    /// The slot that a span's field of this name fills. Attributes are not for spans, whose values
    /// are texts.
    pub fn of_span(field: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .filter(|slot| slot.is_text())
            .find(|slot| {
                slot.field().given_as() == field
                    || slot.field().path == field
                    || slot.other_names().contains(&field)
            })
    }

    /// Whether its value is a text.
    pub fn is_text(self) -> bool {
        self.field().kind == fields::Kind::Text
    }

    fn is_of_context(self) -> bool {
        Self::OF_CONTEXT.contains(&self)
    }
}

/// As many slots as there is room for, from one on.
const fn from<const N: usize>(first: Slot) -> [Slot; N] {
    let mut slots = [first; N];
    let mut at = 0;
    while at < N {
        slots[at] = Slot::ALL[first as usize + at];
        at += 1;
    }
    slots
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_in_the_order_of_the_entry() {
        let all = fields::of_event().flat_map(|field| {
            let parts = field.parts_of_event().map(|part| part.path);
            std::iter::once(field.path).chain(parts)
        });
        let filled = Slot::ALL.map(|slot| slot.field().path);
        let in_order: Vec<_> = all.filter(|path| filled.contains(path)).collect();
        assert_eq!(in_order, filled);
    }

    #[test]
    fn the_parts_of_the_actor_and_of_the_context_are_slots() {
        let paths =
            |object: &Field| -> Vec<_> { object.parts_of_event().map(|part| part.path).collect() };
        let filled =
            |slots: &[Slot]| -> Vec<_> { slots.iter().map(|slot| slot.field().path).collect() };
        assert_eq!(filled(&Slot::OF_ACTOR), paths(&fields::ACTOR));
        assert_eq!(filled(&Slot::OF_CONTEXT), paths(&fields::CONTEXT));
    }

    #[test]
    fn every_part_of_the_context_is_a_slot_that_is_called_so_without_that_word() {
        for part in fields::CONTEXT.parts_of_event() {
            let slot = Slot::named(part.name).expect(part.name);
            assert_eq!((slot.field().path, slot.name()), (part.path, part.name));
            assert_eq!(Slot::named(part.path), Some(slot));
        }
        assert_eq!(Slot::named("context.tenant_id"), None);
        assert_eq!(Slot::named("id"), None);
    }

    #[test]
    fn spans_have_our_names_and_those_of_opentelemetry() {
        for (name, slot) in [
            ("tenant_id", Some(Slot::TenantId)),
            ("actor.id", Some(Slot::ActorId)),
            ("enduser.id", Some(Slot::ActorId)),
            ("session_id", Some(Slot::SessionId)),
            ("context.session_id", Some(Slot::SessionId)),
            ("context.host", Some(Slot::Host)),
            ("server.address", Some(Slot::Host)),
            ("host", None),
            ("user.id", None),
            ("actor.attributes", None),
        ] {
            assert_eq!(Slot::of_span(name), slot, "{name}");
        }
    }
}
