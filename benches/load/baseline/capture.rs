//! The statements of a booking, with their values, as PostgreSQL logs them.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};

/// A statement as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    pub sql: String,
    /// In the order of their numbers, as text; none for NULL.
    pub values: Vec<Option<String>>,
}

/// What one booking sends: who calls, then everything from BEGIN to COMMIT.
pub type Transaction = Vec<Statement>;

/// PostgreSQL's log.
pub struct Log(PathBuf);

impl Log {
    /// That of the cluster in this folder.
    pub fn of(data_dir: &Path) -> Self {
        Self(data_dir.join("postgres.log"))
    }

    /// Forgets what is in it; who writes it appends.
    pub fn empty(&self) {
        File::options().write(true).open(&self.0).and_then(|file| file.set_len(0)).expect("the log can be emptied");
    }

    /// The transactions in it that wrote.
    pub fn transactions(&self) -> Vec<Transaction> {
        transactions(&std::fs::read_to_string(&self.0).expect("the log can be read"))
    }
}

fn transactions(log: &str) -> Vec<Transaction> {
    let mut done = Vec::new();
    let mut open: HashMap<String, Transaction> = HashMap::new();
    // What a session asks outside of transactions is who calls: by practice, which is its first value.
    let mut callers: HashMap<String, Statement> = HashMap::new();
    for (session, statement) in statements(log) {
        let (begins, ends) = (statement.sql.starts_with("BEGIN"), statement.sql == "COMMIT");
        if begins {
            open.insert(session, vec![statement]);
        } else if let Some(transaction) = open.get_mut(&session) {
            transaction.push(statement);
            if ends {
                done.extend(open.remove(&session));
            }
        } else if let Some(Some(practice)) = statement.values.first() {
            callers.insert(practice.clone(), statement);
        }
    }
    done.retain(|transaction| transaction.iter().any(|statement| statement.sql.starts_with("INSERT INTO changes")));
    for transaction in &mut done {
        let practice = transaction.iter().find_map(|statement| statement.values.first()?.clone());
        let caller = practice.and_then(|practice| callers.get(&practice)).expect("somebody called");
        transaction.insert(0, caller.clone());
    }
    done
}

/// The statements in the order of the log, with the session of each.
fn statements(log: &str) -> Vec<(String, Statement)> {
    let mut found: Vec<(String, Statement)> = Vec::new();
    for entry in entries(log) {
        // 2026-01-05 08:00:00.000 UTC [123] LOG:  execute sqlx_s_1: SELECT ...
        let Some((prefix, said)) = entry.split_once("] ") else { continue };
        let session = prefix.rsplit_once('[').map_or(prefix, |(_, session)| session);
        if let Some(sql) = said.strip_prefix("LOG:  statement: ") {
            found.push((session.to_owned(), Statement { sql: sql.to_owned(), values: Vec::new() }));
        } else if let Some((_, sql)) = said.strip_prefix("LOG:  execute ").and_then(|said| said.split_once(": ")) {
            found.push((session.to_owned(), Statement { sql: sql.to_owned(), values: Vec::new() }));
        } else if let Some((_, given)) = said.strip_prefix("DETAIL:  ").and_then(|said| said.split_once("arameters: "))
        {
            let (owner, statement) = found.last_mut().expect("values follow their statement");
            assert_eq!(owner, session, "a statement and its values are written together");
            statement.values = values(given);
        }
    }
    found
}

/// Lines that begin with a tab go on with what is before them.
fn entries(log: &str) -> Vec<String> {
    let mut entries: Vec<String> = Vec::new();
    for line in log.lines() {
        match (line.strip_prefix('\t'), entries.last_mut()) {
            (Some(more), Some(last)) => {
                last.push('\n');
                last.push_str(more);
            }
            _ => entries.push(line.to_owned()),
        }
    }
    entries
}

/// `$1 = 'it''s', $2 = NULL`.
fn values(text: &str) -> Vec<Option<String>> {
    let mut values = Vec::new();
    let mut rest = text;
    while let Some((_, given)) = rest.split_once(" = ") {
        let Some(quoted) = given.strip_prefix('\'') else {
            values.push(None);
            rest = given;
            continue;
        };
        let mut value = String::new();
        let mut quoted = quoted;
        loop {
            let (before, after) = quoted.split_once('\'').expect("what is quoted has an end");
            value.push_str(before);
            match after.strip_prefix('\'') {
                Some(more) => {
                    value.push('\'');
                    quoted = more;
                }
                None => {
                    rest = after;
                    break;
                }
            }
        }
        values.push(Some(value));
    }
    values
}
