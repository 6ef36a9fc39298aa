//! Golden conversations: what goes up, what an answer means and what a client is told, for each dialect.
//!
//! `adapters/NAME.golden` has sections that open with `== WORD`, in the order of a task's life. Those that somebody says (`client`,
//! `answer`, `before`, `reads`, `lists`, `face`) are read, all others are what the gate has to make of them.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use tidegate::config::{Adapter, parse};
use tidegate::dialect::adapter::{
    Answered, Earlier, Made, Origin, Reading, Request, Seen, Shown, Started, Told, Verdict,
    batch_read, batch_request, before_request, cancel_request, face_started, fits_body, is_busy,
    poll_request, read, rewritten, set_headers, shown, started, told,
};

const HOST: &str = "upstream.example";

/// A message of a golden file.
struct Message {
    first: String,
    headers: HeaderMap,
    body: String,
}

impl Message {
    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
        let mut lines = head.lines();
        let first = lines.next().unwrap().to_owned();
        let mut headers = HeaderMap::new();
        for line in lines {
            let (name, value) = line.split_once(": ").unwrap();
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        Self {
            first,
            headers,
            body: body.trim_end().to_owned(),
        }
    }

    fn answered(&self) -> Answered<'_> {
        Answered {
            status: self.first.parse().unwrap(),
            headers: &self.headers,
            body: self.body.as_bytes(),
        }
    }
}

#[test]
fn conversations_go_as_the_golden_files_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dialect/adapters");
    let mut seen = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "golden") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        Talk::new(&text, &name).run();
        seen.push(name);
    }
    for dialect in [
        "vcenter",
        "nsx-v",
        "avi",
        "skytap",
        "redfish",
        "azure",
        "openstack",
    ] {
        assert!(
            seen.iter().any(|name| name.starts_with(dialect)),
            "none of {dialect}: {seen:?}"
        );
    }
}

/// One conversation.
struct Talk {
    name: String,
    adapters: Vec<Adapter>,
    sections: Vec<(String, String)>,
}

/// What has been said so far.
#[derive(Default)]
struct Said {
    client: Option<Message>,
    answer: Option<Message>,
    before: Option<Message>,
    reads: Option<Message>,
    handle: String,
    reading: Option<Reading>,
    face: Vec<(String, String)>,
}

impl Talk {
    fn new(text: &str, name: &str) -> Self {
        let mut parts = text.split("\n== ");
        let opening = parts.next().unwrap();
        let adapter = opening
            .lines()
            .find_map(|line| line.strip_prefix("adapter = "))
            .unwrap();
        let dialect = adapter.split('/').next().unwrap();
        let file = opening
            .lines()
            .find_map(|line| line.strip_prefix("file = "));
        let line = file.map_or_else(
            || format!("adapters = [\"{dialect}\"]"),
            |file| format!("dialect_files = [\"{file}\"]"),
        );
        let config = format!("[[upstream]]\naddress = \"https://{HOST}\"\n{line}");
        let mut adapters = parse(&config, Path::new(env!("CARGO_MANIFEST_DIR")))
            .unwrap()
            .upstreams
            .remove(0)
            .adapters;
        adapters.retain(|one| one.name == adapter);
        assert_eq!(adapters.len(), 1, "{name}: {adapter}");
        let sections = parts.map(|part| {
            let (word, rest) = part.split_once('\n').unwrap_or((part, ""));
            (word.to_owned(), rest.trim_end().to_owned())
        });
        Self {
            name: name.to_owned(),
            adapters,
            sections: sections.collect(),
        }
    }

    fn run(&self) {
        let mut said = Said::default();
        for (word, text) in &self.sections {
            match word.as_str() {
                "client" => said.client = Some(Message::parse(text)),
                "answer" => said.answer = Some(Message::parse(text)),
                "before" => said.before = Some(Message::parse(text)),
                "reads" => said.reads = Some(Message::parse(text)),
                "face" => {
                    let pairs = text.lines().map(|line| line.split_once(" = ").unwrap());
                    said.face = pairs
                        .map(|(name, value)| (name.to_owned(), value.to_owned()))
                        .collect();
                }
                _ => {
                    let made = self.made(word, &mut said);
                    assert_eq!(made.trim_end(), text, "{}: == {word}", self.name);
                }
            }
        }
    }

