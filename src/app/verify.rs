//! Whether the promises hold in what is stored.

use super::{App, Error};
use crate::store::verify::{self, Report};

impl App {
    /// Derives the promises from the tables, of all practices at one moment. For operators at the command line.
    pub async fn verify(&self) -> Result<Report, Error> {
        let mut db = self.read().await?;
        Ok(verify::verify(&mut db).await?)
    }
}
