//! Golden conversations over sockets, letter for letter in both directions: what a client says, what goes up, what the upstream
//! answers, and what the client hears.
//!
//! `talks/NAME.talk` opens with the lines of its upstream's configuration; then come sections that open with `== WORD`. What is said
//! (`client`, `answer`) is sent as it stands, with a `Content-Length` for its body; what the gate makes of that (`up`, `heard`) is
//! compared as it stands, but for names and times: of a task `{task}`, which also stands in what clients say later, of a call `{id}`,
//! moments `{time}`, seconds to come back in `{seconds}`, lengths of what tells of tasks `{length}`, what is left of a limit `{left}`, and
//! `upstream.example` for the address of the upstream. Where a task stands in line at some moment is left out.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use tidegate::app::Running;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use crate::support::client::{Answer, Client};
use crate::support::script::is_whole;
use crate::support::{PATIENCE, gate};

/// A request that the upstream hears, and where its answer goes.
type Heard = (String, oneshot::Sender<String>);

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/systems/talks")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn talks_go_letter_for_letter() {
    let mut talks = JoinSet::new();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        talks.spawn(async move { (Talk::run(&text).await, text, name) });
    }
    let mut names = Vec::new();
    let mut wrong = String::new();
    for (went, text, name) in talks.join_all().await {
        if went != text {
            // To be read beside the file, which is changed by hand alone.
            let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.talk"));
            std::fs::write(&file, went).unwrap();
            writeln!(wrong, "{name} went otherwise: see {}", file.display()).unwrap();
        }
        names.push(name);
    }
    assert!(wrong.is_empty(), "{wrong}");
    for dialect in [
        "vcenter",
        "nsx-v",
        "avi",
        "redfish",
        "azure",
        "openstack",
        "dna-center",
    ] {
        assert!(
            names.iter().any(|name| name.starts_with(dialect)),
            "none of {dialect}"
        );
    }
}

/// One conversation, as it goes on.
struct Talk {
    gate: Running,
    upstream: String,
    requests: mpsc::UnboundedReceiver<Heard>,
    /// What the client has said last waits for its answer.
    asked: Option<JoinHandle<Answer>>,
    /// What the upstream has heard does: what it heard last is answered first.
    answers: Vec<oneshot::Sender<String>>,
    task: String,
}

impl Talk {
    /// The whole conversation as it went.
    async fn run(text: &str) -> String {
        let mut sections = text.split("\n== ");
        let opening = sections.next().unwrap();
        let mut talk = Self::open(opening).await;
        let mut went = opening.to_owned();
        for section in sections {
            let (word, said) = section.split_once('\n').unwrap_or((section, ""));
            let said = said.trim_end();
            let made = match word {
                "client" => talk.says(said).to_owned(),
                "answer" => talk.answers(said).to_owned(),
                "up" => talk.goes_up().await,
                "heard" => talk.hears().await,
                other => panic!("{other} is no section"),
            };
            write!(went, "\n== {word}\n{made}\n").unwrap();
        }
        // Nothing more goes up.
        while let Ok((request, _)) = talk.requests.try_recv() {
            let request = talk.plain(&request);
            write!(went, "\n== up\n{request}\n").unwrap();
        }
        went
    }

