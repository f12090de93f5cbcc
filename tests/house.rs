//! The house keeps its order: who may use whom, where SQL, clocks and randomness are, and what code may not say.
//!
//! The sources are read as tokens, so that no comment, string or line break hides a path or feigns one. Each rule is
//! shown a source that breaks it.

use std::collections::BTreeSet;
use std::path::Path;

use source::{Token, is_mark, paths, tokens, without_tests};

mod limits;
mod source;

/// A module right under the root, what of the crate it may use, and which other crates.
struct Layer {
    name: &'static str,
    may_use: &'static [&'static str],
    crates: &'static [&'static str],
}

/// `main -> run -> server, demo -> rpc -> app -> store -> domain`; nothing points back.
const LAYERS: &[Layer] = &[
    Layer { name: "domain", may_use: &[], crates: &["chrono", "chrono_tz", "thiserror", "uuid"] },
    Layer { name: "store", may_use: &["domain"], crates: &["chrono", "sqlx", "thiserror", "tokio", "uuid"] },
    Layer {
        name: "app",
        may_use: &["store", "domain"],
        crates: &["base64", "chrono", "getrandom", "sha2", "thiserror", "tokio", "uuid"],
    },
    Layer {
        name: "rpc",
        may_use: &["app", "domain"],
        crates: &[
            "base64",
            "bytes",
            "chrono",
            "icalendar",
            "prost",
            "prost_reflect",
            "prost_types",
            "sha2",
            "tokio",
            "tonic",
            "tonic_prost",
            "tonic_types",
            "tower",
            "tracing",
            "uuid",
        ],
    },
    Layer { name: "demo", may_use: &["app", "domain"], crates: &["chrono", "sha2", "tracing", "uuid"] },
    Layer {
        name: "server",
        may_use: &["app", "rpc"],
        crates: &["anyhow", "rustix", "tokio", "tonic", "tonic_health", "tonic_reflection", "tonic_types", "tracing"],
    },
    Layer { name: "embedded", may_use: &[], crates: &["rustix", "sqlx", "thiserror", "tokio", "tracing"] },
    Layer { name: "config", may_use: &[], crates: &["chrono", "clap"] },
    Layer { name: "telemetry", may_use: &[], crates: &["tracing_subscriber"] },
    Layer {
        name: "run",
        may_use: &["app", "config", "demo", "domain", "embedded", "server", "store", "telemetry"],
        crates: &["anyhow", "clap", "tokio"],
    },
    Layer { name: "lib", may_use: &["run"], crates: &[] },
    Layer { name: "main", may_use: &[], crates: &["stipple"] },
];

/// Single paths that are used against the layers: file, path.
const EXCEPTIONS: &[(&str, &str)] = &[("src/rpc/status.rs", "store::StoreError")];
/// Where SQL may be. The private cluster looks whether its database is there, and makes it.
const SQL_HOMES: [&str; 2] = ["src/store/", "src/embedded/mod.rs"];
/// What begins a statement, as this code writes it.
const STATEMENTS: [&str; 16] = [
    "SELECT", "INSERT", "UPDATE", "DELETE", "WITH", "CREATE", "ALTER", "DROP", "TRUNCATE", "SET", "COPY", "LOCK",
    "BEGIN", "COMMIT", "NOTIFY", "LISTEN",
];
/// The one place that reads the machine's clock, and the one that asks for randomness.
const CLOCK_HOME: &str = "src/app/clock.rs";
const RANDOM_HOME: &str = "src/app/ids.rs";
/// May measure elapsed time, by tokio's clock: restarts of PostgreSQL are counted in a window.
const STOPWATCH_HOME: &str = "src/embedded/supervise.rs";
const CLOCKS: [&str; 4] = ["Utc", "Local", "SystemTime", "Instant"];
const RANDOM: [&str; 12] = [
    "getrandom",
    "rand",
    "fastrand",
    "OsRng",
    "thread_rng",
    "RandomState",
    "new_v4",
    "now_v1",
    "now_v6",
    "now_v7",
    "gen_random_uuid",
    "random_uuid",
];

