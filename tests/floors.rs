//! The house has floors: lower ones never import higher ones, siblings on a floor do not import each other, and unsafe
//! code lives in files that say so at their top.
//!
//! The sources are parsed, not searched. Every path counts, wherever it stands: in nested `use` trees, expressions, types,
//! visibilities, attributes, inside macro calls, and in code for tests and loom models. A name at the root of the library
//! (`crate::Slot`) counts as the floor that `src/lib.rs` re-exports it from.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use syn::visit::{self, Visit};

/// The floors, lowest first. A new module at the root of the library takes its place here and in ARCHITECTURE.md.
const FLOORS: &[&[&str]] =
    &[&["base"], &["sys"], &["segment"], &["peer"], &["sync"], &["slot", "ring", "heap"], &["collections"]];

#[test]
fn nothing_imports_a_higher_floor_or_a_sibling() {
    let violations = check(&library());
    assert!(violations.is_empty(), "\n{}\n", lines(&violations));
}

#[test]
fn unsafe_code_lives_in_files_that_open_with_safety() {
    let violations: Vec<Violation> = library().iter().filter_map(safety).collect();
    assert!(violations.is_empty(), "\n{}\n", lines(&violations));
}

/// One file of the library.
struct Source {
    /// From the root of the repository.
    path: String,
    /// The module it is: `["segment", "region"]`; empty for `src/lib.rs`.
    module: Vec<String>,
    syntax: syn::File,
}

