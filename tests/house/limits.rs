//! `docs/limits.md` has every limit of the sources, with the value that it has there and a test that is there.
//!
//! A limit is a constant outside of tests and of the demonstration whose type is an integer, a `Duration` or a
//! `TimeDelta`, or a text whose name ends in `_TIMEOUT`, unless it is in [`BOUND_NOTHING`]; and the length of each
//! `Prose`.

use std::collections::BTreeSet;
use std::path::Path;

use super::source::{Token, closed, is_mark, tokens, without_tests, word};

/// Constants that bound nothing that anybody could meet: numbers of the trade, of formats and of other programs, prices
/// of plans, and how often something is looked at.
const BOUND_NOTHING: &[(&str, &str)] = &[
    ("app/access.rs", "TOKEN_BYTES"),
    ("app/displacing/lost.rs", "BATCH"),
    ("app/practice.rs", "FOUNDING"),
    ("domain/finding/starts.rs", "MOST_CLOCK_CHANGE"),
    ("domain/finding/ticks.rs", "BITS"),
    ("domain/finding/ticks.rs", "TICK_MICROS"),
    ("domain/hours.rs", "DAY_MINUTES"),
    ("domain/planning/cost.rs", "CHANGE"),
    ("domain/planning/cost.rs", "FINISH_DAY"),
    ("domain/planning/cost.rs", "GAP_DAY"),
    ("domain/planning/cost.rs", "HOURS"),
    ("domain/planning/cost.rs", "PRACTITIONER"),
    ("domain/planning/cost.rs", "WEEKDAY"),
    ("domain/planning/moving.rs", "DAY"),
    ("domain/planning/moving.rs", "MOVE"),
    ("domain/planning/moving.rs", "PRACTITIONER"),
    ("domain/planning/reach.rs", "ROOM"),
    ("domain/planning/search.rs", "EXCESS_FIRST"),
    ("domain/planning/search.rs", "FINISH_FIRST"),
    ("domain/planning/search.rs", "WEEK"),
    ("domain/waiting.rs", "NOT_URGENT"),
    ("embedded/binaries.rs", "OLDEST_MAJOR"),
    ("embedded/folder.rs", "INITDB_POLL"),
    ("embedded/mod.rs", "PORT"),
    ("embedded/pidfile.rs", "POLL"),
    ("embedded/pidfile.rs", "POLLS_PER_SECOND"),
    ("embedded/server.rs", "READY_POLL"),
    ("rpc/guard.rs", "MAX_TIMEOUT_DIGITS"),
    ("rpc/page.rs", "BINDING"),
    ("rpc/status.rs", "ENTRY_BYTES"),
    ("run.rs", "TROUBLE"),
    ("server/connections.rs", "PREFACE_BYTES"),
];
const INTEGERS: [&str; 12] = ["i8", "i16", "i32", "i64", "i128", "isize", "u8", "u16", "u32", "u64", "u128", "usize"];

/// What a limit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Value {
    Number(i128),
    Millis(i128),
}

/// A constant of the sources.
#[derive(Debug, Clone)]
struct Constant {
    file: String,
    name: String,
    expression: Vec<Token>,
}

/// The constants of a source that may be limits.
fn constants(file: &str, tokens: &[Token]) -> Vec<Constant> {
    let mut found = Vec::new();
    for i in (0..tokens.len()).filter(|i| word(tokens, *i) == Some("const") && is_mark(tokens, i + 2, ':')) {
        let Some(name) = word(tokens, i + 1) else { continue };
        let of_type = i + 3 + usize::from(is_mark(tokens, i + 3, '&'));
        let limits = match word(tokens, of_type) {
            Some("Duration" | "TimeDelta") => true,
            Some("str") => name.ends_with("_TIMEOUT"),
            Some(name) => INTEGERS.contains(&name),
            None => false,
        };
        // What follows in angle brackets is a parameter of something.
        if limits && is_mark(tokens, of_type + 1, '=') {
            let expression = tokens[of_type + 2..].iter().take_while(|token| **token != Token::Mark(';'));
            let (file, name) = (file.to_owned(), name.to_owned());
            found.push(Constant { file, name, expression: expression.cloned().collect() });
        }
    }
    found
}

/// The lengths of texts in a source.
fn lengths(tokens: &[Token]) -> BTreeSet<i128> {
    let of = |i: usize| (word(tokens, i) == Some("Prose") && is_mark(tokens, i + 1, '<')).then(|| word(tokens, i + 2));
    (0..tokens.len()).filter_map(of).flatten().filter_map(number).collect()
}

fn number(word: &str) -> Option<i128> {
    word.replace('_', "").parse().ok()
}

