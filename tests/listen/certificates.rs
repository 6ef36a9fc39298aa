//! The certificate is loaded anew when its files change, under clients that are connected.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use rcgen::CertificateParams;
use tidegate::app::Running;
use time::OffsetDateTime;

use crate::bare::Bare;
use crate::folder;
use crate::handshake::Believer;
use crate::support::client::Client;
use crate::support::origin::Origin;
use crate::support::pki::{Identity, of, self_signed};
use crate::support::{PATIENCE, gate, with_listen};

async fn is_shown(gate: &Running, identity: &Identity) -> bool {
    Believer::new(identity)
        .connect(gate.https()[0])
        .await
        .is_ok()
}

async fn until_shown(gate: &Running, identity: &Identity) {
    let deadline = Instant::now() + PATIENCE;
    while !is_shown(gate, identity).await {
        assert!(Instant::now() < deadline, "never shown");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Puts both files in place, each at once.
fn replace(folder: &Path, identity: &Identity) {
    let fresh = folder.join("fresh");
    std::fs::create_dir_all(&fresh).unwrap();
    let (certificate, key) = identity.write(&fresh);
    std::fs::rename(key, folder.join("tls.key")).unwrap();
    std::fs::rename(certificate, folder.join("tls.crt")).unwrap();
}

#[tokio::test]
async fn new_connections_see_the_new_certificate_and_old_ones_go_on() {
    let origin = Origin::start().await;
    let folder = folder("reload");
    let identities: Vec<Identity> = (0..3).map(|_| self_signed(&["localhost"], false)).collect();
    let (certificate, key) = identities[0].write(&folder);
    let listen = format!(
        "https = [\"127.0.0.1:0\"]\ncertificate = \"{}\"\nprivate_key = \"{}\"",
        certificate.display(),
        key.display()
    );
    let gate = gate(&with_listen(origin.address, &listen, ""));
    let first = Believer::new(&identities[0]).connect(gate.https()[0]).await;
    let mut first = Client::over(first.unwrap());
    assert_eq!(first.get("/api/x").await.status, 200);

    replace(&folder, &identities[1]);
    until_shown(&gate, &identities[1]).await;
    assert!(
        !is_shown(&gate, &identities[0]).await,
        "the old one is gone"
    );
    assert_eq!(first.get("/api/x").await.status, 200, "who is in stays in");

    replace(&folder, &identities[2]);
    until_shown(&gate, &identities[2]).await;
    assert_eq!(first.get("/api/x").await.status, 200);
}

/// Good until this second after 1970.
fn until_second(seconds: i64) -> Identity {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_before = OffsetDateTime::UNIX_EPOCH;
    params.not_after = OffsetDateTime::from_unix_timestamp(seconds).unwrap();
    of(&params)
}

#[tokio::test]
async fn metrics_say_when_it_ends_and_a_new_one_too() {
    let origin = Origin::start().await;
    // As a year of two digits, of four, and the last that there is.
    let ends = [1_900_000_000, 4_000_000_000, 253_402_300_799_i64];
    let folder = folder("ends");
    let (certificate, key) = until_second(ends[0]).write(&folder);
    let listen = format!(
        "https = [\"127.0.0.1:0\"]\ncertificate = \"{}\"\nprivate_key = \"{}\"",
        certificate.display(),
        key.display()
    );
    let gate = gate(&with_listen(origin.address, &listen, ""));
    for (turn, end) in ends.into_iter().enumerate() {
        if turn > 0 {
            replace(&folder, &until_second(end));
        }
        let line = format!(
            "tidegate_certificate_expiry_timestamp_seconds{{listener=\"https://{}\"}} {end}\n",
            gate.https()[0]
        );
        let deadline = Instant::now() + PATIENCE;
        loop {
            let page = Client::connect(gate.admin()).await.get("/metrics").await;
            let page = String::from_utf8(page.body).unwrap();
            let said = page.matches("expiry_timestamp_seconds{").count();
            assert_eq!(said, 1, "plain listeners have none");
            if page.contains(&line) {
                break;
            }
            assert!(Instant::now() < deadline, "{line} is not in {page}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named_and_the_last_good_certificate_stays() {
    let (now, other) = (
        self_signed(&["localhost"], false),
        self_signed(&["localhost"], false),
    );
    let bare = Bare::start("broken", "", &now).await;
    let folder = folder("broken");
    let shown = async |identity: &Identity| is_at(&bare, identity).await;
    assert!(shown(&now).await);
    for (certificate, key, named) in [
        (Some(""), None, "tls.crt"),
        (Some("no certificate"), None, "tls.crt"),
        (None, Some(""), "tls.key"),
        (None, Some(&*other.key_pem), "tls.key"),
        (Some(&*other.certificate_pem), None, "tls.crt"),
    ] {
        let certificate = certificate.unwrap_or(&now.certificate_pem);
        std::fs::write(folder.join("tls.crt"), certificate).unwrap();
        std::fs::write(folder.join("tls.key"), key.unwrap_or(&now.key_pem)).unwrap();
        let fault = bare.identity.reload().unwrap_err().to_string();
        assert!(fault.contains(named), "{fault}");
        assert!(shown(&now).await, "after {fault}");
    }
    std::fs::remove_file(folder.join("tls.key")).unwrap();
    assert!(bare.identity.reload().is_err());
    assert!(shown(&now).await, "without a file too");
    other.write(&folder);
    bare.identity.reload().unwrap();
    assert!(shown(&other).await && !shown(&now).await);
}

#[tokio::test]
async fn a_change_between_the_start_and_the_first_look_is_seen() {
    let (old, new) = (
        self_signed(&["localhost"], false),
        self_signed(&["localhost"], false),
    );
    let bare = Bare::start("first-look", "", &old).await;
    let (certificate, _) = new.write(&folder("first-look"));
    // Clocks of file systems tick slowly: make sure that it looks written at another time.
    let file = std::fs::File::options().write(true).open(certificate);
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    file.unwrap().set_modified(at).unwrap();
    let watch = tokio::spawn(bare.identity.clone().watch(Duration::from_millis(10)));
    until_is(&bare, &new).await;
    watch.abort();
}

#[tokio::test]
async fn a_reload_that_failed_is_tried_again_though_the_files_look_the_same() {
    let (old, new) = (
        self_signed(&["localhost"], false),
        self_signed(&["localhost"], false),
    );
    let bare = Bare::start("retry", "", &old).await;
    let folder = folder("retry");
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let put = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        let file = std::fs::File::options().write(true).open(path).unwrap();
        file.set_modified(at).unwrap();
    };
    // As unreadable for a while: the same length and time as what can be read later.
    put("tls.key", &new.key_pem);
    put("tls.crt", &"-".repeat(new.certificate_pem.len()));
    let failed = bare.identity.reload().is_err();
    assert!(failed && is_at(&bare, &old).await);
    let watch = tokio::spawn(bare.identity.clone().watch(Duration::from_millis(10)));
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    put("tls.crt", &new.certificate_pem);
    until_is(&bare, &new).await;
    watch.abort();
}

async fn is_at(bare: &Bare, identity: &Identity) -> bool {
    Believer::new(identity).connect(bare.https).await.is_ok()
}

async fn until_is(bare: &Bare, identity: &Identity) {
    let deadline = Instant::now() + PATIENCE;
    while !is_at(bare, identity).await {
        assert!(Instant::now() < deadline, "never shown");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
