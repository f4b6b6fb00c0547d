//! Whether AfterShip signed a body: base64 of HMAC-SHA256 over the exact bytes, keyed with the secret's text.
//!
//! Two steps, so that a request without a well-formed signature is refused before its body is read:
//! [`Verifier::claim`] looks at the headers alone, [`Verifier::verify`] at the bytes. Nothing but the body is
//! signed, no time and no address; whoever needs protection from repetition has the event's key for it.
//!
//! Source: AfterShip, "Webhook signature", for Tracking, Returns and Shipping.

use crate::failpoint::seeded_bug;
use std::fmt;
use std::str::FromStr;

use axum::http::HeaderMap;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Most secrets that count at once: an old and a new one while they change, and room.
pub const SECRETS_MAX: usize = 8;

/// The header of Tracking.
pub const TRACKING_HEADER: &str = "aftership-hmac-sha256";

const RETURNS_HEADER: &str = "as-signature-hmac-sha256";
const SHIPPING_HEADER: &str = "am-webhook-signature";
const SHIPPING_PREFIX: &[u8] = b"hmac-sha256=";

/// Base64 of 32 bytes.
const SIGNATURE_CHARS: usize = 44;

const LABELS: [&str; SECRETS_MAX] = ["1", "2", "3", "4", "5", "6", "7", "8"];

/// An AfterShip product; each signs under a header of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Product {
    /// `aftership-hmac-sha256`
    Tracking,
    /// `as-signature-hmac-sha256`, and for old organisations `am-webhook-signature`.
    Returns,
    /// `am-webhook-signature`
    Shipping,
}

impl Product {
    const ALL: [Product; 3] = [Product::Tracking, Product::Returns, Product::Shipping];

    /// The word used in settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Product::Tracking => "tracking",
            Product::Returns => "returns",
            Product::Shipping => "shipping",
        }
    }

    fn headers(self) -> &'static [&'static str] {
        match self {
            Product::Tracking => &[TRACKING_HEADER],
            Product::Returns => &[RETURNS_HEADER, SHIPPING_HEADER],
            Product::Shipping => &[SHIPPING_HEADER],
        }
    }
}

/// A word that names no product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not one of tracking, returns, shipping")]
pub struct UnknownProduct;

impl FromStr for Product {
    type Err = UnknownProduct;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Product::ALL.into_iter().find(|product| product.as_str() == text).ok_or(UnknownProduct)
    }
}

/// Which of our secrets signed: its 1-based place in the settings, newest first. Shows nothing of the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecretId(usize);

impl SecretId {
    /// `1` to `8`, fit for a metric's label.
    pub fn as_str(self) -> &'static str {
        LABELS[self.0]
    }
}

impl fmt::Display for SecretId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The secrets that count, newest first. Prints as `<secret>`.
#[derive(Clone)]
pub struct Secrets {
    keyed: Vec<Hmac<Sha256>>,
}

impl Secrets {
    /// Takes the first [`SECRETS_MAX`] texts. An empty text is left out, since anybody could sign with it.
    pub fn new(secrets: Vec<String>) -> Self {
        let keyed = secrets.iter().filter(|secret| !secret.is_empty()).take(SECRETS_MAX);
        Secrets { keyed: keyed.map(|secret| keyed_with(secret)).collect() }
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("<secret>")
    }
}

/// What a request says about its own signature, still to be verified.
#[derive(Clone, PartialEq, Eq)]
pub struct Claim {
    digest: [u8; 32],
    /// The header of a product that is not configured; such a claim never verifies.
    foreign: Option<&'static str>,
}

impl fmt::Debug for Claim {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Claim").field("foreign", &self.foreign).finish_non_exhaustive()
    }
}

/// Why a request does not count as AfterShip's. None carries a secret or a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// No header of a configured product.
    #[error("the request carries no signature header")]
    Missing,
    /// No header of a configured product, but another product's, and the secret is right.
    #[error(
        "the request carries no signature header of a configured product, but a right one named {header}"
    )]
    WrongProduct {
        /// The header that was there.
        header: &'static str,
    },
    /// Not base64 of 32 bytes.
    #[error("the signature is not the base64 form of an HMAC-SHA256")]
    Malformed,
    /// More than one signature.
    #[error("the request carries more than one signature")]
    Repeated,
    /// No secret of ours made it.
    #[error("the signature does not match the body")]
    Mismatch,
}

