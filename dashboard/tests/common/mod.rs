//! A server of one's own on a free port, and the plainest client there is.
#![allow(dead_code)]

#[path = "../../../triage/tests/common/mod.rs"]
pub mod cases;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::time::Duration;

/// A server that ends with the test's process.
pub struct Server {
    pub address: SocketAddr,
    pub dir: tempfile::TempDir,
}

impl Server {
    /// Of one campaign with so many cases.
    pub fn of(cases: usize) -> Server {
        let dir = tempfile::tempdir().expect("a folder");
        cases::campaign(&dir.path().join("G"), "gvisor", "runsc 1", cases);
        Server::start(dir, None)
    }

    /// Of the folder `G` in that folder.
    pub fn start(dir: tempfile::TempDir, token: Option<&str>) -> Server {
        let options = parallax_dashboard::Options {
            store: dir.path().join("store.sqlite"),
            dirs: vec![dir.path().join("G")],
            listen: "127.0.0.1:0".parse().expect("an address"),
            token: token.map(str::to_owned),
        };
        let (tell, told) = channel();
        std::thread::spawn(move || {
            let ready = |address| tell.send(address).expect("somebody waits");
            parallax_dashboard::serve(options, &ready).expect("it serves");
        });
        let address = told.recv_timeout(Duration::from_secs(60)).expect("it is ready");
        Server { address, dir }
    }

    pub fn campaign(&self) -> PathBuf {
        self.dir.path().join("G")
    }

    /// What is answered to a request with these header lines and body.
    pub fn ask(&self, method: &str, path: &str, headers: &[&str], body: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("set");
        let host = match headers.iter().any(|h| h.starts_with("Host:")) {
            true => String::new(),
            false => format!("Host: {}\r\n", self.address),
        };
        let more: String = headers.iter().map(|h| format!("{h}\r\n")).collect();
        let length = body.len();
        let text = format!(
            "{method} {path} HTTP/1.1\r\n{host}{more}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
        stream.write_all(text.as_bytes()).expect("sent");
        let mut answer = Vec::new();
        // A refusal may come before all of a body was read.
        let _ = stream.read_to_end(&mut answer);
        Answer::of(&String::from_utf8_lossy(&answer))
    }

    pub fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], "")
    }
}

/// An answer, in parts.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn of(text: &str) -> Answer {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
        let head = head.to_lowercase();
        let body =
            if head.contains("transfer-encoding: chunked") { unchunked(body) } else { body.to_owned() };
        Answer { status, head, body }
    }
}

fn unchunked(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let Ok(size) = usize::from_str_radix(size.trim(), 16) else { break };
        if size == 0 || rest.len() < size {
            break;
        }
        whole.push_str(&rest[..size]);
        body = rest[size..].trim_start_matches("\r\n");
    }
    whole
}

/// All files below a folder.
pub fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}
