//! The benchmark's own PostgreSQL, beyond its one database.

use std::path::PathBuf;

use stipple::store::PgConnectOptions;

use crate::common::Database;

impl Database {
    /// How to connect to one of its databases.
    pub fn options(&self, database: &str) -> PgConnectOptions {
        self.cluster.connect_options(database)
    }

    /// The same for programs.
    pub fn url(&self, database: &str) -> String {
        self.cluster.url().replacen("/stipple?", &format!("/{database}?"), 1)
    }

    /// Its folder.
    pub fn data_dir(&self) -> PathBuf {
        self.cluster.data_dir().to_owned()
    }

    /// A program from where its server came from.
    pub fn program(&self, name: &str) -> PathBuf {
        let file = self.data_dir().join("postgres/postmaster.pid");
        let text = std::fs::read_to_string(file).expect("the server says who it is");
        let process = text.lines().next().unwrap_or_default().to_owned();
        let server = std::fs::read_link(format!("/proc/{process}/exe")).expect("it is a process");
        server.with_file_name(name)
    }
}