/// What a constant comes to, if it is a sum of products of numbers, durations and constants.
fn value(constant: &Constant, all: &[Constant]) -> Option<Value> {
    let sum = constant.expression.split(|token| *token == Token::Mark('+')).map(|product| {
        let factors = product.split(|token| *token == Token::Mark('*')).map(|factor| of_factor(factor, constant, all));
        factors.reduce(|a, b| match (a?, b?) {
            (Value::Number(a), Value::Number(b)) => Some(Value::Number(a * b)),
            _ => None,
        })?
    });
    sum.reduce(|a, b| match (a?, b?) {
        (Value::Number(a), Value::Number(b)) => Some(Value::Number(a + b)),
        _ => None,
    })?
}

fn of_factor(factor: &[Token], within: &Constant, all: &[Constant]) -> Option<Value> {
    let words: Vec<&str> = (0..factor.len()).filter_map(|i| word(factor, i)).collect();
    match (factor, words.as_slice()) {
        ([Token::Text(text)], _) => millis(text),
        (_, [written]) if number(written).is_some() => number(written).map(Value::Number),
        (_, ["Duration" | "TimeDelta", unit, amount]) => {
            let of_unit = match unit.trim_start_matches("from_") {
                "millis" => 1,
                "secs" => 1_000,
                "mins" => 60_000,
                "hours" => 3_600_000,
                _ => return None,
            };
            Some(Value::Millis(number(amount)? * of_unit))
        }
        (_, [.., name]) => {
            let named = || all.iter().filter(|constant| constant.name == *name);
            let other = named().find(|other| other.file == within.file).or_else(|| named().next())?;
            value(other, all)
        }
        _ => None,
    }
}

