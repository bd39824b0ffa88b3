//! Signs messages (RFC 6376) and seals them (RFC 8617) as others do: rsa-sha256, relaxed/relaxed. Written from the RFC and apart from the
//! verifier, so that one does not repeat the other's mistakes; the key is made when a test starts.

use std::sync::OnceLock;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use data_encoding::BASE64;

use super::boxes;

/// The fields that are signed.
const SIGNED: [&str; 5] = ["From", "To", "Subject", "Date", "Message-Id"];

/// One key for all tests of a run: making it takes a while.
fn key() -> &'static RsaKeyPair {
    static KEY: OnceLock<RsaKeyPair> = OnceLock::new();
    KEY.get_or_init(|| RsaKeyPair::generate(KeySize::Rsa2048).expect("a key"))
}

/// The record of the key, as lines of a zone file: `SELECTOR._domainkey TXT ...`.
pub fn key_record(selector: &str) -> String {
    let public: PublicKeyX509Der<'_> = key().public_key().as_der().expect("a public key");
    let text = format!("v=DKIM1; k=rsa; p={}", BASE64.encode(public.as_ref()));
    // A character-string holds 255 octets (RFC 1035 §3.3).
    let (first, rest) = text.split_at(200);
    format!("{selector}._domainkey TXT \"{first}\" \"{rest}\"\n")
}

/// The message with a DKIM-Signature field of `domain` on top.
pub fn signed(message: &[u8], domain: &str, selector: &str) -> Vec<u8> {
    let (fields, hash) = covered(message);
    let tags = format!(
        "v=1; a=rsa-sha256; c=relaxed/relaxed; d={domain}; s={selector}; h={}; bh={hash}; b=",
        SIGNED.join(":").to_ascii_lowercase()
    );
    let field = field("DKIM-Signature", &tags, &fields);
    [field.as_bytes(), message].concat()
}

/// The message with a first ARC set of `domain` on top (RFC 8617 §5.1), which says that it found `results`.
pub fn sealed(message: &[u8], domain: &str, selector: &str, results: &str) -> Vec<u8> {
    let (fields, hash) = covered(message);
    let found = format!("i=1; mx.{domain}; {results}");
    let tags = format!(
        "i=1; a=rsa-sha256; c=relaxed/relaxed; d={domain}; s={selector}; h={}; bh={hash}; b=",
        SIGNED.join(":").to_ascii_lowercase()
    );
    let signature = field("ARC-Message-Signature", &tags, &fields);
    let covered = format!(
        "arc-authentication-results:{found}\r\narc-message-signature:{}\r\n",
        relaxed(signature.split_once(':').expect("a field").1)
    );
    let tags = format!("i=1; a=rsa-sha256; cv=none; d={domain}; s={selector}; b=");
    let seal = field("ARC-Seal", &tags, &covered);
    let found = format!("ARC-Authentication-Results: {found}\r\n");
    [seal.as_bytes(), signature.as_bytes(), found.as_bytes(), message].concat()
}

/// The fields that are signed, as they are signed, and the hash of the body.
fn covered(message: &[u8]) -> (String, String) {
    let (header, body) = divided(message);
    let fields = boxes::headers(header);
    let value = |name: &str| fields.iter().rev().find(|(n, _)| n.eq_ignore_ascii_case(name));
    let signed = SIGNED
        .iter()
        .filter_map(|name| value(name))
        .map(|(name, value)| format!("{}:{}\r\n", name.to_ascii_lowercase(), relaxed(value)))
        .collect();
    (signed, BASE64.encode(digest(&SHA256, &relaxed_body(body)).as_ref()))
}

/// A whole field: `tags`, which end with an empty `b=`, and the signature over `covered` and themselves.
fn field(name: &str, tags: &str, covered: &str) -> String {
    let text = format!("{covered}{}:{tags}", name.to_ascii_lowercase());
    let mut signature = vec![0; key().public_modulus_len()];
    key()
        .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature)
        .expect("a signature");
    let signature = BASE64.encode(&signature);
    let lines: Vec<&str> = (0..signature.len())
        .step_by(70)
        .map(|at| &signature[at..signature.len().min(at + 70)])
        .collect();
    format!("{name}: {tags}{}\r\n", lines.join("\r\n\t"))
}

fn divided(message: &[u8]) -> (&[u8], &[u8]) {
    let end = message.windows(4).position(|four| four == b"\r\n\r\n");
    message.split_at(end.expect("a message has a header") + 4)
}

/// RFC 6376 §3.4.2: runs of white space are one blank, and none is at the ends.
fn relaxed(value: &str) -> String {
    value.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// RFC 6376 §3.4.4, which also leaves out empty lines at the end.
fn relaxed_body(body: &[u8]) -> Vec<u8> {
    let mut relaxed = Vec::with_capacity(body.len());
    for line in body.split_inclusive(|&octet| octet == b'\n') {
        let line = line.strip_suffix(b"\r\n").expect("lines end with CRLF");
        let mut blank = false;
        for &octet in line {
            match octet {
                b' ' | b'\t' => blank = true,
                _ => {
                    relaxed.extend(blank.then_some(b' '));
                    relaxed.push(octet);
                    blank = false;
                }
            }
        }
        relaxed.extend(b"\r\n");
    }
    while relaxed.ends_with(b"\r\n\r\n") {
        relaxed.truncate(relaxed.len() - 2);
    }
    if relaxed == b"\r\n" {
        relaxed.clear();
    }
    relaxed
}
