//! Fields that are not shown for the sake of their names.

use syn::Expr;
use tracing_audit_schema::secret_names::path_looks_secret;

use crate::field::Field;

/// Whether the field's value is not shown: it has such a name, or is in an object that has.
pub(crate) fn is_denied(field: &Field) -> bool {
    path_looks_secret(&field.path.to_string())
}

/// The form that a function gives a value so that it may stand under a denied name, as far as the
/// source shows: the catalogue's word for that, and the value.
pub(crate) fn shown(value: &Expr) -> Option<(&'static str, &Expr)> {
    match value {
        Expr::Call(call) => {
            let Expr::Path(function) = &*call.func else {
                return None;
            };
            let word = match function.path.segments.last()?.ident.to_string().as_str() {
                "mask" => "masked",
                "hashed" => "hashed",
                "unredacted" => "clear",
                "Some" | "map" => return call.args.iter().find_map(shown),
                _ => return None,
            };
            Some((word, call.args.first()?))
        }
        Expr::MethodCall(call) if call.method == "map" => call.args.iter().find_map(shown),
        Expr::Closure(closure) => shown(&closure.body),
        Expr::Reference(reference) => shown(&reference.expr),
        Expr::Paren(paren) => shown(&paren.expr),
        Expr::Group(group) => shown(&group.expr),
        _ => None,
    }
}