/// A time as people and PostgreSQL write it: `5s`, `10 min`.
fn millis(text: &str) -> Option<Value> {
    let (amount, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let of_unit = match unit.trim() {
        "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    Some(Value::Millis(number(amount)? * of_unit))
}

/// A row of the table.
#[derive(Debug)]
struct Row {
    name: String,
    file: String,
    value: String,
    tests: Vec<String>,
    /// Whether it says why there is no test.
    excused: bool,
}

fn ticked(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn rows(text: &str) -> Vec<Row> {
    let lines = text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| ---"));
    let cells = lines.map(|line| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>());
    cells
        .filter_map(|cells| {
            let [_, constant, value, _, test] = cells.as_slice() else { panic!("five cells: {cells:?}") };
            let [name, file] = ticked(constant).try_into().ok()?;
            let (value, excused) = ((*value).to_owned(), test.starts_with("none: "));
            Some(Row { name, file, value, tests: ticked(test), excused })
        })
        .collect()
}

/// Whether a cell begins with that value: `512`, `256 KiB`, `10 s, ...`.
fn says(cell: &str, value: Value) -> bool {
    let amount: String = cell.chars().take_while(|c| c.is_ascii_digit() || *c == ',').collect();
    let rest = cell[amount.len()..].trim_start();
    let unit: String = rest.chars().take_while(|c| c.is_ascii_alphabetic()).collect();
    let amount = amount.trim_end_matches(',').replace(',', "");
    match value {
        Value::Millis(_) => millis(&format!("{amount} {unit}")) == Some(value),
        Value::Number(expected) => {
            let of_unit = match unit.as_str() {
                "KiB" => 1024,
                "MiB" => 1024 * 1024,
                _ => 1,
            };
            number(&amount).is_some_and(|amount| amount * of_unit == expected)
        }
    }
}

/// The tests of a file, by name.
fn tests_of(text: &str) -> BTreeSet<String> {
    let tokens = tokens(text);
    let begins = |i: &usize| is_mark(&tokens, *i, '#') && is_mark(&tokens, i + 1, '[');
    let attributes = (0..tokens.len()).filter(begins).map(|i| (i, closed(&tokens, i + 1)));
    let of_tests = attributes.filter(|(from, to)| tokens[*from..*to].contains(&Token::Word("test".into())));
    of_tests
        .filter_map(|(_, to)| {
            let function = (to..to + 4).find(|i| word(&tokens, *i) == Some("fn"))?;
            word(&tokens, function + 1).map(str::to_owned)
        })
        .collect()
}

/// What is wrong with a table of limits, beside sources that are given as their path under `src` and text.
fn complaints(table: &str, sources: &[(String, String)], has_test: impl Fn(&str) -> bool) -> Vec<String> {
    let read: Vec<(&str, Vec<Token>)> =
        sources.iter().map(|(file, text)| (file.as_str(), without_tests(&tokens(text)).0)).collect();
    let all: Vec<Constant> = read.iter().flat_map(|(file, tokens)| constants(file, tokens)).collect();
    let exempt = |constant: &&Constant| BOUND_NOTHING.contains(&(&constant.file, &constant.name));
    let limits = all.iter().filter(|constant| !exempt(constant));
    let mut limits: Vec<(String, String, Option<Value>)> =
        limits.map(|limit| (limit.file.clone(), limit.name.clone(), value(limit, &all))).collect();
    let lengths: BTreeSet<i128> = read.iter().flat_map(|(_, tokens)| lengths(tokens)).collect();
    let prose = |length: &i128| ("domain/text.rs".into(), format!("Prose<{length}>"), Some(Value::Number(*length)));
    limits.extend(lengths.iter().map(prose));

    let mut complaints = Vec::new();
    let rows = rows(table);
    let is_of = |row: &Row, (file, name, _): &(String, String, Option<Value>)| (&row.file, &row.name) == (file, name);
    for limit in &limits {
        let (file, name, value) = limit;
        let said = rows.iter().any(|row| is_of(row, limit) && value.is_some_and(|value| says(&row.value, value)));
        if !said {
            complaints.push(format!("{file} {name} is {value:?}, which no row says"));
        }
    }
    for row in &rows {
        let Row { name, file, value, tests, excused } = row;
        if !limits.iter().any(|limit| is_of(row, limit) && limit.2.is_some_and(|known| says(value, known))) {
            complaints.push(format!("no {name} of {file} is {value}"));
        }
        if tests.is_empty() && !excused {
            complaints.push(format!("{name} of {file} has no test, and no reason why"));
        }
        complaints.extend(tests.iter().filter(|test| !has_test(test)).map(|test| format!("there is no test {test}")));
    }
    complaints
}

#[test]
fn every_limit_is_in_the_table_with_its_value_and_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = std::fs::read_to_string(root.join("docs/limits.md")).unwrap();
    let sources: Vec<(String, String)> = super::house()
        .into_iter()
        .map(|(file, text)| (file.trim_start_matches("src/").to_owned(), text))
        .filter(|(file, _)| !file.starts_with("demo/") && !file.ends_with("/tests.rs") && !file.contains("/tests/"))
        .collect();
    let has_test = |test: &str| {
        let (module, name) = test.rsplit_once("::").unwrap_or_default();
        let module = module.replace("::", "/");
        let homes = [format!("tests/{module}.rs"), format!("src/{module}.rs"), format!("src/{module}/mod.rs")];
        homes
            .iter()
            .filter_map(|home| std::fs::read_to_string(root.join(home)).ok())
            .any(|text| tests_of(&text).contains(name))
    };
    let complaints = complaints(&table, &sources, has_test);
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    for (file, name) in BOUND_NOTHING {
        let (_, text) = sources.iter().find(|(known, _)| known == file).expect(file);
        assert!(constants(file, &tokens(text)).iter().any(|constant| constant.name == *name), "{file} {name}");
    }
}

/// Holds the comparison of a table of one row with a source to finding exactly that.
#[track_caller]
fn finds(row: &str, source: &str, what: &[&str]) {
    let table = format!("| what | constant | value | at it | test |\n| --- | --- | --- | --- | --- |\n{row}\n");
    let found = complaints(&table, &[("a.rs".into(), source.into())], |test| test == "a::b");
    assert_eq!(found, what, "{row}");
}

#[test]
fn a_limit_that_is_not_said_as_it_is_is_found() {
    finds("| a | `A` `a.rs` | 256 KiB | b | `a::b` |", "pub(super) const A: usize = 256 * 1_024;", &[]);
    finds("| a | `A` `a.rs` | 90 s | b | none: why |", "const A: Duration = Duration::from_secs(90);", &[]);
    finds("| a | `A_TIMEOUT` `a.rs` | 5 s, c | b | `a::b` |", "const A_TIMEOUT: &str = \"5s\";", &[]);
    finds(
        "| a | `A` `a.rs` | 1,015 | b | `a::b` |",
        "const A: u8 = 1_000 + c::B; #[cfg(test)] const C: u8 = 1;",
        &["a.rs A is None, which no row says", "no A of a.rs is 1,015"],
    );
    finds("| a | `Prose<50>` `domain/text.rs` | 50 | b | `a::b` |", "struct A { a: Prose<50> }", &[]);
    let number = "a.rs A is Some(Number(5)), which no row says";
    finds("| a | `A` `a.rs` | 6 | b | `a::b` |", "const A: i64 = 5;", &[number, "no A of a.rs is 6"]);
    finds("| a | `A` `b.rs` | 5 | b | `a::b` |", "const A: i64 = 5;", &[number, "no A of b.rs is 5"]);
    let time = "a.rs A is Some(Millis(5000)), which no row says";
    finds(
        "| a | `A` `a.rs` | 5 min | b | `a::b` |",
        "const A: Duration = Duration::from_secs(5);",
        &[time, "no A of a.rs is 5 min"],
    );
    finds("| a | b | c | d | e |", "const A: i64 = 5; const B: &str = \"5s\"; const C: A = A;", &[number]);
    finds("| a | `A` `a.rs` | 5 | b | `a::c` |", "const A: i64 = 5;", &["there is no test a::c"]);
    finds("| a | `A` `a.rs` | 5 | b | |", "const A: i64 = 5;", &["A of a.rs has no test, and no reason why"]);
}