struct Violation {
    path: String,
    line: usize,
    what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

fn lines(violations: &[Violation]) -> String {
    violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// All files below `src/`.
fn library() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    collect(&root.join("src"), &mut files);
    files.sort();
    let sources: Vec<Source> = files
        .iter()
        .map(|file| {
            let path = file.strip_prefix(root).expect("below the root").to_str().expect("UTF-8");
            parse(path, &fs::read_to_string(file).expect("readable"))
        })
        .collect();
    assert!(sources.iter().any(|source| source.path == "src/lib.rs"), "the sources are not where they were");
    sources
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("readable") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn parse(path: &str, text: &str) -> Source {
    let syntax = syn::parse_file(text).unwrap_or_else(|error| panic!("{path}:{}: {error}", error.span().start().line));
    let below = path.strip_prefix("src/").unwrap_or(path).trim_end_matches(".rs");
    let mut module: Vec<String> = below.split('/').map(str::to_owned).collect();
    if module.last().is_some_and(|last| last == "mod" || last == "lib") {
        module.pop();
    }
    Source { path: path.to_owned(), module, syntax }
}

/// The floor of a module at the root of the library.
fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

fn check(sources: &[Source]) -> Vec<Violation> {
    let facade = facade(sources);
    let mut violations = Vec::new();
    for source in sources {
        let imports = imports(source);
        for line in imports.custom_paths {
            violations.push(Violation {
                path: source.path.clone(),
                line,
                what: "`#[path]` hides which floor a file is on; let the tree be the map".to_owned(),
            });
        }
        let Some(from) = source.module.first() else { continue };
        let mut report = |line, what| violations.push(Violation { path: source.path.clone(), line, what });
        let Some(own) = floor(from) else {
            report(1, format!("module `{from}` is on no floor; give it one in FLOORS (tests/floors.rs)"));
            continue;
        };
        for (line, name) in imports.names {
            // At the root there are modules, names re-exported from modules, and nothing else.
            let targets = if floor(&name).is_some() {
                vec![name.clone()]
            } else {
                facade.get(&name).cloned().unwrap_or_default()
            };
            if targets.is_empty() && !facade.contains_key(&name) {
                report(
                    line,
                    format!("`crate::{name}` is on no floor; name it by its module, or give that a floor in FLOORS"),
                );
            }
            for target in targets {
                let Some(other) = floor(&target) else { continue };
                if other > own {
                    report(
                        line,
                        format!("`{from}` (floor {own}) imports `{target}` (floor {other}) through `crate::{name}`"),
                    );
                } else if other == own && target != *from {
                    report(
                        line,
                        format!("`{from}` imports its sibling `{target}` (floor {own}) through `crate::{name}`"),
                    );
                }
            }
        }
    }
    violations
}

/// What the root of the library offers by name, and the modules that it comes from: re-exports in `src/lib.rs`, and macros
/// with `#[macro_export]`. A name from another crate comes from no module.
fn facade(sources: &[Source]) -> BTreeMap<String, Vec<String>> {
    let mut facade: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for source in sources {
        let module = source.module.first();
        for item in &source.syntax.items {
            match item {
                syn::Item::Use(item) if module.is_none() => {
                    for leaf in leaves(&item.tree) {
                        let segments: Vec<String> = leaf.segments.iter().map(ToString::to_string).collect();
                        let first = segments.iter().find(|segment| !["crate", "self"].contains(&segment.as_str()));
                        let from = first.filter(|first| floor(first).is_some());
                        facade.entry(leaf.name.clone()).or_default().extend(from.cloned());
                    }
                }
                syn::Item::Macro(item) => {
                    if let Some(name) = item.ident.as_ref().filter(|_| has(&item.attrs, "macro_export")) {
                        facade.entry(name.to_string()).or_default().extend(module.cloned());
                    }
                }
                _ => {}
            }
        }
    }
    facade
}

fn has(attributes: &[syn::Attribute], name: &str) -> bool {
    attributes.iter().any(|attribute| attribute.path().is_ident(name))
}

/// One import of a `use` tree.
struct Leaf {
    segments: Vec<Ident>,
    /// What it is called where it was imported.
    name: String,
}

fn leaves(tree: &syn::UseTree) -> Vec<Leaf> {
    fn walk(tree: &syn::UseTree, before: &[Ident], found: &mut Vec<Leaf>) {
        let with = |ident: &Ident| before.iter().chain([ident]).cloned().collect::<Vec<_>>();
        match tree {
            syn::UseTree::Path(path) => walk(&path.tree, &with(&path.ident), found),
            syn::UseTree::Name(name) => {
                let segments = if name.ident == "self" { before.to_vec() } else { with(&name.ident) };
                let name = segments.last().map(ToString::to_string).unwrap_or_default();
                found.push(Leaf { segments, name });
            }
            syn::UseTree::Rename(rename) => {
                let segments = if rename.ident == "self" { before.to_vec() } else { with(&rename.ident) };
                found.push(Leaf { segments, name: rename.rename.to_string() });
            }
            syn::UseTree::Glob(glob) => {
                let star = Ident::new("glob", glob.star_token.spans[0]);
                found.push(Leaf { segments: with(&star), name: "*".to_owned() });
            }
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| walk(tree, before, found)),
        }
    }
    let mut found = Vec::new();
    walk(tree, &[], &mut found);
    found
}

/// Everything a file takes from the root of the library.
struct Imports {
    /// Where we are: the file's module and the modules opened in it.
    module: Vec<String>,
    /// Lines, and names at the root.
    names: Vec<(usize, String)>,
    /// Lines with `#[path]`.
    custom_paths: Vec<usize>,
}

fn imports(source: &Source) -> Imports {
    let mut imports = Imports { module: source.module.clone(), names: Vec::new(), custom_paths: Vec::new() };
    imports.visit_file(&source.syntax);
    imports
}

impl Imports {
    /// A path as written. It reaches the root of the library by `crate`, by the library's own name, or by climbing; the
    /// segment after that is what it takes.
    fn path(&mut self, segments: &[Ident]) {
        let mut here = self.module.clone();
        let mut climbing = false;
        for (index, segment) in segments.iter().enumerate() {
            match segment.to_string().as_str() {
                "crate" | "sharedware" if index == 0 => {
                    here.clear();
                    climbing = true;
                }
                "super" => {
                    here.pop();
                    climbing = true;
                }
                "self" => {}
                name if climbing && here.is_empty() => {
                    let taken = (line(segment.span()), name.trim_start_matches("r#").to_owned());
                    // A `use` tree and its branches take one name several times.
                    if !self.names.contains(&taken) {
                        self.names.push(taken);
                    }
                    return;
                }
                _ => return,
            }
        }
        // `use crate as root` and the like: from here on nobody could tell what is taken.
        if let Some(last) = segments.last().filter(|_| climbing && here.is_empty()) {
            self.names.push((line(last.span()), "self".to_owned()));
        }
    }