impl SignatureError {
    /// The error's code in the answer and in metrics.
    pub fn code(&self) -> &'static str {
        match self {
            SignatureError::Missing | SignatureError::WrongProduct { .. } => "signature_missing",
            SignatureError::Malformed => "signature_malformed",
            SignatureError::Repeated => "signature_repeated",
            SignatureError::Mismatch => "signature_mismatch",
        }
    }

    /// How to mend it, for the person who set the webhook up.
    pub fn hint(&self) -> &'static str {
        match self {
            SignatureError::Missing => {
                "AfterShip signs in the header aftership-hmac-sha256 (Tracking), as-signature-hmac-sha256 (Returns) \
                 or am-webhook-signature (Shipping); check that no proxy removes it and that \
                 WAYBILL_SIGNATURE_PRODUCTS names your product"
            }
            SignatureError::WrongProduct { header: TRACKING_HEADER } => {
                "the secret is right, but the signature came in aftership-hmac-sha256: add tracking to \
                 WAYBILL_SIGNATURE_PRODUCTS"
            }
            SignatureError::WrongProduct { header: RETURNS_HEADER } => {
                "the secret is right, but the signature came in as-signature-hmac-sha256: add returns to \
                 WAYBILL_SIGNATURE_PRODUCTS"
            }
            SignatureError::WrongProduct { .. } => {
                "the secret is right, but the signature came in am-webhook-signature: add shipping (or returns, for \
                 an organisation from before 25 October 2022) to WAYBILL_SIGNATURE_PRODUCTS"
            }
            SignatureError::Malformed => {
                "expected 44 characters of standard base64 with padding; hex is not AfterShip's form, and only \
                 am-webhook-signature may begin with hmac-sha256="
            }
            SignatureError::Repeated => {
                "send exactly one signature; check for a proxy that adds headers twice"
            }
            SignatureError::Mismatch => {
                "compare the secret with AfterShip's Admin, Settings, Webhooks, and check that no proxy changes the \
                 body: the signature covers its exact bytes"
            }
        }
    }
}

/// Checks signatures for the configured products and secrets.
#[derive(Debug, Clone)]
pub struct Verifier {
    headers: Vec<&'static str>,
    secrets: Secrets,
}

impl Verifier {
    /// `products`: whose headers count.
    pub fn new(products: &[Product], secrets: Secrets) -> Self {
        let mut headers = Vec::new();
        for header in products.iter().flat_map(|product| product.headers()) {
            if !headers.contains(header) {
                headers.push(*header);
            }
        }
        Verifier { headers, secrets }
    }

    /// Reads the signature from the headers, before the body is looked at.
    ///
    /// Exactly one value counts, over all headers of the configured products. ASCII white space around it is
    /// passed over. Another product's header makes a claim too, one that never verifies: with the body,
    /// [`Verifier::verify`] can then say what to configure.
    pub fn claim(&self, headers: &HeaderMap) -> Result<Claim, SignatureError> {
        let mut found = self.headers.iter().copied().flat_map(|name| values(headers, name));
        let Some((name, value)) = found.next() else {
            return self.foreign_claim(headers).ok_or(SignatureError::Missing);
        };
        if found.next().is_some() {
            return Err(SignatureError::Repeated);
        }
        let digest = decode(name, value).ok_or(SignatureError::Malformed)?;
        Ok(Claim { digest, foreign: None })
    }

    /// Checks that one of our secrets signed this body, and says which. Compares in constant time.
    ///
    /// `body`: the bytes as received, before any parsing.
    pub fn verify(&self, claim: &Claim, body: &[u8]) -> Result<SecretId, SignatureError> {
        let matched = self.matching(&claim.digest, body);
        if seeded_bug!("any_signature") {
            return Ok(SecretId(1));
        }
        match (claim.foreign, matched) {
            (None, Some(id)) => Ok(id),
            (None, None) => Err(SignatureError::Mismatch),
            (Some(header), Some(_)) => Err(SignatureError::WrongProduct { header }),
            (Some(_), None) => Err(SignatureError::Missing),
        }
    }

    fn foreign_claim(&self, headers: &HeaderMap) -> Option<Claim> {
        Product::ALL
            .into_iter()
            .flat_map(Product::headers)
            .copied()
            .filter(|name| !self.headers.contains(name))
            .flat_map(|name| values(headers, name))
            .find_map(|(name, value)| Some(Claim { digest: decode(name, value)?, foreign: Some(name) }))
    }

    /// Tries every secret even after a match, so that the time taken does not tell which one it was.
    fn matching(&self, digest: &[u8; 32], body: &[u8]) -> Option<SecretId> {
        let mut matched = None;
        for (index, keyed) in self.secrets.keyed.iter().enumerate() {
            let is_match = keyed.clone().chain_update(body).verify_slice(digest).is_ok();
            if is_match && matched.is_none() {
                matched = Some(SecretId(index));
            }
        }
        matched
    }
}

/// Signs a body as AfterShip does: the value of [`TRACKING_HEADER`].
pub fn sign(secret: &str, body: &[u8]) -> String {
    BASE64_STANDARD.encode(keyed_with(secret).chain_update(body).finalize().into_bytes())
}

fn keyed_with(secret: &str) -> Hmac<Sha256> {
    Hmac::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length")
}

fn values<'h>(headers: &'h HeaderMap, name: &'static str) -> impl Iterator<Item = (&'static str, &'h [u8])> {
    headers.get_all(name).into_iter().map(move |value| (name, value.as_bytes()))
}

fn decode(name: &str, value: &[u8]) -> Option<[u8; 32]> {
    let mut value = value.trim_ascii();
    if name == SHIPPING_HEADER {
        value = value.strip_prefix(SHIPPING_PREFIX).unwrap_or(value);
    }
    if value.len() != SIGNATURE_CHARS {
        return None;
    }
    BASE64_STANDARD.decode(value).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod timing;
