//! The real program, as somebody would start it: on a data folder, with its output read line by line.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use sqlx::{Connection as _, PgConnection};
use stipple::embedded::Cluster;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::OnceCell;
use tonic::Request;
use tonic::transport::Channel;

/// How long anything may take that is waited for.
pub const LIMIT: Duration = Duration::from_mins(1);
/// The program.
const BINARY: &str = env!("CARGO_BIN_EXE_stipple");
/// How often a condition is looked at that nobody announces.
const POLL: Duration = Duration::from_millis(10);

/// Waits until something is there, and fails if it does not come.
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let wait = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(LIMIT, wait).await.unwrap_or_else(|_| panic!("{what}: not within {LIMIT:?}"))
}

/// A folder under the temporary folder, where also the user may pass as whom root's PostgreSQL runs.
pub struct Folder {
    path: PathBuf,
}

static NEXT: AtomicU32 = AtomicU32::new(0);
/// A data folder after a first start and a clean end, to be copied: seeding takes seconds.
static SEEDED: OnceCell<PathBuf> = OnceCell::const_new();

impl Folder {
    /// A new one, in which there is no data folder yet.
    pub fn new() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("stipple-run-{}-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o711)).unwrap();
        Self { path }
    }

    /// A new one with the data of a first start.
    pub async fn seeded() -> Self {
        let seeded = SEEDED.get_or_init(|| async {
            let folder = Self::new();
            let mut program = Program::serve(&folder);
            program.ready().await;
            program.signal(Signal::TERM);
            assert!(program.ended().await.success());
            drop(program);
            // Kept with the throw-away cluster of the run, which removes its folder at the end, however it ends.
            let home = crate::harness::cluster::folder().join("seeded");
            copy(&folder.data(), &home).await;
            // By whoever runs that cluster, who therefore has to own it.
            let owner = std::fs::metadata(crate::harness::cluster::folder()).unwrap();
            let owner = format!("{}:{}", owner.uid(), owner.gid());
            assert!(Command::new("chown").arg("-R").arg(owner).arg(&home).status().await.unwrap().success());
            home
        });
        let folder = Self::new();
        copy(seeded.await, &folder.data()).await;
        folder
    }

    /// The data folder.
    pub fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    /// A connection to the database of the server that runs on it; nothing as long as none takes any.
    pub async fn database(&self) -> Option<PgConnection> {
        let options = Cluster::attach(&self.data()).await?;
        PgConnection::connect_with(&options).await.ok()
    }

    /// Whether `initdb` is at work in it.
    pub fn makes_postgresql(&self) -> bool {
        self.processes().iter().any(|line| line.contains("/postgres.new."))
    }

