//! `#[observed]`: the body of a method becomes a closure over its tensors, which `flambeau_nn::observe` calls.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Error, FnArg, Ident, ImplItemFn, Pat, Result, Type};

use crate::root;

pub(crate) fn expand(arguments: TokenStream, mut method: ImplItemFn) -> Result<TokenStream> {
    if !arguments.is_empty() {
        return Err(Error::new_spanned(arguments, "`observed` takes no arguments"));
    }
    if method.sig.receiver().is_none() {
        return Err(Error::new_spanned(
            &method.sig,
            "`observed` is for methods with `self`",
        ));
    }
    let tensors: Vec<&Ident> = method.sig.inputs.iter().filter_map(tensor).collect();
    let (nn, body) = (root::path(), &method.block);
    method.block = syn::parse_quote!({
        #nn::observe(self, [#(#tensors),*], |[#(#tensors),*]| #body)
    });
    Ok(quote!(#method))
}

/// The argument's name if its type is `&Tensor`.
fn tensor(argument: &FnArg) -> Option<&Ident> {
    let FnArg::Typed(argument) = argument else {
        return None;
    };
    let (Pat::Ident(name), Type::Reference(reference)) = (&*argument.pat, &*argument.ty) else {
        return None;
    };
    match &*reference.elem {
        Type::Path(path) if path.path.segments.last()?.ident == "Tensor" => Some(&name.ident),
        _ => None,
    }
}
