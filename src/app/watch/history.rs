//! Watching the history of a practice.

use std::collections::VecDeque;

use super::line::{Heard, Line};
use crate::app::{App, Error, Scoped};
use crate::domain::access::Caller;
use crate::domain::history::Change;

/// What the watcher of a history is told.
#[derive(Debug)]
pub enum HistoryNews {
    /// A change.
    Changed(Change),
    /// Nothing has happened after a revision.
    Quiet(i64),
}

/// A watch of a history.
pub struct HistoryWatch {
    line: Line,
    waiting: VecDeque<Change>,
}

impl App {
    /// Watches the history of a practice after a revision. Operators who name no practice watch the deployment's own.
    pub async fn watch_changes(&self, caller: &Caller, scoped: Scoped<i64>) -> Result<HistoryWatch, Error> {
        let practice = Self::practice(caller, scoped.practice)?;
        let at = self.revision(practice).await?;
        if scoped.query > at {
            let remedy = format!("must be at most {at}, the latest revision: the history has no more");
            return Err(Error::field("after_revision", remedy));
        }
        let mut line = Line::open(self, caller, practice, None)?;
        line.go_on_after(scoped.query, false);
        Ok(HistoryWatch { line, waiting: VecDeque::new() })
    }
}

impl HistoryWatch {
    /// What comes next; nothing once the watch is over.
    pub async fn next(&mut self) -> Result<Option<HistoryNews>, Error> {
        loop {
            if let Some(change) = self.waiting.pop_front() {
                self.line.is_alive();
                return Ok(Some(HistoryNews::Changed(change)));
            }
            match self.line.next().await? {
                None => return Ok(None),
                Some(Heard::Quiet) => return Ok(Some(HistoryNews::Quiet(self.line.seen()))),
                Some(Heard::Batch(before, batch)) => {
                    let told = batch.changes.iter().filter(|change| change.revision > before);
                    self.waiting.extend(told.cloned());
                }
            }
        }
    }
}
