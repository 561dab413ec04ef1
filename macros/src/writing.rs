//! The code that writes an event's values, in the entry's order.
//!
//! Everything known while compiling is text, and all the text between two values is one piece, so
//! that the code reads like the entry: text, value, text, value. Where the spans may fill in what
//! the event leaves empty, there is a method for each field instead.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use tracing_audit_schema::{self as schema, Kind, Slot, fields};

use crate::{
    argument::{at, denied, function_at, own, value_name, whole},
    check::{Event, Tree},
    field::Sigil,
    literal::{json_of, key_of, message_of},
};

/// The code that writes an event's values.
pub(crate) struct Writing<'a> {
    pub(crate) private: &'a TokenStream,
    pub(crate) event: &'a Event,
}

/// Code that writes neighbouring values, each call with all the text since the value before, as far
/// as that is known while compiling.
#[derive(Default)]
struct Run {
    code: TokenStream,
    /// The text that no call writes yet.
    known: String,
    /// How many objects it has opened.
    opened: usize,
}

impl Run {
    /// Writes a value with a method of the writer: `,"key":value`.
    fn value(&mut self, writer: &Ident, method: &str, key: &str, value: &TokenStream) {
        let (method, len) = (own(method), key.len());
        let text = std::mem::take(&mut self.known) + key;
        self.code
            .extend(quote!(#writer.#method(#text, #len, #value);));
    }

    /// Writes what is known, if anything is left.
    fn flush(&mut self, writer: &Ident) {
        if !self.known.is_empty() {
            let text = std::mem::take(&mut self.known);
            self.code.extend(quote!(#writer.known(#text);));
        }
    }

    /// Other code that writes.
    fn call(&mut self, writer: &Ident, code: TokenStream) {
        self.flush(writer);
        self.code.extend(code);
    }
}

impl Writing<'_> {
    /// All of it.
    pub(crate) fn code(&self, writer: &Ident) -> TokenStream {
        let mut run = Run::default();
        for slot in fields::of_event() {
            // Of the others the spans say nothing, so they are one run of text and values.
            if Slot::fills(slot) {
                let code = self.inherited_slot(slot, writer);
                if !code.is_empty() {
                    run.call(writer, code);
                }
            } else {
                self.own_slot(slot, writer, &mut run);
            }
        }
        run.flush(writer);
        run.code
    }

    /// A slot that the spans fill if the event leaves it empty.
    fn inherited_slot(&self, slot: &schema::Field, writer: &Ident) -> TokenStream {
        let Some(tree) = self.event.tree.get(slot.name) else {
            // The actor is filled at the latest before the first part that is not inherited.
            let next = || fields::of_event().any(|slot| !Slot::fills(slot) && self.is_given(slot));
            return if slot.name == "actor" && next() {
                quote!(#writer.after_actor();)
            } else {
                TokenStream::new()
            };
        };
        let (method, scope) = (own(slot.name), own("parts"));
        match tree {
            Tree::Value(field) if slot.name == "actor" => {
                let value = self.whole(slot.name, *field);
                quote!(#writer.actor(#value);)
            }
            Tree::Value(field) => match self.known_value(*field, true) {
                Some(json) if slot.name == "tenant_id" => {
                    let field = format!(",{}{json}", key_of(slot.name));
                    quote!(#writer.known_tenant_id(#field);)
                }
                _ => {
                    let value = self.rendered(*field);
                    quote!(#writer.#method(#value);)
                }
            },
            Tree::Parts(_) if slot.name == "context" => {
                let calls: TokenStream = slot
                    .parts_of_event()
                    .filter_map(|part| Some(self.context(part, tree.get(part.name)?, &scope)))
                    .collect();
                quote!(#writer.context(|#scope| { #calls });)
            }
            Tree::Parts(_) => {
                let calls: TokenStream = slot
                    .parts_of_event()
                    .filter_map(|part| Some(self.actor(part.name, tree.get(part.name)?, &scope)))
                    .collect();
                quote!(#writer.actor_parts(|#scope| { #calls });)
            }
        }
    }

    fn is_given(&self, slot: &schema::Field) -> bool {
        self.event.tree.get(slot.name).is_some()
            || slot.name == "description" && self.event.message.is_some()
    }

    /// A part of the actor.
    fn actor(&self, part: &str, tree: &Tree, scope: &Ident) -> TokenStream {
        match tree {
            Tree::Value(field) => {
                // `type` is a keyword.
                let method = own(if part == "type" { "kind" } else { part });
                let value = self.rendered(*field);
                quote!(#scope.#method(#value);)
            }
            Tree::Parts(_) => {
                let writer = own("writer");
                let mut run = Run::default();
                self.member(part, tree, &writer, &mut run);
                run.flush(&writer);
                let code = run.code;
                quote!(#scope.attribute_fields(|#writer| { #code });)
            }
        }
    }

    /// A field of the context.
    fn context(&self, part: &schema::Field, tree: &Tree, scope: &Ident) -> TokenStream {
        let Tree::Value(field) = tree else {
            return TokenStream::new();
        };
        let key = part.key;
        let value = self.rendered(*field);
        quote!(#scope.field(#key, #value);)
    }

    /// A slot that only the event fills.
    fn own_slot(&self, slot: &schema::Field, writer: &Ident, run: &mut Run) {
        let private = self.private;
        if slot.path == fields::DESCRIPTION.path
            && let Some(message) = &self.event.message
        {
            match message_of(message) {
                Some(json) => run.known += &format!("{}{json}", slot.key),
                None => {
                    let message = own("message");
                    let text = quote!(&#private::display(&#message));
                    run.value(writer, "text", slot.key, &text);
                }
            }
            return;
        }
        let Some(tree) = self.event.tree.get(slot.name) else {
            return;
        };
        let part = own(&slot.name.to_ascii_uppercase());
        let part = quote!(#private::Parts::#part);
        match (tree, slot.kind) {
            (Tree::Value(field), Kind::List) => match self.known_value(*field, false) {
                Some(json) => run.known += &format!("{}[{json}]", slot.key),
                None => run.value(writer, "list", slot.key, &self.rendered(*field)),
            },
            (Tree::Value(field), Kind::Map) => {
                let value = self.rendered(*field);
                run.call(writer, quote!(#writer.details_whole(#value);));
            }
            (Tree::Value(field), Kind::Object) => {
                let method = own(slot.name);
                let value = self.whole(slot.name, *field);
                run.call(writer, quote!(#writer.#method(#value);));
            }
            (Tree::Value(field), Kind::Text | Kind::Number) => {
                self.field(slot.name, *field, true, writer, run);
            }
            (Tree::Parts(_), Kind::Object) => {
                let parts = slot.parts_of_event();
                let given = parts.filter_map(|part| Some((part.name, tree.get(part.name)?)));
                let given: Vec<_> = given.collect();
                self.object(slot.name, &given, true, writer, run, Some(&part));
            }
            (Tree::Parts(parts), _) => {
                self.object(slot.name, &pairs(parts), false, writer, run, Some(&part));
            }
        }
    }

    /// An object and what is in it. `part` says which part of the entry it is, if it is one;
    /// `texts`, that its values are strings, but for maps.
    fn object(
        &self,
        key: &str,
        members: &[(&str, &Tree)],
        texts: bool,
        writer: &Ident,
        run: &mut Run,
        part: Option<&TokenStream>,
    ) {
        let flattens = members.iter().any(|(_, tree)| self.is_flattened(tree));
        let known_first = !flattens
            && members
                .first()
                .is_some_and(|(key, tree)| self.known_member(key, tree, texts).is_some());
        run.opened += 1;
        let object = format_ident!("object{}", run.opened, span = Span::mixed_site());
        if known_first {
            // Never empty, so it opens and closes with the text around it.
            run.code
                .extend(part.map(|part| quote!(#writer.has(#part);)));
            run.known += &format!(",{}", key_of(key));
        } else {
            let key = format!(",{}", key_of(key));
            let len = key.len();
            let text = std::mem::take(&mut run.known) + &key;
            run.code
                .extend(quote!(let #object = #writer.open(#text, #len);));
        }
        for (place, (key, tree)) in members.iter().enumerate() {
            match self.known_member(key, tree, texts) {
                Some(member) if place == 0 && known_first => {
                    run.known.push('{');
                    run.known += &member[1..];
                }
                Some(member) => run.known += &member,
                None => match tree {
                    Tree::Value(field) => {
                        self.field(key, *field, texts && !is_map(key), writer, run)
                    }
                    Tree::Parts(_) => self.member(key, tree, writer, run),
                },
            }
        }
        if known_first {
            run.known.push('}');
        } else {
            run.flush(writer);
            if flattens {
                run.code.extend(quote!(#writer.leave_last(&#object);));
            }
            run.code.extend(match part {
                Some(part) => quote!(#writer.close_part(#object, #part);),
                None => quote!(#writer.close(#object);),
            });
        }
    }

    /// A member of an object of the application's own.
    fn member(&self, key: &str, tree: &Tree, writer: &Ident, run: &mut Run) {
        match tree {
            Tree::Value(field) => self.field(key, *field, false, writer, run),
            Tree::Parts(parts) => self.object(key, &pairs(parts), false, writer, run, None),
        }
    }

    /// Whether the members of a field stand in its place.
    fn is_flattened(&self, tree: &Tree) -> bool {
        let Tree::Value(place) = tree else {
            return false;
        };
        let field = self.event.fields.get(*place);
        field.is_some_and(|field| field.sigil == Sigil::Flatten)
    }

    /// One value under its key.
    fn field(&self, key: &str, field: usize, text: bool, writer: &Ident, run: &mut Run) {
        if let Some(member) = self.known_value(field, text) {
            run.known += &format!(",{}{member}", key_of(key));
        } else {
            let value = self.rendered(field);
            let method = match self.event.fields.get(field) {
                Some(field) if field.sigil == Sigil::Flatten => "flatten",
                _ if text => "text",
                _ => "field",
            };
            run.value(writer, method, &format!(",{}", key_of(key)), &value);
        }
    }

    /// `,"key":value`, if all of it is known while compiling.
    fn known_member(&self, key: &str, tree: &Tree, text: bool) -> Option<String> {
        let value = match tree {
            Tree::Value(field) => self.known_value(*field, text && !is_map(key))?,
            Tree::Parts(parts) => {
                let members: Option<String> = parts
                    .iter()
                    .map(|(key, tree)| self.known_member(key, tree, false))
                    .collect();
                format!("{{{}}}", members?.strip_prefix(',')?)
            }
        };
        Some(format!(",{}{value}", key_of(key)))
    }

    /// The JSON of a field, if it is known while compiling; a string if it is to be `text`.
    fn known_value(&self, field: usize, text: bool) -> Option<String> {
        let json = json_of(self.event.fields.get(field)?)?;
        if text { as_text(json) } else { Some(json) }
    }

    /// A field's value as its sigil says.
    fn rendered(&self, place: usize) -> TokenStream {
        let Some(field) = self.event.fields.get(place) else {
            return TokenStream::new();
        };
        let private = self.private;
        if let Some(json) = json_of(field) {
            return quote!(&#private::literal(#json));
        }
        let value = value_name(place, field);
        match denied(field, private, &value) {
            Some(denied) => quote!(&#denied),
            None => {
                let function = function_at(private, field.sigil.function(), &field.value);
                quote_spanned!(at(&field.value)=> &#function(#value))
            }
        }
    }

    /// A field's value as it is: an actor, a resource or an outcome.
    fn whole(&self, slot: &str, place: usize) -> TokenStream {
        let Some(field) = self.event.fields.get(place) else {
            return TokenStream::new();
        };
        whole(slot, field, self.private, &value_name(place, field))
    }
}

/// Whether a part of an actor or a resource keeps its structure; the others are strings.
fn is_map(part: &str) -> bool {
    [
        fields::RESOURCE_ATTRIBUTES.name,
        fields::RESOURCE_PRIOR_ATTRIBUTES.name,
    ]
    .contains(&part)
}

fn pairs(parts: &[(String, Tree)]) -> Vec<(&str, &Tree)> {
    parts
        .iter()
        .map(|(key, tree)| (key.as_str(), tree))
        .collect()
}

/// The JSON of a literal as a string: `7` as `"7"`.
fn as_text(json: String) -> Option<String> {
    Some(if json.starts_with('"') {
        json
    } else {
        format!("\"{json}\"")
    })
}
