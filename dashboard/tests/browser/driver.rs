//! Headless Chromium by chromedriver. Every step has a time it must be done in, a test as a whole too, and nothing that
//! was started outlives its test.

use fantoccini::error::CmdError;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use http::Method;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};
use url::Url;

/// How long a browser may take to come up beside other work.
const START: Duration = Duration::from_secs(120);
/// How long one answer of it may take, and something to become so.
const STEP: Duration = Duration::from_secs(60);
/// How long a test may take.
const TEST: Duration = Duration::from_secs(300);

/// A chromedriver, with all that it starts.
struct Driver {
    process: Child,
    port: u16,
    home: tempfile::TempDir,
}

impl Drop for Driver {
    fn drop(&mut self) {
        // A browser is in the group of its driver.
        if let Ok(group) = i32::try_from(self.process.id()) {
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
        let _ = self.process.wait();
    }
}

/// Whether a program can be found.
fn is_here(name: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(name).is_file()))
}

/// The first of these programs that is missing.
fn missing() -> Option<&'static str> {
    if !is_here("chromedriver") {
        return Some("chromedriver");
    }
    let browsers = ["chromium", "google-chrome", "chrome"];
    (!browsers.into_iter().any(is_here)).then_some("chromium")
}

impl Driver {
    fn start() -> Driver {
        let home = tempfile::tempdir().expect("a folder");
        let mut process = Command::new("chromedriver")
            .arg("--port=0")
            // What a browser keeps goes with the test.
            .env("HOME", home.path())
            .env("XDG_CONFIG_HOME", home.path())
            .env("XDG_CACHE_HOME", home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("chromedriver starts");
        let lines = BufReader::new(process.stdout.take().expect("piped")).lines();
        let mut driver = Driver { process, port: 0, home };
        let (tell, told) = channel();
        std::thread::spawn(move || {
            // First it says what it was asked for, then what it got.
            for line in lines.map_while(Result::ok) {
                let port = line.split_once("on port ").map(|(_, rest)| rest.trim_end_matches('.').parse());
                if let Some(Ok(port @ 1..)) = port {
                    let _ = tell.send(port);
                }
            }
        });
        driver.port = wait(&told);
        driver
    }

    async fn browser(&self) -> Client {
        let profile = format!("--user-data-dir={}", self.home.path().join("profile").display());
        let options = [
            "--headless=new",
            // Tests also run as root, where Chromium has no sandbox.
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--disable-breakpad",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1300,1000",
            &profile,
        ];
        let wanted = json!({
            "goog:chromeOptions": { "args": options },
            "goog:loggingPrefs": { "browser": "ALL" },
            "unhandledPromptBehavior": "ignore",
        });
        let mut builder = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new());
        builder.capabilities(wanted.as_object().expect("an object").clone());
        let address = format!("http://127.0.0.1:{}", self.port);
        timeout(START, builder.connect(&address)).await.expect("a browser in time").expect("a browser")
    }
}

fn wait(told: &Receiver<u16>) -> u16 {
    told.recv_timeout(START).expect("chromedriver says its port")
}

/// A command of Chromium's own.
#[derive(Debug)]
struct Extra {
    name: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Extra {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.name))
    }
    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.body.to_string()))
    }
}

/// A browser's window.
pub struct Page {
    client: Client,
}

/// An answer of the browser, which must come in time.
async fn within<T>(what: &str, answer: impl Future<Output = Result<T, CmdError>>) -> T {
    let answer = timeout(STEP, answer).await.unwrap_or_else(|_| panic!("{what}: no answer"));
    answer.unwrap_or_else(|error| panic!("{what}: {error}"))
}

impl Page {
    pub async fn open(&self, address: &str) {
        within(address, self.client.goto(address)).await;
    }

    pub async fn address(&self) -> Url {
        within("address", self.client.current_url()).await
    }

    /// What a script gives.
    pub async fn script(&self, what: &str) -> Value {
        within(what, self.client.execute(what, Vec::new())).await
    }

