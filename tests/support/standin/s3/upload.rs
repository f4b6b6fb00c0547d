//! The body of an upload: out of its framing, and checked against its checksums.

use base64::prelude::{BASE64_STANDARD, Engine};
use bytes::Bytes;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use md5::{Digest, Md5};
use sha2::Sha256;

use super::error::{BAD_DIGEST, Error, INCOMPLETE_BODY, NOT_IMPLEMENTED};

const CHECKSUM_PREFIX: &str = "x-amz-checksum-";

/// An object's bytes, and the checksums that they were sent with.
#[derive(Debug)]
pub(super) struct Upload {
    pub(super) body: Bytes,
    pub(super) checksums: Vec<(HeaderName, HeaderValue)>,
}

/// Names and values.
type Trailers = Vec<(String, String)>;

/// Reads the body of a put.
pub(super) fn read(headers: &HeaderMap, body: Bytes) -> Result<Upload, Error> {
    let is_framed =
        text_of(headers, "x-amz-content-sha256").is_some_and(|hash| hash.starts_with("STREAMING-"));
    let (body, trailers) = if is_framed {
        let (bytes, trailers) = unframe(&body).ok_or(INCOMPLETE_BODY)?;
        let declared =
            text_of(headers, "x-amz-decoded-content-length").and_then(|length| length.parse::<usize>().ok());
        if declared != Some(bytes.len()) {
            return Err(INCOMPLETE_BODY);
        }
        (Bytes::from(bytes), trailers)
    } else {
        (body, Vec::new())
    };
    let sent = headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())));
    let mut checksums = Vec::new();
    for (name, value) in sent.chain(trailers) {
        if name == "content-md5" {
            check(&value, &Md5::digest(&body))?;
        }
        let Some(algorithm) = name.strip_prefix(CHECKSUM_PREFIX) else {
            continue;
        };
        match algorithm {
            "crc32" => check(&value, &crc32(&body).to_be_bytes())?,
            "sha256" => check(&value, &Sha256::digest(&body))?,
            // To take what cannot be checked would hide a fault of the sender.
            _ => return Err(NOT_IMPLEMENTED),
        }
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(&name), HeaderValue::try_from(&value)) {
            checksums.push((name, value));
        }
    }
    Ok(Upload { body, checksums })
}

fn text_of<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn check(expected: &str, found: &[u8]) -> Result<(), Error> {
    if BASE64_STANDARD.encode(found) == expected { Ok(()) } else { Err(BAD_DIGEST) }
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// Takes `aws-chunked` apart: the bytes, and the trailing headers in lower case. Signatures are not looked at.
fn unframe(mut framed: &[u8]) -> Option<(Vec<u8>, Trailers)> {
    let mut bytes = Vec::with_capacity(framed.len());
    loop {
        let line = take_line(&mut framed)?;
        let size = line.split(';').next()?.trim();
        let size = usize::from_str_radix(size, 16).ok()?;
        if size == 0 {
            break;
        }
        bytes.extend_from_slice(framed.get(..size)?);
        framed = framed.get(size..)?.strip_prefix(b"\r\n")?;
    }
    let mut trailers = Vec::new();
    while let Some(line) = take_line(&mut framed).filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':')?;
        trailers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
    }
    Some((bytes, trailers))
}

fn take_line<'a>(bytes: &mut &'a [u8]) -> Option<&'a str> {
    let whole = *bytes;
    let end = whole.windows(2).position(|pair| pair == b"\r\n")?;
    *bytes = &whole[end + 2..];
    std::str::from_utf8(&whole[..end]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    const FRAMED: &str = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";

    #[test]
    fn a_framed_body_is_taken_apart_and_its_trailing_checksum_kept() {
        let headers = headers(&[("x-amz-content-sha256", FRAMED), ("x-amz-decoded-content-length", "9")]);
        let body = Bytes::from_static(
            b"5\r\n12345\r\n4;chunk-signature=0\r\n6789\r\n0\r\nx-amz-checksum-crc32:y/Q5Jg==\r\n\r\n",
        );

        let upload = read(&headers, body).expect("the checksum is right");

        assert_eq!(upload.body, "123456789");
        assert_eq!(upload.checksums.len(), 1);
    }

    #[test]
    fn a_wrong_checksum_is_refused() {
        let sent = [
            ("x-amz-checksum-crc32", "AAAAAA=="),
            ("content-md5", "AAAA"),
            ("x-amz-checksum-sha256", "AAAA"),
        ];
        for pair in sent {
            let outcome = read(&headers(&[pair]), Bytes::from_static(b"123456789"));

            assert_eq!(outcome.err(), Some(BAD_DIGEST), "{pair:?}");
        }
    }

    #[test]
    fn a_body_that_was_cut_off_is_refused() {
        let headers = headers(&[("x-amz-content-sha256", FRAMED), ("x-amz-decoded-content-length", "9")]);
        for body in ["", "9\r\n1234", "9\r\n123456789\r\n", "5\r\n12345\r\n0\r\n\r\n"] {
            let outcome = read(&headers, Bytes::from_static(body.as_bytes()));

            assert_eq!(outcome.err(), Some(INCOMPLETE_BODY), "{body:?}");
        }
    }
}
