//! Hashes and public keys. The only file that knows the library behind them, aws-lc-rs.

use aws_lc_rs::digest::{Context, Digest, SHA256};
use aws_lc_rs::rsa::PublicKey as RsaKey;
use aws_lc_rs::signature::{ED25519, RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, RsaParameters, UnparsedPublicKey};

/// RFC 8301 §3.2: shorter keys are never good enough. (The library's name for the algorithm speaks of a legacy, since
/// it would like 2048.)
pub(crate) const RSA_BITS_MIN: u32 = 1024;
/// RFC 8301 §3.2 asks for 4096; more than twice that only costs time.
pub(crate) const RSA_BITS_MAX: u32 = 8192;
/// RFC 8463 §4.
const ED25519_OCTETS: usize = 32;

/// SHA-256, fed piece by piece.
#[derive(Clone)]
pub(crate) struct Sha256(Context);

/// What SHA-256 came to.
pub(crate) struct Hashed(Digest);

/// A public key.
pub(crate) enum PublicKey {
    /// The key as `RSAPublicKey` (RFC 8017 §A.1.1), and the bits of its modulus.
    Rsa(RsaKey, u32),
    /// The key's octets (RFC 8032 §5.1.5).
    Ed25519([u8; ED25519_OCTETS]),
}

impl Sha256 {
    pub fn new() -> Sha256 {
        Sha256(Context::new(&SHA256))
    }

    pub fn update(&mut self, octets: &[u8]) {
        self.0.update(octets);
    }

    pub fn finish(self) -> Hashed {
        Hashed(self.0.finish())
    }
}

impl Hashed {
    pub fn octets(&self) -> &[u8] {
        self.0.as_ref()
    }
}

impl PublicKey {
    /// An RSA key of any size, as SubjectPublicKeyInfo (as all the world publishes it) or as bare `RSAPublicKey` (as
    /// RFC 6376 §3.6.1 says); `None` if it is neither.
    pub fn rsa(der: &[u8]) -> Option<PublicKey> {
        let key = RsaKey::from_der(der).ok()?;
        let bits = RsaParameters::public_modulus_len(key.as_ref()).ok()?;
        Some(PublicKey::Rsa(key, bits))
    }

    /// `None` if these are not 32 octets.
    pub fn ed25519(octets: &[u8]) -> Option<PublicKey> {
        Some(PublicKey::Ed25519(octets.try_into().ok()?))
    }

    /// Bits of an RSA key.
    pub fn bits(&self) -> Option<u32> {
        match self {
            PublicKey::Rsa(_, bits) => Some(*bits),
            PublicKey::Ed25519(_) => None,
        }
    }

    /// Whether the key's owner signed what was hashed. Never so for an RSA key of too few or too many bits.
    pub fn has_signed(&self, hashed: &Hashed, signature: &[u8]) -> bool {
        match self {
            PublicKey::Rsa(key, _) => {
                UnparsedPublicKey::new(&RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, key.as_ref())
                    .verify_digest(&hashed.0, signature)
                    .is_ok()
            }
            // RFC 8463 §3: the hash is the message that is signed.
            PublicKey::Ed25519(octets) => UnparsedPublicKey::new(&ED25519, octets)
                .verify(hashed.octets(), signature)
                .is_ok(),
        }
    }
}