    /// Paths in the unparsed arguments of macros and attributes.
    fn tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut index = 0;
        while index < tokens.len() {
            match &tokens[index] {
                TokenTree::Group(group) => self.tokens(group.stream()),
                TokenTree::Ident(first) => {
                    let mut segments = vec![first.clone()];
                    while let [TokenTree::Punct(a), TokenTree::Punct(b), TokenTree::Ident(next), ..] =
                        &tokens[index + 1..]
                    {
                        if (a.as_char(), b.as_char()) != (':', ':') {
                            break;
                        }
                        segments.push(next.clone());
                        index += 3;
                    }
                    if segments.len() > 1 {
                        self.path(&segments);
                    }
                }
                _ => {}
            }
            index += 1;
        }
    }
}

impl<'ast> Visit<'ast> for Imports {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        for leaf in leaves(&item.tree) {
            self.path(&leaf.segments);
        }
        item.attrs.iter().for_each(|attribute| self.visit_attribute(attribute));
        self.visit_visibility(&item.vis);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let elsewhere = item.attrs.iter().filter(|attribute| attribute.path().is_ident("path")).find(|attribute| {
            // Another name beside it stays on the floor; at the root, the name is the floor.
            let beside = |text: &str| !text.contains('/') && !self.module.is_empty();
            !text(attribute).is_some_and(|text| beside(&text))
        });
        if let Some(attribute) = elsewhere {
            self.custom_paths.push(line(attribute.pound_token.span));
        }
        if item.content.is_some() {
            self.module.push(item.ident.to_string());
            visit::visit_item_mod(self, item);
            self.module.pop();
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<Ident> = path.segments.iter().map(|segment| segment.ident.clone()).collect();
        // `pub(crate)`, `pub(super)`: no import.
        if segments.len() > 1 {
            self.path(&segments);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.tokens(call.tokens.clone());
        visit::visit_macro(self, call);
    }

    fn visit_meta_list(&mut self, list: &'ast syn::MetaList) {
        self.tokens(list.tokens.clone());
        visit::visit_meta_list(self, list);
    }
}

fn line(span: Span) -> usize {
    span.start().line
}

/// The text of `#[name = "text"]`, which a line of documentation is, too.
fn text(attribute: &syn::Attribute) -> Option<String> {
    match &attribute.meta {
        syn::Meta::NameValue(syn::MetaNameValue { value: syn::Expr::Lit(literal), .. }) => match &literal.lit {
            syn::Lit::Str(text) => Some(text.value()),
            _ => None,
        },
        _ => None,
    }
}

/// What is wrong with a file's `# Safety` paragraph, if anything.
fn safety(source: &Source) -> Option<Violation> {
    let allowed = allowance(source);
    let violation = |line, what: &str| Some(Violation { path: source.path.clone(), line, what: what.to_owned() });
    match (allowed, first_heading(&source.syntax).as_deref() == Some("Safety")) {
        (Some(line), false) => violation(line, "allows unsafe code, but its module docs do not open with `# Safety`"),
        (None, true) => violation(1, "opens its module docs with `# Safety`, but does not allow unsafe code"),
        _ => None,
    }
}

/// The line of the first attribute that lets unsafe code in, also below `cfg_attr`.
fn allowance(source: &Source) -> Option<usize> {
    struct Allowance(Option<usize>);

    impl Allowance {
        fn tokens(&mut self, tokens: TokenStream) {
            let tokens: Vec<TokenTree> = tokens.into_iter().collect();
            for (index, token) in tokens.iter().enumerate() {
                if let (TokenTree::Ident(level), Some(TokenTree::Group(lints))) = (token, tokens.get(index + 1)) {
                    self.level(level, lints.stream());
                }
                if let TokenTree::Group(group) = token {
                    self.tokens(group.stream());
                }
            }
        }

        fn level(&mut self, level: &Ident, lints: TokenStream) {
            let names = |token: &TokenTree| matches!(token, TokenTree::Ident(ident) if ident == "unsafe_code");
            if ["allow", "expect", "warn"].iter().any(|opening| level == opening)
                && lints.into_iter().any(|it| names(&it))
            {
                self.0 = self.0.or(Some(line(level.span())));
            }
        }
    }

    impl<'ast> Visit<'ast> for Allowance {
        fn visit_meta_list(&mut self, list: &'ast syn::MetaList) {
            if let Some(level) = list.path.get_ident() {
                self.level(level, list.tokens.clone());
            }
            self.tokens(list.tokens.clone());
        }

        fn visit_macro(&mut self, call: &'ast syn::Macro) {
            self.tokens(call.tokens.clone());
        }
    }

    let mut allowance = Allowance(None);
    allowance.visit_file(&source.syntax);
    allowance.0
}

/// The first heading of the module docs.
fn first_heading(file: &syn::File) -> Option<String> {
    let docs = file.attrs.iter().filter(|attribute| attribute.path().is_ident("doc"));
    let texts = docs.filter_map(text);
    texts
        .collect::<Vec<_>>()
        .join("\n")
        .lines()
        .find_map(|line| Some(line.trim().strip_prefix("# ")?.trim().to_owned()))
}

/// The checker itself: what it must find, and what it must not.
mod checker {
    use super::*;

