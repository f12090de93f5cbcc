//! The commands of the command line.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::app::App;
use crate::app::clock::SystemClock;
use crate::app::ids::{IdSource, SystemIds};
use crate::config::{Command, Config, Place};
use crate::demo::{self, Demo};
use crate::domain::access::Caller;
use crate::embedded::{Cluster, Settings, default_data_dir};
use crate::store::{self, ConnectOptions as _, PgConnectOptions, PgConnection, PgPool};
use crate::{server, telemetry};

/// What the process ends with if it could not do what it was asked; 1 is for promises that verify found broken.
const TROUBLE: u8 = 2;
/// How long the database may take to answer for the first time.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The file in the data folder that scripts can source.
const DEMO_ENV: &str = "demo.env";

/// Runs the command line; the exit code is what the process ends with.
#[must_use]
pub fn run() -> ExitCode {
    let config = Config::parse();
    telemetry::init();
    let done = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("starting the runtime")
        .and_then(|runtime| runtime.block_on(execute(config)));
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("stipple: {error:#}");
            ExitCode::from(TROUBLE)
        }
    }
}

async fn execute(config: Config) -> anyhow::Result<ExitCode> {
    let Config { command, place } = config;
    let command = command.unwrap_or(Command::Serve);
    if let Command::Serve = command {
        return serve(&place).await;
    }
    if let Command::Token { .. } | Command::Verify = command
        && place.database_url.as_deref().unwrap_or_default().is_empty()
    {
        let folder = data_dir(&place)?;
        anyhow::ensure!(
            folder.join("postgres").exists(),
            "there is no database in {}: name the server's data folder with --data-dir, or its database with DATABASE_URL",
            folder.display()
        );
    }
    let database = Database::open(&place, Presence::AttachOrStart).await?;
    let done = act(&command, &place, &database).await;
    database.close().await?;
    done
}