/// The crates that a path can begin with.
fn known_crates() -> BTreeSet<String> {
    let manifest = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    let mut known: BTreeSet<String> = ["stipple", "core", "alloc"].map(str::to_owned).into();
    let mut section = "";
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line;
        } else if let ("[dependencies]", Some((name, _))) = (section, line.split_once('=')) {
            known.insert(name.trim().replace('-', "_"));
        }
    }
    assert!(known.contains("prost_reflect") && known.len() > 20, "{known:?}");
    known
}

/// What is wrong with these sources, each given as its path and text.
fn complaints(sources: &[(String, String)]) -> Vec<String> {
    let known = known_crates();
    let read: Vec<_> = sources.iter().map(|(file, text)| (file, without_tests(&tokens(text)))).collect();
    let test_files: BTreeSet<String> = read
        .iter()
        .flat_map(|(file, (_, modules))| modules.iter().map(move |module| format!("{}/{module}", folder(file))))
        .collect();
    let mut complaints = Vec::new();
    for (file, (tokens, _)) in read {
        if !Path::new(file.strip_suffix(".rs").unwrap()).ancestors().any(|a| test_files.contains(a.to_str().unwrap())) {
            let found = layering(file, tokens_paths(file, &tokens), &known).into_iter().chain(wording(file, &tokens));
            complaints.extend(found.map(|what| format!("{file}: {what}")));
        }
    }
    complaints
}

/// The folder that the modules of a file are in.
fn folder(file: &str) -> &str {
    let stem = file.strip_suffix(".rs").unwrap();
    stem.strip_suffix("/mod").or(stem.strip_suffix("/lib")).unwrap_or(stem)
}

/// The paths of a file, with `self` and `super` followed.
fn tokens_paths(file: &str, tokens: &[Token]) -> Vec<Vec<String>> {
    let home: Vec<String> = folder(file).split('/').skip(1).map(str::to_owned).collect();
    let mut all = paths(tokens);
    for path in &mut all {
        if path[0] != "self" && path[0] != "super" {
            continue;
        }
        let ups = path.iter().take_while(|segment| *segment == "super").count();
        let steps = path.iter().take_while(|segment| *segment == "super" || *segment == "self").count();
        let stays = home.len().saturating_sub(ups);
        let resolved = std::iter::once("crate".to_owned()).chain(home[..stays].iter().cloned());
        *path = resolved.chain(path[steps..].iter().cloned()).collect();
    }
    all
}

fn layering(file: &str, paths: Vec<Vec<String>>, known: &BTreeSet<String>) -> Vec<String> {
    let name = file.split('/').nth(1).unwrap().trim_end_matches(".rs");
    let Some(layer) = LAYERS.iter().find(|layer| layer.name == name) else {
        return vec!["belongs to no layer".to_owned()];
    };
    let mut complaints = Vec::new();
    for path in paths {
        let written = path.join("::");
        if path[0] == "crate" {
            let target = path.get(1).map_or("*", String::as_str);
            let excused = EXCEPTIONS.contains(&(file, written.trim_start_matches("crate::")));
            if target != name && !layer.may_use.contains(&target) && !excused {
                complaints.push(format!("{name} may not use {written}"));
            }
        } else if known.contains(&path[0]) && !layer.crates.contains(&path[0].as_str()) {
            complaints.push(format!("{name} may not use {written}"));
        }
    }
    complaints
}

fn wording(file: &str, tokens: &[Token]) -> Vec<String> {
    let mut complaints = Vec::new();
    let mark = |i, c| is_mark(tokens, i, c);
    for (i, token) in tokens.iter().enumerate() {
        let word = match token {
            Token::Word(word) => word.as_str(),
            Token::Text(text) => {
                let first = text.split_whitespace().next().unwrap_or_default();
                let at_home = SQL_HOMES.iter().any(|home| file.starts_with(home));
                if STATEMENTS.contains(&first) && text.trim() != first && !at_home {
                    complaints.push(format!("SQL outside of the store: {text}"));
                }
                continue;
            }
            Token::Mark(_) => continue,
        };
        let of = |names: &[&str]| {
            let before = i >= 3 && mark(i - 1, ':') && mark(i - 2, ':');
            before && source::word(tokens, i - 3).is_some_and(|word| names.contains(&word))
        };
        if word == "now" && of(&CLOCKS) && file != CLOCK_HOME && !(file == STOPWATCH_HOME && of(&["Instant"])) {
            complaints.push("reads a clock".to_owned());
        }
        if RANDOM.contains(&word) && file != RANDOM_HOME {
            complaints.push(format!("makes randomness: {word}"));
        }
        if matches!(word, "todo" | "unimplemented" | "dbg") && mark(i + 1, '!') {
            complaints.push(format!("says {word}!"));
        }
        if matches!(word, "unwrap" | "expect") && i > 0 && mark(i - 1, '.') && mark(i + 1, '(') {
            complaints.push(format!("says .{word}()"));
        }
    }
    complaints
}