    /// The complaints about a library of these files, without their paths.
    fn complaints(files: &[(&str, &str)]) -> Vec<String> {
        let sources: Vec<Source> = files.iter().map(|(path, text)| parse(path, text)).collect();
        check(&sources).into_iter().map(|violation| format!("{}: {}", violation.line, violation.what)).collect()
    }

    fn one(path: &str, text: &str) -> String {
        let complaints = complaints(&[(path, text)]);
        assert_eq!(complaints.len(), 1, "{text}: {complaints:?}");
        complaints.into_iter().next().unwrap_or_default()
    }

    #[test]
    fn a_higher_floor_is_found_in_every_disguise() {
        for text in [
            "use crate::ring::Ring;",
            "use crate::ring;",
            "use crate::ring as r;",
            "use crate::ring::*;",
            "use crate::{base::atomic, ring::{spsc::{self, Producer}}};",
            "use ::sharedware::ring::Ring;",
            "use super::super::ring;",
            "fn f() { crate::ring::f(); }",
            "fn f(x: &Option<crate::ring::Ring>) {}",
            "fn f<T: crate::ring::Marker>() {}",
            "impl crate::ring::Marker for X {}",
            "fn f() { match 1 { crate::ring::ONE => {} _ => {} } }",
            "fn f() { assert_eq!(1, vec![crate::ring::ONE][0]); }",
            "macro_rules! m { () => { $crate::ring::f() } }",
            "#[derive(crate::ring::Derive)] struct X;",
            "mod inner { use super::super::super::ring; }",
            "mod inner { fn f() { super::super::super::ring::f() } }",
            "#[cfg(test)] mod tests { use crate::ring::Ring; }",
            "#[cfg(all(test, loom))] mod models { fn f() { crate::ring::f() } }",
            "pub(in crate::ring) fn f() {}",
            "fn f() { use crate::ring::Ring; }",
        ] {
            let complaint = one("src/segment/region.rs", text);
            assert!(complaint.contains("`segment` (floor 2) imports `ring` (floor 5)"), "{text}: {complaint}");
        }
    }

