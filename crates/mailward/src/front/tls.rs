//! TLS at the doors (RFC 3207, RFC 8314): our certificate, its reload, and the handshake.
//!
//! Types of the TLS library stop here. The certificate comes from PEM files; without any, a self-signed pair is made
//! once in the state directory, which is enough for senders, since they do not verify. A changed file is taken up by
//! the next handshake; one that is broken is logged, and the old one goes on serving.

use crate::config::{Config, TlsSettings};
use judge::evidence::TlsFacts;
use mail::Line;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ProtocolVersion, ServerConfig};
use std::fmt;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

/// How often the files are looked at, at most.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Time for a handshake.
const HANDSHAKE: Duration = Duration::from_secs(60);
/// Private key: nobody but the owner.
const KEY_MODE: u32 = 0o600;

/// An encrypted connection.
pub type Secured = Box<tokio_rustls::server::TlsStream<TcpStream>>;

/// The server's side of TLS. Cheap to clone.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
}

/// Why there is no certificate. The operator's to mend.
#[derive(Debug)]
pub struct TlsError {
    path: PathBuf,
    why: String,
}

impl Tls {
    /// Loads the certificate that the configuration names, or makes the self-signed one; whether it was made now.
    pub fn open(config: &Config) -> Result<(Tls, bool), TlsError> {
        let (files, made) = match &config.tls.certificate {
            Some(_) => (Files::of(&config.tls), false),
            None => self_signed(&config.paths.state.join("tls"), &config.smtp.hostname)?,
        };
        let provider = Arc::new(aws_lc_rs::default_provider());
        let keeper = Keeper::open(files, provider.clone())?;
        let broken = |error: rustls::Error| TlsError {
            path: keeper.files.certificate.clone(),
            why: error.to_string(),
        };
        let builder = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(broken)?;
        let config = builder.with_no_client_auth().with_cert_resolver(Arc::new(keeper));
        Ok((
            Tls {
                acceptor: TlsAcceptor::from(Arc::new(config)),
            },
            made,
        ))
    }

    /// The handshake.
    pub async fn accept(&self, stream: TcpStream) -> io::Result<Secured> {
        let accepted = timeout(HANDSHAKE, self.acceptor.accept(stream)).await;
        accepted
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
            .map(Box::new)
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

/// What is known of an encrypted connection.
pub(super) fn facts(stream: &Secured) -> TlsFacts {
    let (_, connection) = stream.get_ref();
    TlsFacts {
        version: Line::literal(match connection.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "TLS1.3",
            Some(ProtocolVersion::TLSv1_2) => "TLS1.2",
            _ => "TLS",
        }),
        cipher: connection
            .negotiated_cipher_suite()
            .and_then(|suite| suite.suite().as_str())
            .map_or(Line::literal("unknown"), |name| Line::reason(name.as_bytes())),
        sni: connection.server_name().map(|name| Line::reason(name.as_bytes())),
    }
}

/// Where certificate and key are.
#[derive(Debug, Clone)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

impl Files {
    fn of(settings: &TlsSettings) -> Files {
        let certificate = settings.certificate.clone().unwrap_or_default();
        let key = settings.key.clone().unwrap_or_else(|| certificate.clone());
        Files { certificate, key }
    }

    /// When either was changed last; `None` while one is missing.
    fn changed(&self) -> Option<(SystemTime, SystemTime)> {
        let changed = |path: &Path| path.metadata().and_then(|meta| meta.modified()).ok();
        Some((changed(&self.certificate)?, changed(&self.key)?))
    }

