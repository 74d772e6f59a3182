//! From the declaration of a struct to its `impl Shared`.

use std::collections::HashSet;

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::{Data, DeriveInput, Error, Fields, Index, Member, Result, ext::IdentExt, parse_quote, spanned::Spanned};

use crate::attributes::{Layout, crate_path, layout};

/// As in `sharedware::segment::schema`.
const MAX_NAME: usize = 128;

pub(crate) fn shared(input: &DeriveInput) -> Result<TokenStream> {
    let fields = fields(input)?;
    let layout = layout(&input.attrs)?.ok_or_else(|| {
        Error::new(
            input.ident.span(),
            "`Shared` needs a layout that every program agrees on: add `#[repr(C)]`, or `#[repr(transparent)]` \
             around a single field",
        )
    })?;
    let path = crate_path(&input.attrs)?;
    let schema = quote!(#path::segment::schema);

    let entries = fields.iter().enumerate().map(|(i, field)| {
        let (name, member) = match &field.ident {
            Some(ident) => (ident.unraw().to_string(), Member::Named(ident.clone())),
            None => (i.to_string(), Member::Unnamed(Index::from(i))),
        };
        if name.len() > MAX_NAME {
            let message = format!("the name of a field in shared memory has at most {MAX_NAME} bytes");
            return Err(Error::new(field.ident.span(), message));
        }
        let ty = &field.ty;
        let field_schema = quote_spanned!(ty.span()=> <#ty as #schema::Shared>::schema());
        let entry = quote!((#name, ::core::mem::offset_of!(Self, #member), #field_schema));
        // The same for the compiler.
        let constant = quote!((#name, ::core::mem::offset_of!(Self, #member), <#ty as #schema::Shared>::__LAYOUT));
        Ok((entry, constant))
    });
    let (entries, constants): (Vec<_>, Vec<_>) = entries.collect::<Result<Vec<_>>>()?.into_iter().unzip();
    let size = quote!(::core::mem::size_of::<Self>());
    let constants = quote!(fields: &[#(#constants),*]);
    let (build, constant) = match layout {
        Layout::C => (quote!(structure), quote!(Struct { size: #size, #constants })),
        Layout::Transparent => (quote!(transparent), quote!(Transparent { #constants })),
    };

    let ident = &input.ident;
    let generics = bounded(input, fields, &schema);
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    // The trait asks for this too; asked here first, the compiler says what to do. Generic types are asked in their
    // bounds.
    let check = generics.params.is_empty().then(|| {
        let call = quote_spanned!(ident.span()=> #schema::__derive::plain::<#ident>());
        quote!(const _: () = #call;)
    });
    Ok(quote! {
        #check

        #[automatically_derived]
        impl #impl_generics #schema::Shared for #ident #type_generics #where_clause {
            fn schema() -> #schema::Schema {
                #schema::__derive::#build(#size, [#(#entries),*])
            }

            const __LAYOUT: #schema::__derive::Layout = #schema::__derive::Layout::#constant;
        }
    })
}

/// The fields of a struct; an error for anything that is not a struct or has none.
fn fields(input: &DeriveInput) -> Result<&Fields> {
    match &input.data {
        Data::Struct(data) if data.fields.is_empty() => {
            Err(Error::new(input.ident.span(), "a struct without fields has nothing to share"))
        }
        Data::Struct(data) => Ok(&data.fields),
        Data::Enum(data) => Err(Error::new(
            data.enum_token.span,
            "an enum cannot be `Shared`: another process may write a number that is none of its variants; store an \
             integer and convert",
        )),
        Data::Union(data) => Err(Error::new(
            data.union_token.span,
            "a union cannot be `Shared`: nothing says which of its fields the bytes are; store `[u8; N]` and convert",
        )),
    }
}

/// The generics of the type, with what the trait asks for: that the type is plain old data and that the fields which
/// depend on a type parameter are `Shared`. What depends on none is checked where it is used, with a better error.
fn bounded(input: &DeriveInput, fields: &Fields, schema: &TokenStream) -> syn::Generics {
    let mut generics = input.generics.clone();
    if generics.params.is_empty() {
        return generics;
    }
    let parameters: HashSet<_> = generics.type_params().map(|parameter| parameter.ident.clone()).collect();
    let (ident, (_, type_generics, _)) = (&input.ident, input.generics.split_for_impl());
    let clause = generics.make_where_clause();
    clause.predicates.push(parse_quote!(#ident #type_generics: #schema::__derive::PlainOldData));
    for ty in fields.iter().map(|field| &field.ty).filter(|ty| mentions(ty.to_token_stream(), &parameters)) {
        clause.predicates.push(parse_quote!(#ty: #schema::Shared));
    }
    generics
}

fn mentions(tokens: TokenStream, parameters: &HashSet<Ident>) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => parameters.contains(&ident),
        TokenTree::Group(group) => mentions(group.stream(), parameters),
        TokenTree::Punct(_) | TokenTree::Literal(_) => false,
    })
}
