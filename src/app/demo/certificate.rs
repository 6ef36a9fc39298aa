//! The demo's self-made certificate: for `localhost` and the loopback addresses, good for a year.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use time::{Duration, OffsetDateTime};

use crate::config::Certificate;

/// A certificate and its key, both PEM.
pub struct Pair {
    /// The certificate.
    pub certificate: String,
    /// The private key.
    pub key: String,
}

/// Makes a new certificate, valid from an hour before `now` on.
///
/// # Errors
/// When no key can be made.
pub fn self_made(now: OffsetDateTime) -> Result<Pair, rcgen::Error> {
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let mut params = CertificateParams::new(names)?;
    params
        .distinguished_name
        .push(DnType::CommonName, "tidegate demo");
    params.not_before = now - Duration::hours(1);
    params.not_after = now + Duration::days(365);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok(Pair {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    })
}

impl Pair {
    /// Writes `demo.crt` and `demo.key` into `folder`, over older ones; the key with mode 0600.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, folder: &Path) -> io::Result<Certificate> {
        let (chain, key) = (folder.join("demo.crt"), folder.join("demo.key"));
        write_anew(&chain, &self.certificate, 0o644)?;
        write_anew(&key, &self.key, 0o600)?;
        Ok(Certificate { chain, key })
    }
}

/// Never writes through what somebody else may have put there: the old name goes, the new file must be new.
fn write_anew(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)?;
    file.write_all(text.as_bytes())
}
