//! Tasks of clients that show a certificate and nothing else.

use crate::handshake::{Believer, authority, signed_by};
use crate::support::client::{Answer, Client};
use crate::support::origin::Origin;
use crate::support::{gate, with_listen};
use crate::{folder, tls_lines};

const SLOW: &str =
    "[[upstream.route]]\nname = \"slow\"\nmatch = { path = \"/slow\" }\nclass = \"blocking\"\n";

#[tokio::test]
async fn a_task_is_whose_certificate_asked_for_it() {
    let origin = Origin::start().await;
    let (pem, issuer) = authority();
    let file = folder("task-owners").join("clients.pem");
    std::fs::write(&file, pem).unwrap();
    let (lines, identity) = tls_lines("task-owners");
    let listen = format!("{lines}client_ca = \"{}\"", file.display());
    let gate = gate(&with_listen(origin.address, &listen, SLOW));
    let (one, other) = (signed_by(&issuer), signed_by(&issuer));
    let say = async |own: Option<&(_, Vec<u8>)>, text: String| -> Answer {
        let believer = Believer {
            own: own
                .map(|(certificate, key): &(_, Vec<u8>)| (Clone::clone(certificate), key.clone())),
            ..Believer::new(&identity)
        };
        let stream = believer.connect(gate.https()[0]).await.unwrap();
        let mut client = Client::over(stream);
        client.send(text).await;
        client.answer().await.unwrap()
    };
    let submission = "POST /slow?hold HTTP/1.1\r\nHost: a\r\nPrefer: respond-async\r\nContent-Length: 2\r\n\r\n{}";
    let accepted = say(Some(&one), submission.to_owned()).await;
    assert_eq!(accepted.status, 202, "{accepted:?}");
    let id = accepted.json()["id"].as_str().unwrap().to_owned();
    let poll = || format!("GET /-/tasks/{id} HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(say(Some(&one), poll()).await.status, 200);
    assert_eq!(say(Some(&other), poll()).await.status, 404, "another's");
    assert_eq!(say(None, poll()).await.status, 404, "without one");
    origin.release();
}
