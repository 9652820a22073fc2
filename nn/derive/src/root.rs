//! Under what name the crate that uses a macro knows `flambeau-nn`.

use std::path::Path;
use std::{env, fs};

use proc_macro2::TokenStream;
use quote::quote;

/// `::flambeau_nn`, or `::flambeau::nn` in a crate whose manifest has the facade and not `flambeau-nn` itself.
pub(crate) fn path() -> TokenStream {
    let manifest = env::var_os("CARGO_MANIFEST_DIR")
        .and_then(|folder| fs::read_to_string(Path::new(&folder).join("Cargo.toml")).ok())
        .unwrap_or_default();
    if depends_on(&manifest, "flambeau") && !depends_on(&manifest, "flambeau-nn") {
        quote!(::flambeau::nn)
    } else {
        quote!(::flambeau_nn)
    }
}

/// Whether a manifest has a dependency of this name.
fn depends_on(manifest: &str, name: &str) -> bool {
    manifest.lines().map(str::trim).any(|line| {
        let table = line
            .strip_suffix(']')
            .and_then(|line| line.strip_suffix(name))
            .is_some_and(|line| line.ends_with("dependencies."));
        let key = line.strip_prefix(name).map(str::trim_start);
        table || key.is_some_and(|rest| rest.starts_with(['=', '.']))
    })
}

#[cfg(test)]
mod tests {
    use super::depends_on;

    #[test]
    fn dependencies_are_found_in_all_spellings() {
        let spellings = [
            "flambeau = \"0.1\"",
            "[dependencies]\n  flambeau={ path = \"..\" }",
            "flambeau.workspace = true",
            "[target.'cfg(unix)'.dependencies.flambeau]",
        ];
        for spelling in spellings {
            assert!(depends_on(spelling, "flambeau"), "{spelling}");
            assert!(!depends_on(spelling, "flambeau-nn"), "{spelling}");
        }
        for other in [
            "name = \"flambeau\"",
            "flambeau-nn = \"0.1\"",
            "[package.metadata.flambeau]",
            "# flambeau",
        ] {
            assert!(!depends_on(other, "flambeau"), "{other}");
        }
    }
}