    fn made(&self, word: &str, said: &mut Said) -> String {
        let adapter = &self.adapters[0];
        let client = said.client.as_ref().expect("a client");
        let (method, target) = client.first.split_once(' ').unwrap();
        let origin = Origin::new(adapter, target, client.body.as_bytes());
        if matches!(word, "face-started" | "face-shown") {
            return face(adapter, word, (method, target), &said.face);
        }
        let native = adapter.native.as_ref().expect("a native form");
        match word {
            "fits" => fits_body(adapter, &origin).to_string(),
            "sends" => {
                let mut sends = format!("{method} {}", rewritten(native, target));
                for (name, value) in set_headers(native) {
                    write!(sends, "\n{name}: {value}").unwrap();
                }
                sends
            }
            "asks-before" => request(before_request(native, &origin)),
            "busy" => {
                let before = said.before.as_ref().unwrap();
                format!("{:?}", is_busy(native, &origin, &before.answered()))
            }
            "started" => {
                let answer = said.answer.as_ref().unwrap();
                let started = started(
                    native,
                    &origin,
                    &answer.answered(),
                    Duration::from_millis(300),
                    &[HOST],
                );
                if let Started::Handle(handle) = &started {
                    said.handle.clone_from(handle);
                    return format!("handle {handle}");
                }
                format!("{started:?}")
            }
            "polls" => request(poll_request(native, &origin, &said.handle)),
            "batch" => request(Some(batch_request(
                native.poll.batch.as_ref().unwrap(),
                &[&said.handle],
            ))),
            "batch-is" => {
                let reads = said.reads.as_ref().unwrap();
                let entries =
                    batch_read(native.poll.batch.as_ref().unwrap(), &reads.answered()).unwrap();
                let entry = entries.get(&said.handle).unwrap();
                reading(&read(native, &origin, &entry, None))
            }
            "is" => {
                let reads = said.reads.as_ref().unwrap();
                let before = said
                    .before
                    .as_ref()
                    .map(|before| Earlier::of(native, &origin, &Seen::new(&before.answered())));
                let found = read(
                    native,
                    &origin,
                    &Seen::new(&reads.answered()),
                    before.as_ref(),
                );
                let shown = reading(&found);
                said.reading = Some(found);
                shown
            }
            "told" => {
                let reads = said.reads.as_ref().unwrap();
                let reading = said.reading.as_ref().unwrap();
                match told(
                    native,
                    &origin,
                    &Seen::new(&reads.answered()),
                    reading,
                    &said.handle,
                ) {
                    Told::Made(made) => answer(&made),
                    Told::Get(get) => request(Some(get)),
                    other => format!("{other:?}"),
                }
            }
            "cancels" => request(cancel_request(native, &origin, &said.handle)),
            other => panic!("{}: == {other} is no section", self.name),
        }
    }
}

fn face(
    adapter: &Adapter,
    word: &str,
    (method, target): (&str, &str),
    said: &[(String, String)],
) -> String {
    let face = adapter.face.as_ref().expect("a face");
    let find = |name: &str| {
        said.iter()
            .find(|(have, _)| have == name)
            .map(|(_, value)| value.as_str())
    };
    let status = find("result_status").map(|status| status.parse().unwrap());
    let task = Shown {
        id: find("id").unwrap(),
        state: find("state").unwrap(),
        percent: find("percent").map(|percent| percent.parse().unwrap()),
        message: find("message"),
        created: find("created").unwrap_or("2026-03-01T10:15:00Z"),
        started: find("started"),
        ended: find("ended"),
        method,
        target,
        cancelable: find("cancelable") == Some("true"),
        result: status.map(|status| {
            (
                status,
                find("location"),
                find("result").unwrap_or_default().as_bytes(),
            )
        }),
        error_status: None,
        error_kind: None,
        error_message: find("error_message"),
    };
    answer(&if word == "face-started" {
        face_started(face, adapter, &task)
    } else {
        shown(face, adapter, &task)
    })
}

fn request(request: Option<Request>) -> String {
    let Some(request) = request else {
        return "none".to_owned();
    };
    let body = request.body.map(|body| String::from_utf8(body).unwrap());
    let body = body.map_or_else(String::new, |body| format!("\n\n{body}"));
    format!("{} {}{body}", request.method, request.target)
}

fn answer(made: &Made) -> String {
    let mut text = made.status.to_string();
    for (name, value) in &made.headers {
        write!(text, "\n{name}: {value}").unwrap();
    }
    let body = std::str::from_utf8(&made.body).unwrap();
    if !body.is_empty() {
        write!(text, "\n\n{body}").unwrap();
        let content_type = made
            .headers
            .iter()
            .find(|(name, _)| name == "content-type")
            .unwrap();
        if content_type.1.contains("json") {
            serde_json::from_str::<serde_json::Value>(body)
                .unwrap_or_else(|_| panic!("no JSON: {body}"));
        }
    }
    text
}

fn reading(reading: &Reading) -> String {
    let mut text = match reading.verdict {
        Verdict::State(state, None) => format!("{state:?}"),
        Verdict::State(state, Some(beside)) => format!("{state:?} {beside:?}"),
        other => format!("{other:?}"),
    };
    if let Some(percent) = reading.percent {
        write!(text, ", {percent}%").unwrap();
    }
    if let Some(message) = &reading.message {
        write!(text, ", {message:?}").unwrap();
    }
    if let Some(error) = &reading.error {
        write!(
            text,
            ", error {:?} {:?}",
            error.kind.as_deref().unwrap_or("-"),
            error.message.as_deref().unwrap_or("-")
        )
        .unwrap();
    }
    if let Some(cancelable) = reading.cancelable {
        write!(text, ", cancelable {cancelable}").unwrap();
    }
    if reading.unmade {
        text.push_str(", unmade");
    }
    if reading.confirm > 1 {
        write!(text, ", {} times", reading.confirm).unwrap();
    }
    text
}