    /// Waits until an expression is true. Between two pages there is nothing to ask, which is not true either.
    pub async fn until(&self, what: &str) {
        let start = Instant::now();
        loop {
            let asked = format!("return Boolean({what})");
            let answer = timeout(STEP, self.client.execute(&asked, Vec::new())).await;
            match answer.unwrap_or_else(|_| panic!("{what}: no answer")) {
                Ok(Value::Bool(true)) => return,
                answer => assert!(start.elapsed() < STEP, "never came true: {what}: {answer:?}"),
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until an element's text is this.
    pub async fn says(&self, css: &str, text: &str) {
        self.until(&format!("document.querySelector({}).textContent === {}", json!(css), json!(text))).await;
    }

    /// Waits until an element's text has this in it.
    pub async fn mentions(&self, css: &str, text: &str) {
        let (css, text) = (json!(css), json!(text));
        self.until(&format!("document.querySelector({css}).textContent.includes({text})")).await;
    }

    /// How many elements are like that.
    pub async fn count(&self, css: &str) -> u64 {
        let found = self.script(&format!("return document.querySelectorAll({}).length", json!(css))).await;
        found.as_u64().expect("a number")
    }

    pub async fn click(&self, css: &str) {
        let element = within(css, self.client.find(Locator::Css(css))).await;
        within(css, element.click()).await;
    }

    pub async fn choose(&self, css: &str, label: &str) {
        let element = within(css, self.client.find(Locator::Css(css))).await;
        within(css, element.select_by_label(label)).await;
    }

    /// Types into an element.
    pub async fn type_into(&self, css: &str, keys: &str) {
        let element = within(css, self.client.find(Locator::Css(css))).await;
        within(css, element.send_keys(keys)).await;
    }

    /// Types to whatever has the focus.
    pub async fn press(&self, keys: &str) {
        let element = within("focus", self.client.active_element()).await;
        within(keys, element.send_keys(keys)).await;
    }

    /// A dialog that is open.
    pub async fn dialog(&self) -> Option<String> {
        timeout(STEP, self.client.get_alert_text()).await.expect("an answer").ok()
    }

    async fn extra(&self, name: &'static str, body: Value) -> Value {
        within(name, self.client.issue_cmd(Extra { name, body })).await
    }

    /// Whether the reader's system is dark.
    pub async fn dark(&self, dark: bool) {
        let value = if dark { "dark" } else { "light" };
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": value }] });
        let order = json!({ "cmd": "Emulation.setEmulatedMedia", "params": media });
        self.extra("goog/cdp/execute", order).await;
    }

    /// With `PARALLAX_SCREENSHOTS=DIR` keeps what is seen now, light and dark.
    pub async fn shot(&self, name: &str) {
        let Some(dir) = std::env::var_os("PARALLAX_SCREENSHOTS").map(PathBuf::from) else { return };
        std::fs::create_dir_all(&dir).expect("a folder");
        for (dark, ending) in [(true, "dark"), (false, "light")] {
            self.dark(dark).await;
            let height = self.script("return document.documentElement.scrollHeight").await;
            let height = u32::try_from(height.as_u64().expect("a number")).expect("a height").min(4000);
            within("size", self.client.set_window_size(1300, height.max(600) + 140)).await;
            let png = within("a picture", self.client.screenshot()).await;
            std::fs::write(dir.join(format!("{name}-{ending}.png")), png).expect("written");
            within("size", self.client.set_window_size(1300, 1000)).await;
        }
    }

    /// What the console complained of since it was last asked: errors of scripts, and what the pages' policy forbids.
    pub async fn complaints(&self) -> Vec<String> {
        let log = self.extra("se/log", json!({ "type": "browser" })).await;
        let entries = log.as_array().expect("a log").iter();
        // Chromium also gives advice there.
        entries.filter(|entry| entry["level"] != "DEBUG").map(ToString::to_string).collect()
    }
}

/// Runs a test in a browser of its own, at the end of which the console is empty. Without a browser it is skipped, unless
/// `CI` is set.
pub fn run(test: impl AsyncFnOnce(&Page)) {
    if let Some(program) = missing() {
        assert!(
            std::env::var_os("CI").is_none(),
            "{program} is not here: script/install-browser installs it"
        );
        eprintln!("skipped: {program} is not here (script/install-browser installs it)");
        return;
    }
    let driver = Driver::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let page = Page { client: driver.browser().await };
        timeout(TEST, test(&page)).await.expect("the test ends in time");
        assert_eq!(page.complaints().await, Vec::<String>::new());
        within("end", page.client.close()).await;
    });
}

/// A file as a browser names it.
pub fn of_file(path: &Path) -> String {
    format!("file://{}", path.display())
}