fn house() -> Vec<(String, String)> {
    fn walk(folder: &Path, found: &mut Vec<(String, String)>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let file = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().to_str().unwrap().to_owned();
                found.push((file, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let mut found = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    found.sort();
    found
}

#[test]
fn every_source_keeps_the_rules_of_the_house() {
    let house = house();
    assert!(house.len() > 70, "{}", house.len());
    let complaints = complaints(&house);
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn every_permission_is_made_use_of() {
    let (mut layers, mut crates) = (BTreeSet::new(), BTreeSet::new());
    let mut used = BTreeSet::new();
    for (file, text) in house() {
        let name = file.split('/').nth(1).unwrap().trim_end_matches(".rs").to_owned();
        for path in tokens_paths(&file, &without_tests(&tokens(&text)).0) {
            used.insert((file.clone(), path.join("::")));
            if path[0] == "crate" {
                layers.extend(path.get(1).map(|target| (name.clone(), target.clone())));
            }
            crates.insert((name.clone(), path[0].clone()));
        }
    }
    for layer in LAYERS {
        let idle = |set: &BTreeSet<(String, String)>, target: &&&str| {
            !set.contains(&(layer.name.to_owned(), (**target).to_string()))
        };
        let idle_layers: Vec<_> = layer.may_use.iter().filter(|target| idle(&layers, target)).collect();
        let idle_crates: Vec<_> = layer.crates.iter().filter(|target| idle(&crates, target)).collect();
        // The library's own `pub use` starts at the module that it declares.
        assert!(layer.name == "lib" || idle_layers.is_empty(), "{}: {idle_layers:?}", layer.name);
        assert!(idle_crates.is_empty(), "{}: {idle_crates:?}", layer.name);
    }
    for (file, path) in EXCEPTIONS {
        assert!(used.contains(&((*file).to_owned(), format!("crate::{path}"))), "{file}: {path}");
    }
}

/// Holds the checker to finding exactly that in a planted source.
#[track_caller]
fn finds(file: &str, text: &str, what: &[&str]) {
    let found = complaints(&[(file.to_owned(), text.to_owned())]);
    let expected: Vec<_> = what.iter().map(|what| format!("{file}: {what}")).collect();
    assert_eq!(found, expected, "{text}");
}

#[test]
fn a_use_that_points_back_is_found_however_it_is_written() {
    finds("src/domain/a.rs", "use crate::store::booking;", &["domain may not use crate::store::booking"]);
    finds("src/domain/b/c.rs", "use super::super::super::app::App;", &["domain may not use crate::app::App"]);
    finds(
        "src/store/a.rs",
        "pub(crate) use crate::{domain::ids, app::{clock as c, App}};",
        &["store may not use crate::app::clock", "store may not use crate::app::App"],
    );
    finds(
        "src/app/a.rs",
        "fn f() -> crate::rpc::pb::X { g::<crate::server::Y>() }",
        &["app may not use crate::rpc::pb::X", "app may not use crate::server::Y"],
    );
    finds("src/rpc/a.rs", "use crate::store::StoreError;", &["rpc may not use crate::store::StoreError"]);
    finds("src/rpc/status.rs", "use crate::store::{StoreError, booking};", &["rpc may not use crate::store::booking"]);
    finds("src/demo/mod.rs", "use /* no */ crate\n  :: store :: booking;", &["demo may not use crate::store::booking"]);
    finds("src/server.rs", "use super::store;", &["server may not use crate::store"]);
    finds(
        "src/embedded/mod.rs",
        "macro_rules! m { () => { $crate::config::Config } }",
        &["embedded may not use crate::config::Config"],
    );
    finds("src/domain/a.rs", "use crate::*;", &["domain may not use crate::*"]);
    finds("src/elsewhere.rs", "", &["belongs to no layer"]);
}

#[test]
fn a_crate_that_a_layer_may_not_use_is_found() {
    finds(
        "src/domain/a.rs",
        "use {std::fmt, tokio::{self, time}};",
        &["domain may not use tokio::self", "domain may not use tokio::time"],
    );
    finds(
        "src/domain/a.rs",
        "#[derive(prost::Message)] struct A; #[tracing::instrument] fn f() {}",
        &["domain may not use prost::Message", "domain may not use tracing::instrument"],
    );
    finds("src/app/a.rs", "use sqlx as db;", &["app may not use sqlx"]);
    finds(
        "src/app/a.rs",
        "#[sqlx(transparent)] struct A(::tonic::Status);",
        &["app may not use sqlx", "app may not use tonic::Status"],
    );
    finds("src/rpc/a.rs", "extern crate sqlx;", &["rpc may not use sqlx"]);
    finds("src/store/a.rs", "fn f<'a>(c: char) { c == '\\''; tonic::f('\"', 'x') }", &["store may not use tonic::f"]);
}

#[test]
fn sql_outside_of_the_store_is_found() {
    finds("src/app/a.rs", "f(r#\"\n  SELECT \"1\"\"#)", &["SQL outside of the store: \n  SELECT \"1\""]);
    finds("src/embedded/server.rs", "f(\"CREATE DATABASE a\")", &["SQL outside of the store: CREATE DATABASE a"]);
    finds("src/store/a.rs", "f(\"SELECT 1\")", &[]);
    finds("src/app/a.rs", "f(\"Select a day\"); // \"SELECT 1\"", &[]);
}

#[test]
fn a_clock_or_randomness_in_another_place_is_found() {
    finds("src/app/a.rs", "let a = chrono::Utc::now();", &["reads a clock"]);
    finds("src/rpc/a.rs", "f(SystemTime :: now, std::time::Instant::now())", &["reads a clock", "reads a clock"]);
    finds("src/embedded/supervise.rs", "Instant::now(); SystemTime::now();", &["reads a clock"]);
    finds("src/app/clock.rs", "let a = chrono::Utc::now();", &[]);
    finds(
        "src/app/a.rs",
        "uuid::Uuid::now_v7(); getrandom::fill(b)",
        &["makes randomness: now_v7", "makes randomness: getrandom"],
    );
    finds("src/app/ids.rs", "getrandom::fill(b)", &[]);
}

#[test]
fn what_code_may_not_say_is_found_except_in_tests() {
    finds("src/app/a.rs", "todo!(); unimplemented!(); dbg!(1);", &["says todo!", "says unimplemented!", "says dbg!"]);
    finds("src/app/a.rs", "a.unwrap(); a\n.expect(\"b\"); a.unwrap_or(1)", &["says .unwrap()", "says .expect()"]);
    finds("src/app/a.rs", "#[cfg(test)] #[allow(x)] mod tests { use crate::rpc::pb; fn f() { a.unwrap() } }", &[]);
    finds(
        "src/app/a.rs",
        "#[cfg(test)] use crate::rpc::pb; #[cfg(test)] fn f(a: [u8; 2]) {} a.unwrap()",
        &["says .unwrap()"],
    );
    let with_tests = |declared: &str| {
        let test_file = ("src/app/a/tests.rs".to_owned(), "fn f() { a.unwrap() }".to_owned());
        complaints(&[("src/app/a/mod.rs".to_owned(), declared.to_owned()), test_file])
    };
    assert_eq!(with_tests("#[cfg(test)] mod tests;"), [""; 0]);
    let deeper = ("src/app/a/tests/more.rs".to_owned(), "use crate::rpc::pb;".to_owned());
    assert_eq!(complaints(&[("src/app/a.rs".to_owned(), "#[cfg(test)] mod tests;".to_owned()), deeper]), [""; 0]);
    assert_eq!(with_tests("#[cfg(test)] pub(super) mod tests;"), [""; 0]);
    assert_eq!(with_tests("mod tests;"), ["src/app/a/tests.rs: says .unwrap()"]);
}
