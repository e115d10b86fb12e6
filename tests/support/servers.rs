//! Private database servers, as `tests/servers` starts them.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The URL of a server that `tests/run` has started.
pub fn url(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("{variable} is not set: run tests/run"))
}

/// A server of a test's own, which it may stop; it goes when the test is over.
pub struct Private {
    kind: &'static str,
    folder: PathBuf,
    pub url: String,
}

impl Private {
    /// Starts one after some commands of a shell, which set limits for it.
    pub fn start_after(commands: &str, kind: &'static str, arguments: &[&str]) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("client-credentials-{kind}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let mut server = Self { kind, folder: std::env::temp_dir().join(name), url: String::new() };
        server.url = server.servers(commands, kind, arguments);
        server
    }

    pub fn start(kind: &'static str) -> Self {
        Self::start_after("", kind, &[])
    }

    /// Ends it as `kill -9` does; what is on the disk stays.
    pub fn kill(&self) {
        self.servers("", "stop", &[]);
    }

    /// Starts it again where it was.
    pub fn restart(&self) {
        assert_eq!(self.servers("", self.kind, &[]), self.url);
    }

    /// Sends a signal to its first process.
    pub fn signal(&self, name: &str) {
        let files = [self.folder.join("data/postmaster.pid"), self.folder.join("pid")];
        let text = files.iter().find_map(|file| std::fs::read_to_string(file).ok()).unwrap();
        let pid = text.lines().next().unwrap();
        let group = format!("kill -{name} {pid} $(ps -o pid= --ppid {pid})");
        assert!(Command::new("sh").args(["-c", &group]).status().unwrap().success());
    }

    fn servers(&self, commands: &str, command: &str, arguments: &[&str]) -> String {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/servers");
        let output = Command::new("bash")
            .args(["-c", &format!("{commands} exec \"$0\" \"$@\""), script, command])
            .arg(&self.folder)
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.kill()));
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
