//! The severity of an event: a word that is fixed while compiling, or an expression that says so at
//! run time.
//!
//! An expression is an `if`, a `match` or a block whose ends are the same words, or anything whose
//! type is `tracing_audit::Severity`. Of the former it is known which severities are possible, so
//! that the catalogue lists only these.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote_spanned;
use syn::{Error, Expr, ExprLit, ExprPath, Lit, Result, Stmt, parse_quote, spanned::Spanned};
use tracing_audit_schema::severity::{NAMES, Severity};

use crate::{
    field::{Field, Sigil},
    slot::list,
};

/// The value of `severity = …`.
pub(crate) enum Given {
    Fixed(Severity),
    Computed {
        /// Of the type `Severity`.
        value: Box<Expr>,
        /// In rising order.
        possible: Vec<Severity>,
    },
}

/// Reads the field `severity`.
pub(crate) fn read(field: &Field, krate: &TokenStream) -> Result<Given> {
    let value = &field.value;
    if field.sigil != Sigil::Json {
        return Err(Error::new_spanned(
            value,
            format!(
                "`severity` is one of {}; write it without `{}`",
                names(),
                field.sigil.as_str()
            ),
        ));
    }
    if let Expr::Path(path) = value
        && let Some(fixed) = word(path)?
    {
        return Ok(Given::Fixed(fixed));
    }
    let mut value = value.clone();
    let mut possible = Vec::new();
    Ends {
        krate,
        possible: &mut possible,
    }
    .expression(&mut value)?;
    possible.sort_unstable();
    possible.dedup();
    Ok(Given::Computed {
        value: Box::new(value),
        possible,
    })
}

/// The variant of the library's type.
pub(crate) fn variant(severity: Severity) -> Ident {
    Ident::new(&format!("{severity:?}"), Span::mixed_site())
}

fn names() -> String {
    list(&NAMES)
}

/// The severity that a path names; `None` if it is the path of a value.
fn word(path: &ExprPath) -> Result<Option<Severity>> {
    let Some(name) = path.path.get_ident().map(Ident::to_string) else {
        return Ok(None);
    };
    if let Some(severity) = Severity::from_name(&name) {
        return Ok(Some(severity));
    }
    match Severity::nearest(&name) {
        None => Ok(None),
        Some(nearest) => Err(Error::new_spanned(
            path,
            format!(
                "`severity` is one of {}; write `severity = {}`",
                names(),
                nearest.as_str()
            ),
        )),
    }
}

/// The places where an expression ends with its value.
struct Ends<'a> {
    krate: &'a TokenStream,
    possible: &'a mut Vec<Severity>,
}

impl Ends<'_> {
    /// Puts the library's type in the place of the words.
    fn expression(&mut self, end: &mut Expr) -> Result<()> {
        match end {
            Expr::Paren(inner) => self.expression(&mut inner.expr),
            Expr::Group(inner) => self.expression(&mut inner.expr),
            Expr::Block(block) => self.block(&mut block.block),
            Expr::Unsafe(block) => self.block(&mut block.block),
            Expr::Match(matched) => matched
                .arms
                .iter_mut()
                .try_for_each(|arm| self.expression(&mut arm.body)),
            Expr::If(condition) => {
                let Some((_, otherwise)) = &mut condition.else_branch else {
                    let message = "`severity` needs an `else`, such as `else { info }`";
                    return Err(Error::new_spanned(condition.if_token, message));
                };
                self.expression(otherwise)?;
                self.block(&mut condition.then_branch)
            }
            Expr::Path(path) => match word(path)? {
                Some(severity) => {
                    self.possible.push(severity);
                    *end = self.variant(severity, path.span());
                    Ok(())
                }
                None => {
                    self.value(variant_of(path));
                    Ok(())
                }
            },
            Expr::Lit(literal) => Err(of_literal(literal)),
            // These end elsewhere.
            Expr::Return(_) | Expr::Break(_) | Expr::Continue(_) => Ok(()),
            _ => {
                self.value(None);
                Ok(())
            }
        }
    }

    fn block(&mut self, block: &mut syn::Block) -> Result<()> {
        match block.stmts.last_mut() {
            Some(Stmt::Expr(end, None)) => self.expression(end),
            // Of a macro the compiler knows the type; it may be `panic!`.
            Some(Stmt::Macro(_)) => {
                self.value(None);
                Ok(())
            }
            Some(Stmt::Expr(Expr::Return(_) | Expr::Break(_) | Expr::Continue(_), _)) => Ok(()),
            _ => Err(Error::new(
                block.span(),
                format!("`severity` is one of {}; this block gives none", names()),
            )),
        }
    }

    /// A value of the application's, which may be any, or is this one.
    fn value(&mut self, known: Option<Severity>) {
        match known {
            Some(severity) => self.possible.push(severity),
            None => self.possible.extend(Severity::ALL),
        }
    }

    fn variant(&self, severity: Severity, span: Span) -> Expr {
        let krate = self.krate;
        let variant = variant(severity);
        let path = quote_spanned!(span=> #krate::Severity::#variant);
        parse_quote!(#path)
    }
}

/// The severity that is called `Severity::Warning`; of another type it would not compile.
fn variant_of(path: &ExprPath) -> Option<Severity> {
    let mut segments = path.path.segments.iter().rev();
    let name = segments.next()?.ident.to_string();
    let of = &segments.next()?.ident;
    let severity = Severity::from_name(&name.to_ascii_lowercase())?;
    (of == "Severity").then_some(severity)
}

fn of_literal(literal: &ExprLit) -> Error {
    let message = match &literal.lit {
        Lit::Str(text) => match Severity::nearest(&text.value()) {
            Some(nearest) => format!(
                "`severity` is written without quotes: `severity = {}`",
                nearest.as_str()
            ),
            None => format!("`severity` is one of {}, without quotes", names()),
        },
        _ => format!("`severity` is one of {}", names()),
    };
    Error::new_spanned(literal, message)
}