    #[test]
    fn a_sibling_is_found() {
        let complaint = one("src/slot/mod.rs", "//! Slots.\n\nuse super::ring::Ring;");
        assert_eq!(complaint, "3: `slot` imports its sibling `ring` (floor 5) through `crate::ring`");
    }

    #[test]
    fn a_name_at_the_root_counts_as_its_floor() {
        let root = ("src/lib.rs", "pub mod slot; pub use slot::{Slot as Cell}; pub use sharedware_derive::Shared;");
        let found = complaints(&[root, ("src/sys/mod.rs", "use crate::Cell; use crate::Shared;")]);
        assert_eq!(found, ["1: `sys` (floor 1) imports `slot` (floor 5) through `crate::Cell`"]);
        let found = complaints(&[root, ("src/sys/mod.rs", "use crate::*;")]);
        assert_eq!(found, ["1: `crate::glob` is on no floor; name it by its module, or give that a floor in FLOORS"]);
        let found = complaints(&[
            ("src/sync/mod.rs", "#[macro_export] macro_rules! wait { () => {} }"),
            ("src/slot/mod.rs", "fn f() { crate::wait!() }"),
            ("src/base/mod.rs", "fn f() { crate::wait!() }"),
        ]);
        assert_eq!(found, ["1: `base` (floor 0) imports `sync` (floor 4) through `crate::wait`"]);
    }

    #[test]
    fn what_cannot_be_told_is_refused() {
        assert!(one("src/sys/mod.rs", "use crate as root;").contains("on no floor"));
        assert!(one("src/sys/mod.rs", "use crate::{self as root};").contains("on no floor"));
        assert!(one("src/sys/mod.rs", "use crate::nowhere::X;").contains("`crate::nowhere` is on no floor"));
        assert!(one("src/attic.rs", "").contains("module `attic` is on no floor"));
        assert!(one("src/sys/mod.rs", "#[path = \"../elsewhere.rs\"] mod a;").contains("#[path]"));
        assert!(one("src/lib.rs", "#[path = \"sys.rs\"] mod ring;").contains("#[path]"));
        assert!(complaints(&[("src/sys/mod.rs", "#[path = \"derive.rs\"] mod __derive;")]).is_empty());
    }

    #[test]
    fn what_is_allowed_is_allowed() {
        let found = complaints(&[
            ("src/lib.rs", "pub mod ring; pub use ring::Ring; use crate::slot::Slot;"),
            ("src/ring/spsc/mod.rs", "use crate::{base, sync::Bell, ring::shared}; use super::shared; use std::ring;"),
            (
                "src/segment/region.rs",
                "pub(crate) fn f() { self::ring::f(); ring::f(); super::ring::f(); let ring = 1; }",
            ),
            ("src/sys/mod.rs", "/// [`crate::ring`]\npub(super) fn f() { mod a { use super::super::super::base; } }"),
        ]);
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn unsafe_code_and_its_paragraph_go_together() {
        let verdict = |text| safety(&parse("src/sys/map.rs", text)).map(|violation| violation.what);
        assert_eq!(verdict("//! Mapping.\n"), None);
        assert_eq!(verdict("//! Mapping.\n//!\n//! # Safety\n//!\n//! Why.\n#![allow(unsafe_code)]"), None);
        assert_eq!(verdict("//! # Safety\n#![expect(unsafe_code, reason = \"maps\")]"), None);
        for text in [
            "//! Mapping.\n#![allow(unsafe_code)]",
            "//! # Errors\n//! # Safety\n#![allow(unsafe_code)]",
            "//! Mapping.\nmod a { #[expect(missing_docs, unsafe_code)] fn f() {} }",
            "#![cfg_attr(test, allow(unsafe_code))]",
            "macro_rules! m { () => { #[allow(unsafe_code)] fn f() {} } }",
        ] {
            assert!(verdict(text).is_some_and(|what| what.contains("do not open")), "{text}");
        }
        assert!(verdict("//! # Safety\n").is_some_and(|what| what.contains("does not allow")));
    }
}
