//! What the attributes of a type say.

use syn::{Attribute, LitStr, Path, Result, meta::ParseNestedMeta, parenthesized, parse_quote, token};

/// The layouts that Rust promises.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// `repr(C)`: the fields in order.
    C,
    /// `repr(transparent)`: that of the one field.
    Transparent,
}

/// The layout that `#[repr(..)]` promises; `None` without such a promise.
pub(crate) fn layout(attributes: &[Attribute]) -> Result<Option<Layout>> {
    let mut layout = None;
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("repr")) {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("C") {
                layout = Some(Layout::C);
            } else if meta.path.is_ident("transparent") {
                layout = Some(Layout::Transparent);
            }
            // The rest changes offsets, which the compiler tells, or is the compiler's to refuse.
            skip_arguments(&meta)
        })?;
    }
    Ok(layout)
}

/// The `8` of `align(8)`.
fn skip_arguments(meta: &ParseNestedMeta<'_>) -> Result<()> {
    if meta.input.peek(token::Paren) {
        let arguments;
        parenthesized!(arguments in meta.input);
        arguments.parse::<proc_macro2::TokenStream>()?;
    }
    Ok(())
}

/// Where the crate is: `::sharedware`, or what `#[shared(crate = "..")]` says.
pub(crate) fn crate_path(attributes: &[Attribute]) -> Result<Path> {
    let mut path = parse_quote!(::sharedware);
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("shared")) {
        attribute.parse_nested_meta(|meta| {
            if !meta.path.is_ident("crate") {
                return Err(meta.error("the only attribute of `Shared` is `#[shared(crate = \"path\")]`"));
            }
            path = meta.value()?.parse::<LitStr>()?.parse()?;
            Ok(())
        })?;
    }
    Ok(path)
}
