//! What clients are told while things fail, and whether they may be.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::sync::Mutex;

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// Most that is told of what was wrong.
const MAX_WRONG: usize = 20;

/// What an error means to whoever asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// It was understood and not done.
    Refused,
    /// The same again, later.
    Again,
    /// Nothing that anybody should be told because something else failed.
    Wrong,
}

/// What all clients were told, counted; and what was wrong about it.
#[derive(Default)]
pub struct Told {
    errors: Mutex<BTreeMap<String, usize>>,
    wrong: Mutex<Vec<String>>,
}

impl Told {
    /// Takes an error in, which came upon this question.
    pub fn hear(&self, status: &Status, asked: &str) -> Word {
        let word = meaning(status);
        let name = match word {
            Word::Refused => return word,
            Word::Again if status.get_details_error_info().is_none() => "the connection is gone".to_owned(),
            Word::Again | Word::Wrong => format!("{:?}", status.code()),
        };
        self.count(name);
        if word == Word::Wrong {
            self.complain(format!("{asked} was answered with {status:?}"));
        }
        word
    }

    /// Takes in that there was no answer.
    pub fn hear_nothing(&self) {
        self.count("no answer in time".to_owned());
    }

    /// Takes in something else that is wrong.
    pub fn complain(&self, of: String) {
        let mut wrong = self.wrong.lock().unwrap();
        if wrong.len() < MAX_WRONG {
            wrong.push(of);
        }
    }

    /// How often each error was told that asks to try again.
    pub fn errors(&self) -> BTreeMap<String, usize> {
        self.errors.lock().unwrap().clone()
    }

    /// What was wrong.
    pub fn wrong(&self) -> Vec<String> {
        self.wrong.lock().unwrap().clone()
    }

    fn count(&self, name: String) {
        *self.errors.lock().unwrap().entry(name).or_default() += 1;
    }
}

/// What an error means, where few ask and much fails: nobody is told that there are too many. What the server says has
/// a reason; what the client's own end of a connection says has a cause.
pub fn meaning(status: &Status) -> Word {
    if status.get_details_error_info().is_none() {
        return if status.source().is_some() { Word::Again } else { Word::Wrong };
    }
    let hint = status.get_details_retry_info().and_then(|retry| retry.retry_delay);
    match status.code() {
        Code::FailedPrecondition | Code::Aborted => Word::Refused,
        Code::Unavailable if hint.is_some() => Word::Again,
        Code::DeadlineExceeded => Word::Again,
        _ => Word::Wrong,
    }
}