    fn read(&self, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
        let wrong = |path: &Path, why: String| TlsError { path: path.into(), why };
        let chain = CertificateDer::pem_file_iter(&self.certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| wrong(&self.certificate, format!("no PEM certificate: {error}")))?;
        if chain.is_empty() {
            return Err(wrong(&self.certificate, "no PEM certificate in it".into()));
        }
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .map_err(|error| wrong(&self.key, format!("no PEM key: {error}")))?;
        let pair = CertifiedKey::from_der(chain, key, provider);
        pair.map_err(|error| wrong(&self.key, format!("key and certificate do not fit: {error}")))
    }
}

/// Serves the certificate, and looks now and then whether the files changed.
struct Keeper {
    files: Files,
    provider: Arc<CryptoProvider>,
    state: Mutex<Kept>,
}

struct Kept {
    pair: Arc<CertifiedKey>,
    changed: Option<(SystemTime, SystemTime)>,
    looked: Instant,
}

impl Keeper {
    fn open(files: Files, provider: Arc<CryptoProvider>) -> Result<Keeper, TlsError> {
        let changed = files.changed();
        let pair = Arc::new(files.read(&provider)?);
        let state = Mutex::new(Kept {
            pair,
            changed,
            looked: Instant::now(),
        });
        Ok(Keeper { files, provider, state })
    }
}

impl ResolvesServerCert for Keeper {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current(LOOK_EVERY))
    }
}

impl Keeper {
    /// The pair that serves now; the files are looked at if the last look is `every` ago.
    fn current(&self, every: Duration) -> Arc<CertifiedKey> {
        let mut kept = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.looked.elapsed() >= every {
            kept.looked = Instant::now();
            let changed = self.files.changed();
            if changed.is_some() && changed != kept.changed {
                kept.changed = changed;
                match self.files.read(&self.provider) {
                    Ok(pair) => {
                        kept.pair = Arc::new(pair);
                        tracing::info!(certificate = %self.files.certificate.display(), "certificate reloaded");
                    }
                    Err(error) => tracing::error!(%error, "the old certificate goes on serving"),
                }
            }
        }
        kept.pair.clone()
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

/// The pair in `dir`, made if it is not there; whether it was made now.
fn self_signed(dir: &Path, hostname: &str) -> Result<(Files, bool), TlsError> {
    let files = Files {
        certificate: dir.join("cert.pem"),
        key: dir.join("key.pem"),
    };
    if files.changed().is_some() {
        return Ok((files, false));
    }
    let wrong = |why: String| TlsError { path: dir.into(), why };
    let made = rcgen::generate_simple_self_signed([hostname.to_owned()]).map_err(|error| wrong(error.to_string()))?;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|error| wrong(error.to_string()))?;
    write_private(&files.key, &made.signing_key.serialize_pem()).map_err(|error| wrong(error.to_string()))?;
    write_private(&files.certificate, &made.cert.pem()).map_err(|error| wrong(error.to_string()))?;
    Ok((files, true))
}

/// Under its name it is whole or not there: a start that was killed must not keep the next one from starting.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(KEY_MODE)
        .open(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(new, path)
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.why)
    }
}

impl std::error::Error for TlsError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_self_signed_pair_is_made_once_and_a_broken_one_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let (files, made) = self_signed(dir.path(), "mx.example.com").unwrap();
        assert!(made && !self_signed(dir.path(), "mx.example.com").unwrap().1);
        let provider = Arc::new(aws_lc_rs::default_provider());
        assert!(files.read(&provider).is_ok());
        let other = tempfile::tempdir().unwrap();
        let (foreign, _) = self_signed(other.path(), "mx.example.com").unwrap();
        let mixed = Files {
            certificate: files.certificate.clone(),
            key: foreign.key,
        };
        assert!(mixed.read(&provider).unwrap_err().to_string().contains("do not fit"));
    }

    #[test]
    fn a_changed_certificate_is_taken_up_and_a_broken_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let (files, _) = self_signed(dir.path(), "one.example").unwrap();
        let keeper = Keeper::open(files.clone(), Arc::new(aws_lc_rs::default_provider())).unwrap();
        let serve = || keeper.current(Duration::ZERO).cert[0].clone();
        let first = serve();
        std::fs::remove_file(&files.certificate).unwrap();
        assert_eq!(serve(), first);
        self_signed(dir.path(), "two.example").unwrap();
        let second = serve();
        assert_ne!(first, second);
        std::fs::write(&files.certificate, "broken").unwrap();
        assert_eq!(serve(), second);
    }
}