    /// The processes whose command line names it.
    pub fn processes(&self) -> Vec<String> {
        let name = format!("{}/", self.path.display());
        let lines: Vec<String> = if let Ok(processes) = std::fs::read_dir("/proc") {
            processes
                .filter_map(|entry| std::fs::read(entry.ok()?.path().join("cmdline")).ok())
                .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
                .collect()
        } else {
            let listed = std::process::Command::new("ps").args(["-axww", "-o", "command="]).output().unwrap();
            String::from_utf8_lossy(&listed.stdout).lines().map(str::to_owned).collect()
        };
        lines.into_iter().filter(|line| line.contains(&name)).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // PostgreSQL outlives a killed server by a moment.
        for _ in 0..1000 {
            if self.processes().is_empty() {
                break;
            }
            std::thread::sleep(POLL);
        }
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

async fn copy(from: &std::path::Path, to: &std::path::Path) {
    let copied = Command::new("cp").arg("-a").args([from, to]).status().await.unwrap();
    assert!(copied.success());
}

/// A run of the program; killed when it is dropped.
pub struct Program {
    child: Child,
    output: Arc<Mutex<Vec<String>>>,
    errors: Arc<Mutex<Vec<String>>>,
    readers: Vec<tokio::task::JoinHandle<()>>,
    /// Whether there is a demonstration practice, which it says much about.
    demonstrates: bool,
}

/// What a server says when it is ready.
#[derive(Debug, Clone)]
pub struct Ready {
    /// Where it listens.
    pub address: String,
    /// The token that it prints, if it has a demonstration practice.
    pub token: String,
    /// The lines to paste.
    pub lines: Vec<String>,
}

impl Program {
    /// Starts it with these arguments and none of our settings.
    pub fn start(args: &[&str]) -> Self {
        Self::spawn(Command::new(BINARY), args)
    }

    /// The same with so many files at first.
    pub fn start_with_files(files: u32, args: &[&str]) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -S -n {files} && exec \"$0\" \"$@\""), BINARY]);
        Self::spawn(command, args)
    }

    fn spawn(mut command: Command, args: &[&str]) -> Self {
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("STIPPLE_") || text.starts_with("PG") || text == "DATABASE_URL" {
                command.env_remove(&name);
            }
        }
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let (output, errors) = (Arc::default(), Arc::default());
        let readers = vec![
            tokio::spawn(read(child.stdout.take().unwrap(), Arc::clone(&output))),
            tokio::spawn(read(child.stderr.take().unwrap(), Arc::clone(&errors))),
        ];
        Self { child, output, errors, readers, demonstrates: !args.contains(&"--database-url") }
    }

    /// Starts a server on a folder and a free port.
    pub fn serve(folder: &Folder) -> Self {
        Self::start(&["--data-dir", folder.data().to_str().unwrap(), "--listen", "127.0.0.1:0"])
    }

    /// Runs it to its end: whether it did well, what it printed and what it complained about.
    pub async fn run(args: &[&str]) -> (bool, Vec<String>, Vec<String>) {
        let mut program = Self::start(args);
        let status = program.ended().await;
        let (output, errors) = (program.output(), program.errors());
        (status.success(), output, errors)
    }

    /// Runs it as [`Self::run`] does, has it fail, and returns its one line of complaint.
    pub async fn complaint(args: &[&str]) -> String {
        let (well, output, errors) = Self::run(args).await;
        assert!(!well && output.is_empty(), "{output:?} {errors:?}");
        assert_eq!(errors.len(), 1, "{errors:?}");
        errors[0].clone()
    }

    /// The lines printed so far.
    pub fn output(&self) -> Vec<String> {
        self.output.lock().unwrap().clone()
    }

    /// The lines of standard error so far.
    pub fn errors(&self) -> Vec<String> {
        self.errors.lock().unwrap().clone()
    }

    /// Its process.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().expect("it runs").cast_signed()).unwrap()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Waits for its end, and until all that it said is read.
    pub async fn ended(&mut self) -> ExitStatus {
        let end = tokio::time::timeout(LIMIT, self.child.wait()).await;
        let status = end.unwrap_or_else(|_| panic!("still running: {:?}", self.errors())).unwrap();
        for reader in self.readers.drain(..) {
            tokio::time::timeout(LIMIT, reader).await.expect("its output ends").unwrap();
        }
        status
    }

    /// Waits until the server is ready and has said all that it says then.
    pub async fn ready(&mut self) -> Ready {
        let wait = async {
            loop {
                if let Some(ready) = self.heard() {
                    return ready;
                }
                if let Some(status) = self.child.try_wait().unwrap() {
                    panic!("{status} before it was ready: {:?}", self.errors());
                }
                tokio::time::sleep(POLL).await;
            }
        };
        let ready = tokio::time::timeout(LIMIT, wait).await;
        ready.unwrap_or_else(|_| panic!("not ready within {LIMIT:?}: {:?} {:?}", self.output(), self.errors()))
    }

    fn heard(&self) -> Option<Ready> {
        let output = self.output();
        let find = |start: &str| output.iter().find_map(|line| line.strip_prefix(start)).map(str::to_owned);
        let address = find("Stipple is ready on ")?.trim_end_matches('.').to_owned();
        // Behind the first line there is an empty one; with a demonstration the listing of patients comes last.
        let complete = match output.iter().position(|line| line.starts_with("Stipple")) {
            Some(first) if output.get(first + 2).is_some_and(|line| line.starts_with("Token: ")) => {
                output.iter().any(|line| line.ends_with("ListPatients") || line.starts_with("(no free time"))
            }
            Some(first) => !self.demonstrates && output.get(first + 1).is_some(),
            None => false,
        };
        let lines = output.iter().filter(|line| line.starts_with("grpcurl ")).cloned().collect();
        complete.then(|| Ready { address, token: find("Token: ").unwrap_or_default(), lines })
    }
}

async fn read(from: impl AsyncRead + Unpin, to: Arc<Mutex<Vec<String>>>) {
    let mut lines = BufReader::new(from).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        to.lock().unwrap().push(line);
    }
}

impl Ready {
    /// A connection to it.
    pub fn channel(&self) -> Channel {
        Channel::from_shared(format!("http://{}", self.address)).unwrap().connect_lazy()
    }

    /// A request with its token.
    pub fn request<T>(&self, message: T) -> Request<T> {
        bearing(&self.token, message)
    }
}

/// A request with a token.
pub fn bearing<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}
