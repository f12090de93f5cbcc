//! pgbench on a database of the cluster.

use std::path::{Path, PathBuf};

use stipple::store::{PgPool, SESSION};
use tokio::process::Command;

use super::script::Script;
use crate::common::Database;

/// Where the scripts are kept.
const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/load/scripts");

/// See the module.
pub struct Bare {
    pool: PgPool,
    url: String,
    program: PathBuf,
    out: PathBuf,
}

impl Bare {
    /// On this database, with the pgbench that belongs to the server.
    pub async fn new(database: &Database, name: &str, out: &Path) -> Self {
        let pool = stipple::store::pool(database.options(name), 2).await.expect("PostgreSQL answers");
        Self { pool, url: database.url(name), program: database.program("pgbench"), out: out.to_owned() }
    }

    /// Connections to the database.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Runs a script once for each of its bookings; how many a second that were, and the milliseconds of one.
    pub async fn run(&self, name: &str, script: &Script, connections: usize) -> (f64, f64) {
        script.prepare(&self.pool).await;
        std::fs::create_dir_all(SCRIPTS).expect("the folder can be made");
        let file = Path::new(SCRIPTS).join(format!("{name}.sql"));
        std::fs::write(&file, &script.text).expect("the script can be written");
        // As the service's own sessions; but it waits for a practice's row with more sessions than the service would let it.
        let settings = SESSION.iter().filter(|(name, _)| !name.ends_with("_timeout"));
        let settings: String = settings.map(|(name, value)| format!("-c {name}={value} ")).collect();
        let mut command = Command::new(&self.program);
        command.args(["--no-vacuum", "--protocol=prepared", "--client"]).arg(connections.to_string());
        command.arg("--transactions").arg((script.bookings / connections).to_string());
        command.arg("--file").arg(&file).arg(&self.url).env("PGOPTIONS", settings).kill_on_drop(true);
        let output = command.output().await.expect("pgbench can be run");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        std::fs::write(self.out.join("pgbench.log"), format!("{said}\n{complaint}")).expect("the log can be written");
        assert!(output.status.success() && !complaint.contains("aborted"), "pgbench failed: {complaint}");
        let number = |line: &str| {
            let line = said.lines().find_map(|said| said.strip_prefix(line)).expect("pgbench says what it did");
            line.split_whitespace().find_map(|word| word.parse::<f64>().ok()).expect("a number")
        };
        (number("tps = "), number("latency average = "))
    }

    /// Lets go of the database.
    pub async fn close(self) {
        self.pool.close().await;
    }
}