/// What the commands other than serve do.
async fn act(command: &Command, place: &Place, database: &Database) -> anyhow::Result<ExitCode> {
    let app = app(place, &database.pool);
    match command {
        Command::Serve => unreachable!("serving has a life of its own"),
        Command::Migrate => {
            database.migrate().await?;
            println!("The schema is up to date.");
        }
        Command::Demo => {
            database.migrate().await?;
            let folder = data_dir(place)?;
            let (practice, address) = match known_demo(&app, &folder).await {
                // A server on the private database has written where it listens.
                Some((practice, address)) if place.database_url.is_none() => (practice, address),
                Some((practice, _)) => (practice, place.listen.to_string()),
                None => (database.seed(&app).await?, place.listen.to_string()),
            };
            let lines = present_demo(&app, &folder, &practice, &address).await?;
            println!("The demonstration practice is in the database. With a server on {address}:\n{lines}");
        }
        Command::Token { label } => {
            database.migrate().await?;
            let bearer = app.create_operator_token(label).await.context("making a token")?;
            println!("{bearer}");
        }
        Command::Verify => {
            let report = app.verify().await.context("verifying")?;
            println!("{report}");
            return Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn serve(place: &Place) -> anyhow::Result<ExitCode> {
    server::take_files();
    // Before anything that takes time, so that a port in use is told at once.
    let listener = TcpListener::bind(place.listen).await.with_context(|| format!("listening on {}", place.listen))?;
    let address = listener.local_addr().context("listening")?.to_string();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let stop = async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    tokio::pin!(stop);

    let starting = async {
        let database = Database::open(place, Presence::Start).await?;
        database.migrate().await?;
        let app = Arc::new(app(place, &database.pool));
        let mut lines = String::new();
        if database.cluster.is_some() {
            let folder = data_dir(place)?;
            let practice = match known_demo(&app, &folder).await {
                Some((practice, _)) => practice,
                None => database.seed(&app).await?,
            };
            lines = present_demo(&app, &folder, &practice, &address).await?;
        }
        anyhow::Ok((database, app, lines))
    };
    let (database, app, lines) = tokio::select! {
        started = starting => started?,
        () = &mut stop => return Ok(ExitCode::SUCCESS),
    };
    // Whoever reads may have gone after the first line; the server serves all the same.
    let _ = writeln!(std::io::stdout(), "Stipple is ready on {address}.\n{lines}");

    let mut failure = None;
    let stop = async {
        tokio::select! {
            () = stop => {}
            error = database.failed() => failure = Some(error),
        }
    };
    let served = server::serve(listener, app, stop).await;
    database.close().await?;
    served?;
    match failure {
        Some(error) => Err(error),
        None => Ok(ExitCode::SUCCESS),
    }
}

fn app(place: &Place, pool: &PgPool) -> App {
    let clock = place.clock.map_or_else(SystemClock::default, SystemClock::starting_at);
    App::new(pool.clone(), Arc::new(clock), Arc::new(SystemIds))
}

fn data_dir(place: &Place) -> anyhow::Result<PathBuf> {
    match &place.data_dir {
        Some(folder) => Ok(folder.clone()),
        None => Ok(default_data_dir()?),
    }
}

/// Whether a private PostgreSQL has to be this process's own.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Presence {
    /// It has to be: nobody else may run on the data folder.
    Start,
    /// A running server's will do.
    AttachOrStart,
}

/// The database, and the private PostgreSQL that it is in, if this process runs one.
struct Database {
    pool: PgPool,
    /// A connection for what may take long: it has none of the requests' time limits.
    own: tokio::sync::Mutex<PgConnection>,
    cluster: Option<Cluster>,
}

impl Database {
    async fn open(place: &Place, presence: Presence) -> anyhow::Result<Self> {
        let (options, cluster) = if let Some(url) = place.database_url.as_deref().filter(|url| !url.is_empty()) {
            (PgConnectOptions::from_str(url).context("reading DATABASE_URL")?, None)
        } else {
            let folder = data_dir(place)?;
            let running = match presence {
                Presence::Start => None,
                Presence::AttachOrStart => Cluster::attach(&folder).await,
            };
            if let Some(options) = running {
                (options, None)
            } else {
                let cluster = Cluster::start(&Settings::durable(folder)).await?;
                (cluster.connect_options("stipple"), Some(cluster))
            }
        };
        let options = options.application_name("stipple");
        // Once by itself, because a pool does not tell why it has no connection.
        let first = tokio::time::timeout(CONNECT_TIMEOUT, options.connect()).await;
        let own = first.context("connecting to the database took too long")?.context("connecting to the database")?;
        let pool = store::pool(options, place.database_connections).await.context("connecting to the database")?;
        Ok(Self { pool, own: tokio::sync::Mutex::new(own), cluster })
    }

    async fn migrate(&self) -> anyhow::Result<()> {
        store::migrate(&mut *self.own.lock().await).await.context("bringing the schema up to date")
    }

    async fn seed(&self, app: &App) -> anyhow::Result<Demo> {
        let practice = demo::seed(app, app.now()).await.context("adding the demonstration practice")?;
        store::analyze(&mut *self.own.lock().await).await.context("looking at what was added")?;
        Ok(practice)
    }

    /// Ends when the private PostgreSQL has failed for good; never, if there is none.
    async fn failed(&self) -> anyhow::Error {
        match &self.cluster {
            Some(cluster) => cluster.failed().await.into(),
            None => std::future::pending().await,
        }
    }

    async fn close(self) -> anyhow::Result<()> {
        self.pool.close().await;
        drop(self.own);
        match self.cluster {
            Some(cluster) => Ok(cluster.stop().await?),
            None => Ok(()),
        }
    }
}

/// The demonstration practice of an earlier start and where its server listened, if its file is there and its token
/// still opens it.
async fn known_demo(app: &App, folder: &Path) -> Option<(Demo, String)> {
    let text = tokio::fs::read_to_string(folder.join(DEMO_ENV)).await.ok()?;
    let demo = Demo::from_env(&text)?;
    app.authenticate(demo.token.expose()).await.ok()?;
    let address = text.lines().find_map(|line| line.strip_prefix("STIPPLE_ADDR="))?;
    Some((demo, address.to_owned()))
}

/// Writes `demo.env`, and returns what to print: the token, and commands that work as they stand.
async fn present_demo(app: &App, folder: &Path, demo: &Demo, address: &str) -> anyhow::Result<String> {
    let file = folder.join(DEMO_ENV);
    tokio::fs::create_dir_all(folder).await.with_context(|| format!("making {}", folder.display()))?;
    write_private(&file, &demo.env(address)).with_context(|| format!("writing {}", file.display()))?;

    let token = demo.token.expose();
    let examples = demo::examples(app, &Caller::COMMAND_LINE, demo, app.now()).await.context("finding examples")?;
    let lines = match examples {
        Some(examples) => examples.lines(address, token, SystemIds.new_id(app.now())).join("\n\n"),
        None => "(no free time for an example is left in the demonstration practice)".to_owned(),
    };
    Ok(format!("\nToken: {token}\nFor scripts: . {}\n\nTry:\n\n{lines}\n", file.display()))
}

/// Writes a file that only its owner may read, because it holds a token.
fn write_private(file: &Path, text: &str) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let temporary = file.with_extension("env.new");
    // Made anew, so that the mode holds whatever was there.
    let _ = std::fs::remove_file(&temporary);
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)?
        .write_all(text.as_bytes())?;
    std::fs::rename(temporary, file)
}
