//! The numbered history of a practice.

use super::commands::PageOf;
use super::page::{Page, fetch};
use super::{App, Error, Scoped};
use crate::domain::access::Caller;
use crate::domain::history::Change;
use crate::store::{history, practice};

impl App {
    /// Changes of a practice after a revision, in order. Operators who name no practice read the deployment's own.
    pub async fn list_changes(&self, caller: &Caller, scoped: Scoped<PageOf<i64>>) -> Result<Page<Change, i64>, Error> {
        let practice_id = Self::practice(caller, scoped.practice)?;
        let PageOf { size, after } = scoped.query;
        let mut db = self.read().await?;
        if practice::get(&mut db, practice_id).await?.is_none() {
            return Err(Error::not_found("practice_id"));
        }
        // Revisions begin with 1.
        let found = history::list(&mut db, practice_id, after.unwrap_or_default(), fetch(size)).await?;
        Ok(Page::new(found, size, |last| last.revision))
    }
}
