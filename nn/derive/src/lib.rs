//! `#[derive(Module)]`: makes the fields of a struct the members of a module, under their own names.
//!
//! ```text
//! #[derive(Module)]
//! struct Classifier {
//!     embedding: Embedding,
//!     layers: Vec<Linear>,            // keys layers.0.weight, layers.1.weight, …
//!     scale: Parameter,
//!     hidden: usize,                  // numbers, bools and strings are no members
//!     #[module(skip)]
//!     vocabulary: Vocabulary,         // neither is what is skipped
//! }
//! ```
//!
//! Every field must be a `Member`, so nothing that holds parameters is left out by oversight: what isn't one does not
//! compile until it is skipped. `#[module(rename = "0")]` gives a field another name in the keys;
//! `#[module(describe)]` on the struct prints the module with its inherent method `describe(&self) -> String`, and
//! `#[module(cost)]` counts its multiplications by `cost(&self, &[Tensor], &[Tensor]) -> u64`; `#[module(name = "Block")]`
//! prints it under another name.
//!
//! `#[observed]` on a method shows its calls to hooks and summaries.

mod observed;
mod root;

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::{Data, DeriveInput, Error, Field, Fields, Index, LitStr, Member, Result, parse_quote};

/// Implements `Module` and `Member` for a struct; see the crate's documentation.
#[proc_macro_derive(Module, attributes(module))]
pub fn derive_module(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let input = syn::parse_macro_input!(input as DeriveInput);
    expand(input).unwrap_or_else(Error::into_compile_error).into()
}

/// Shows the calls of a method of a module to hooks and summaries: on `forward`, with `self` and any number of tensors by
/// reference.
#[proc_macro_attribute]
pub fn observed(
    arguments: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    let method = syn::parse_macro_input!(item as syn::ImplItemFn);
    observed::expand(arguments.into(), method)
        .unwrap_or_else(Error::into_compile_error)
        .into()
}

fn expand(mut input: DeriveInput) -> Result<TokenStream> {
    let nn = root::path();
    let Data::Struct(data) = &input.data else {
        return Err(Error::new_spanned(
            &input.ident,
            "Module can be derived for structs only",
        ));
    };
    let members = members(&data.fields)?;
    let Options {
        describe,
        cost,
        name: printed,
    } = options(&input)?;
    let describe = describe.then(|| {
        quote! {
            fn extra_repr(&self) -> ::std::string::String {
                self.describe()
            }
        }
    });
    let cost = cost.then(|| {
        quote! {
            fn multiply_adds(
                &self,
                inputs: &[#nn::Tensor],
                outputs: &[#nn::Tensor],
            ) -> u64 {
                self.cost(inputs, outputs)
            }
        }
    });

    let types: Vec<_> = input
        .generics
        .type_params()
        .map(|param| param.ident.clone())
        .collect();
    let clause = input.generics.make_where_clause();
    for ty in types {
        // A parameter that only skipped fields have need be no member.
        clause
            .predicates
            .push(if members.iter().any(|(.., of)| names(of, &ty)) {
                parse_quote!(#ty: #nn::Member)
            } else {
                parse_quote!(#ty: ::std::marker::Send + ::std::marker::Sync)
            });
    }
    let (impl_generics, type_generics, where_clause) = input.generics.split_for_impl();
    let name = &input.ident;
    let text = printed.unwrap_or_else(|| name.to_string());
    let keys: Vec<_> = members.iter().map(|(key, ..)| key).collect();
    let fields: Vec<_> = members.iter().map(|(_, field, _)| field).collect();
    Ok(quote! {
        impl #impl_generics #nn::Module for #name #type_generics #where_clause {
            fn name(&self) -> &str {
                #text
            }
            #describe
            #cost
            fn members<'members>(&'members self, visitor: &mut dyn #nn::Visitor<'members>) {
                let _ = &visitor;
                #( #nn::Member::visit(&self.#fields, #keys, visitor); )*
            }
            fn members_mut(&mut self, visitor: &mut dyn #nn::VisitorMut) -> #nn::Result<()> {
                let _ = &visitor;
                #( #nn::Member::visit_mut(&mut self.#fields, #keys, visitor)?; )*
                Ok(())
            }
        }
        impl #impl_generics #nn::Member for #name #type_generics #where_clause {
            fn visit<'members>(&'members self, name: &str, visitor: &mut dyn #nn::Visitor<'members>) {
                visitor.module(name, self)
            }
            fn visit_mut(
                &mut self,
                name: &str,
                visitor: &mut dyn #nn::VisitorMut,
            ) -> #nn::Result<()> {
                visitor.module(name, self)
            }
        }
    })
}

/// Whether an identifier stands among these tokens.
fn names(tokens: &TokenStream, ident: &Ident) -> bool {
    tokens.clone().into_iter().any(|token| match token {
        TokenTree::Ident(own) => own == *ident,
        TokenTree::Group(group) => names(&group.stream(), ident),
        _ => false,
    })
}

/// Names, places and types of the fields that are members.
fn members(fields: &Fields) -> Result<Vec<(String, Member, TokenStream)>> {
    let mut members = Vec::new();
    for (i, field) in fields.iter().enumerate() {
        let place = match &field.ident {
            Some(ident) => Member::Named(ident.clone()),
            None => Member::Unnamed(Index::from(i)),
        };
        let own = match &field.ident {
            Some(ident) => ident.to_string().trim_start_matches("r#").to_string(),
            None => i.to_string(),
        };
        if let Some(name) = key(field, own)? {
            members.push((name, place, field.ty.to_token_stream()));
        }
    }
    Ok(members)
}

/// The field's name in keys; none if it is skipped.
fn key(field: &Field, own: String) -> Result<Option<String>> {
    let mut name = Some(own);
    for attribute in field
        .attrs
        .iter()
        .filter(|attribute| attribute.path().is_ident("module"))
    {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("skip") {
                name = None;
            } else if meta.path.is_ident("rename") {
                name = Some(meta.value()?.parse::<LitStr>()?.value());
            } else {
                return Err(meta.error("expected `skip` or `rename = \"…\"`"));
            }
            Ok(())
        })?;
    }
    Ok(name)
}

/// What the struct's attributes say.
#[derive(Default)]
struct Options {
    describe: bool,
    cost: bool,
    name: Option<String>,
}

fn options(input: &DeriveInput) -> Result<Options> {
    let mut options = Options::default();
    for attribute in input
        .attrs
        .iter()
        .filter(|attribute| attribute.path().is_ident("module"))
    {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("describe") {
                options.describe = true;
            } else if meta.path.is_ident("cost") {
                options.cost = true;
            } else if meta.path.is_ident("name") {
                options.name = Some(meta.value()?.parse::<LitStr>()?.value());
            } else {
                return Err(meta.error("expected `describe`, `cost` or `name = \"…\"`"));
            }
            Ok(())
        })?;
    }
    Ok(options)
}
