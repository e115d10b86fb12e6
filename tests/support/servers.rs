//! Private database servers, as `tests/servers` starts them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The URL of a server that `tests/run` has started.
pub fn url(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("{variable} is not set: run tests/run"))
}

/// A server of a test's own, which it may stop; it goes when the test is over.
pub struct Private {
    kind: &'static str,
    arguments: Vec<String>,
    pub folder: PathBuf,
    pub url: String,
}

impl Private {
    /// Starts one after some commands of a shell, which set limits for it.
    pub fn start_after(commands: &str, kind: &'static str, arguments: &[&str]) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("client-credentials-{kind}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let mut server = Self { kind, arguments, folder: std::env::temp_dir().join(name), url: String::new() };
        server.url = server.begin(commands);
        server
    }

    pub fn start(kind: &'static str, arguments: &[&str]) -> Self {
        Self::start_after("", kind, arguments)
    }

    fn begin(&self, commands: &str) -> String {
        let settings = self.arguments.iter().map(String::as_str);
        run_after(commands, &[self.kind, self.folder.to_str().unwrap()].into_iter().chain(settings).collect::<Vec<_>>())
    }

    /// Ends it as `kill -9` does; what is on the disk stays.
    pub fn kill(&self) {
        run(&["stop", self.folder.to_str().unwrap()]);
    }

    /// Starts it again where it was.
    pub fn restart(&self) {
        assert_eq!(self.begin(""), self.url);
    }

    /// Sends a signal to its processes.
    pub fn signal(&self, name: &str) {
        signal(&self.folder, name);
    }
}

/// Calls `tests/servers` after some commands of a shell, and gives what it prints.
pub fn run_after(commands: &str, arguments: &[&str]) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/servers");
    let output = Command::new("bash")
        .args(["-c", &format!("{commands} exec \"$0\" \"$@\""), script])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

pub fn run(arguments: &[&str]) -> String {
    run_after("", arguments)
}

/// Sends a signal to the processes of the server in that folder.
pub fn signal(folder: &Path, name: &str) {
    let files = [folder.join("data/postmaster.pid"), folder.join("pid")];
    let text = files.iter().find_map(|file| std::fs::read_to_string(file).ok()).unwrap();
    let pid = text.lines().next().unwrap();
    let group = format!("kill -{name} {pid} $(ps -o pid= --ppid {pid})");
    assert!(Command::new("sh").args(["-c", &group]).status().unwrap().success());
}

impl Drop for Private {
    fn drop(&mut self) {
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.kill()));
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