    async fn open(opening: &str) -> Self {
        let (tell, requests) = mpsc::unbounded_channel();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, tell.clone()));
            }
        });
        let lines = opening.replace("@", env!("CARGO_MANIFEST_DIR"));
        let text = format!(
            "[listen]\nhttp = [\"127.0.0.1:0\"]\nadmin = \"127.0.0.1:0\"\n[runtime]\nthreads = 2\n[state]\nurl = \"memory\"\n\
             [log]\naccess = \"off\"\n[[upstream]]\nname = \"up\"\naddress = \"http://{upstream}\"\n{lines}\n"
        );
        Self {
            gate: gate(&text),
            upstream,
            requests,
            asked: None,
            answers: Vec::new(),
            task: String::new(),
        }
    }

    fn says<'t>(&mut self, said: &'t str) -> &'t str {
        let request = framed(&said.replace("{task}", &self.task));
        let address = self.gate.http()[0];
        self.asked = Some(tokio::spawn(async move {
            let mut client = Client::connect(address).await;
            client.send(request).await;
            client.answer().await.expect("an answer")
        }));
        said
    }

    fn answers<'t>(&mut self, said: &'t str) -> &'t str {
        let answer = framed(&said.replace("upstream.example", &self.upstream));
        // Where nothing went up, that is what is told.
        if let Some(answers) = self.answers.pop() {
            answers.send(answer).unwrap();
        }
        said
    }

    async fn goes_up(&mut self) -> String {
        let Ok(heard) = timeout(PATIENCE, self.requests.recv()).await else {
            return "nothing".to_owned();
        };
        let (request, answers) = heard.unwrap();
        self.answers.push(answers);
        self.plain(&request)
    }

    async fn hears(&mut self) -> String {
        let Ok(answer) = self.asked.take().unwrap().await else {
            return "nothing".to_owned();
        };
        let body = String::from_utf8(answer.body).unwrap();
        self.plain(&(answer.head + &body))
    }

    /// What stays the same from one time to the next.
    fn plain(&mut self, message: &str) -> String {
        let message = message
            .replace("\r\n", "\n")
            .replace(&self.upstream, "upstream.example");
        let message = words(
            &message,
            |c| c.is_ascii_alphanumeric(),
            |word| {
                let is_ulid = word.len() == 26
                    && word.starts_with("01")
                    && !word.contains(|c: char| c.is_lowercase());
                is_ulid.then(|| {
                    word.clone_into(&mut self.task);
                    "{task}"
                })
            },
        );
        let in_time = |c: char| c.is_ascii_alphanumeric() || "-:.".contains(c);
        let message = words(&message, in_time, |word| {
            let of_day =
                word.get(10..11) == Some("T") && word.ends_with('Z') && word.starts_with("20");
            of_day.then_some("{time}")
        });
        let (message, tells_of_tasks) = (without_line(&message), message.contains("\"links\":{"));
        let instead = |name: &str| match &*name.to_ascii_lowercase() {
            "date" => Some("{time}"),
            "retry-after" => Some("{seconds}"),
            "x-request-id" => Some("{id}"),
            "ratelimit" => Some("{left}"),
            "content-length" if tells_of_tasks => Some("{length}"),
            _ => None,
        };
        let lines = message.lines().map(|line| {
            let name = line.split_once(": ").map(|(name, _)| name);
            let known = name.and_then(|name| Some(format!("{name}: {}", instead(name)?)));
            known.unwrap_or_else(|| line.to_owned())
        });
        lines.collect::<Vec<_>>().join("\n").trim_end().to_owned()
    }
}

/// `text` with the words of these letters that `instead` has something for replaced.
fn words(
    text: &str,
    is_in: impl Fn(char) -> bool,
    mut instead: impl FnMut(&str) -> Option<&'static str>,
) -> String {
    let mut made = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let start = rest.find(&is_in).unwrap_or(rest.len());
        let (between, word) = rest.split_at(start);
        let end = word.find(|c| !is_in(c)).unwrap_or(word.len());
        let (word, behind) = word.split_at(end);
        made += between;
        made += instead(word).unwrap_or(word);
        rest = behind;
    }
    made
}

/// A document about a task without its place in line.
fn without_line(message: &str) -> String {
    let Some((before, rest)) = message.split_once("\"queue\":{") else {
        return message.to_owned();
    };
    let (_, behind) = rest.split_once("},").unwrap();
    before.to_owned() + behind
}

/// A message with its length, and ends of lines as they are on the wire.
fn framed(message: &str) -> String {
    let (head, body) = message.split_once("\n\n").unwrap_or((message, ""));
    let head = head.replace('\n', "\r\n");
    let is_bare = head.starts_with("GET ") || head.starts_with("HTTP/1.1 204");
    if is_bare {
        return format!("{head}\r\n\r\n");
    }
    format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// Reads requests, and answers each as it is told.
async fn serve(mut socket: TcpStream, tell: mpsc::UnboundedSender<Heard>) {
    let mut heard = Vec::new();
    while socket.read_buf(&mut heard).await.unwrap_or(0) > 0 {
        let text = String::from_utf8(heard.clone()).unwrap();
        if !is_whole(&text) {
            continue;
        }
        heard.clear();
        let (answers, answer) = oneshot::channel();
        if tell.send((text, answers)).is_err() {
            return;
        }
        let Ok(answer) = answer.await else { return };
        if socket.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}
