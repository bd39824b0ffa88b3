//! Encryption towards next hops (RFC 3207), and the one cryptographic provider of the process.
//!
//! Types of the TLS library stay in this file.

use super::{Octets, is_readable};
use crate::config::{NextHopTls, TlsSettings};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::io::{self, IoSlice, Write};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::AsyncWrite;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Makes aws-lc-rs the provider of the whole process. May be called any number of times, and must be before the TLS
/// library is asked for anything.
pub(crate) fn install_provider() {
    // The only error is that it was done before.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// What is asked of a next hop.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Policy {
    /// Plaintext.
    Off,
    /// Encryption where it is offered. The certificate is not looked at: most mail servers have one that nobody can
    /// verify, and without DANE (RFC 7672) or MTA-STS (RFC 8461) an attacker on the line could take the offer away
    /// just as well. It keeps out those who only listen.
    Offer,
    /// Encryption, and a certificate for the host that the system's roots, or those of the file, vouch for.
    Verify(Option<PathBuf>),
}

impl Policy {
    pub(super) fn of(tls: &TlsSettings) -> Policy {
        match tls.next_hop_tls {
            NextHopTls::Off => Policy::Off,
            NextHopTls::Offer => Policy::Offer,
            NextHopTls::Verify => Policy::Verify(tls.ca_file.clone()),
        }
    }

    /// Whether plaintext will not do.
    pub(super) fn is_strict(&self) -> bool {
        matches!(self, Policy::Verify(_))
    }
}

/// The client's side of TLS, made once for each policy.
pub(super) struct Client {
    connector: TlsConnector,
}

impl Client {
    /// Reads the roots from disk where the policy needs them; nothing where it wants no TLS.
    pub(super) fn new(policy: &Policy) -> io::Result<Option<Client>> {
        install_provider();
        let config = match policy {
            Policy::Off => return Ok(None),
            Policy::Offer => ClientConfig::builder()
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(AnyCertificate)),
            Policy::Verify(ca_file) => ClientConfig::builder().with_root_certificates(roots(ca_file.as_deref())?),
        };
        let config = Arc::new(config.with_no_client_auth());
        Ok(Some(Client {
            connector: config.into(),
        }))
    }

    /// Encrypts the rest of a connection to `host`, a name or an address.
    pub(super) async fn secure(&self, stream: Box<dyn Octets>, host: &str) -> io::Result<Box<dyn Octets>> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, format!("{error}: `{host}`")))?;
        Ok(Box::new(self.connector.connect(name, stream).await?))
    }
}

impl Octets for TlsStream<Box<dyn Octets>> {
    fn socket(&self) -> BorrowedFd<'_> {
        self.get_ref().0.socket()
    }

    /// Octets in the socket need not be the server's words: tickets for later sessions come unasked. So they are
    /// decrypted, as far as they came.
    fn has_more(&mut self) -> bool {
        let (stream, session) = self.get_mut();
        loop {
            match session.process_new_packets() {
                Ok(state) if state.plaintext_bytes_to_read() == 0 && !state.peer_has_closed() => {}
                _ => return true,
            }
            if !is_readable(stream.socket()) {
                return false;
            }
            match session.read_tls(&mut Now(stream.socket())) {
                Ok(1..) => {}
                Ok(0) | Err(_) => return true,
            }
        }
    }

    fn poll_more(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while !self.has_more() {
            ready!(self.get_mut().0.poll_more(context));
        }
        Poll::Ready(())
    }

    /// The stream's own way of writing goes on as long as the other side reads, and looks at nothing meanwhile.
    fn poll_write_once(&mut self, context: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let (stream, session) = self.get_mut();
        let taken = match session.wants_write() {
            true => 0,
            false => session.writer().write(octets)?,
        };
        match session.write_tls(&mut Below { stream, context }) {
            Ok(0) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Ok(_) => Poll::Ready(Ok(taken)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && taken > 0 => Poll::Ready(Ok(taken)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    fn is_flushed(&self) -> bool {
        let (stream, session) = self.get_ref();
        !session.wants_write() && stream.is_flushed()
    }
}

/// Reads what is there, and never waits.
struct Now<'a>(BorrowedFd<'a>);

impl io::Read for Now<'_> {
    fn read(&mut self, octets: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(self.0, octets)?)
    }
}

/// The stream below, as the TLS library writes to it.
struct Below<'a, 'b> {
    stream: &'a mut Box<dyn Octets>,
    context: &'a mut Context<'b>,
}

impl Below<'_, '_> {
    fn done(written: Poll<io::Result<usize>>) -> io::Result<usize> {
        match written {
            Poll::Ready(count) => count,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl Write for Below<'_, '_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        Self::done(Pin::new(&mut *self.stream).poll_write(self.context, octets))
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Self::done(Pin::new(&mut *self.stream).poll_write_vectored(self.context, slices))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

/// The system's roots, and those of the file.
fn roots(ca_file: Option<&Path>) -> io::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "some of the system's certificates cannot be read");
    }
    roots.add_parsable_certificates(found.certs);
    if let Some(path) = ca_file {
        let wrong = |why: String| {
            let text = format!("`[tls] ca_file` cannot be used: {}: {why}", path.display());
            io::Error::new(io::ErrorKind::InvalidData, text)
        };
        let certificates = CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))?;
        let mut count = 0;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
            roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
            count += 1;
        }
        if count == 0 {
            return Err(wrong("there is no certificate in it".into()));
        }
    }
    if roots.is_empty() {
        let text = "there are no root certificates: install the system's, or set `[tls] ca_file`";
        return Err(io::Error::new(io::ErrorKind::NotFound, text));
    }
    Ok(roots)
}

/// Takes any certificate, and does not look at the signature made with it either: who may show any certificate may
/// show one of his own.
#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_holds_no_certificate_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        for text in [
            "",
            "hello\n",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ] {
            std::fs::write(&path, text).unwrap();
            let error = Client::new(&Policy::Verify(Some(path.clone())))
                .unwrap_err()
                .to_string();
            assert!(error.contains("ca.pem"), "{text:?}: {error}");
        }
        let error = Client::new(&Policy::Verify(Some("/nonexistent/ca.pem".into()))).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/ca.pem"), "{error}");
    }

    #[test]
    fn a_policy_of_plaintext_needs_no_client() {
        assert!(Client::new(&Policy::Off).unwrap().is_none());
        assert!(Client::new(&Policy::Offer).unwrap().is_some());
    }
}
