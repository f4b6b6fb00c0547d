//! The bytes of an object: lines, packed as its name says.

use std::io::{Read, Write};

use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

use super::layout::{Compression, compression_of};

/// How far one compressor looks back, as a power of two: 1 MiB keeps eight open windows within some 40 MiB.
const WINDOW_LOG: u32 = 20;
const ZSTD_LEVEL: i32 = 3;
const IN_MEMORY: &str = "compressing into memory fails only without memory";

/// Packs an object while its lines come in, so that only the packed form is held.
pub struct Packer(Inner);

enum Inner {
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
    Gzip(GzEncoder<Vec<u8>>),
    Plain(Vec<u8>),
}

impl Packer {
    /// An empty object.
    pub fn new(compression: Compression) -> Self {
        Packer(match compression {
            Compression::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL).expect(IN_MEMORY);
                encoder.window_log(WINDOW_LOG).expect(IN_MEMORY);
                encoder.include_checksum(true).expect(IN_MEMORY);
                Inner::Zstd(encoder)
            }
            Compression::Gzip => Inner::Gzip(GzEncoder::new(Vec::new(), flate2::Compression::default())),
            Compression::None => Inner::Plain(Vec::new()),
        })
    }

    /// Appends bytes.
    pub fn append(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            Inner::Zstd(encoder) => encoder.write_all(bytes),
            Inner::Gzip(encoder) => encoder.write_all(bytes),
            Inner::Plain(buffer) => buffer.write_all(bytes),
        }
        .expect(IN_MEMORY);
    }

    /// The packed object.
    pub fn finish(self) -> Vec<u8> {
        match self.0 {
            Inner::Zstd(encoder) => encoder.finish().expect(IN_MEMORY),
            Inner::Gzip(encoder) => encoder.finish().expect(IN_MEMORY),
            Inner::Plain(buffer) => buffer,
        }
    }
}

/// Why an object does not unpack.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The name tells no compression that we know.
    #[error("name ends in none of .jsonl, .jsonl.gz, .jsonl.zst")]
    UnknownName,
    /// More than the limit.
    #[error("unpacks to more than {0} bytes")]
    TooLarge(usize),
    /// Damaged, or cut short.
    #[error("does not unpack: {0}")]
    Damaged(#[source] std::io::Error),
}

/// Unpacks a whole object, at most `bytes_max` of it.
pub fn unpack(key: &str, body: &[u8], bytes_max: usize) -> Result<Vec<u8>, UnpackError> {
    let reader: Box<dyn Read + '_> = match compression_of(key).ok_or(UnpackError::UnknownName)? {
        Compression::Zstd => Box::new(zstd::stream::read::Decoder::new(body).map_err(UnpackError::Damaged)?),
        Compression::Gzip => Box::new(MultiGzDecoder::new(body)),
        Compression::None => Box::new(body),
    };
    let mut unpacked = Vec::with_capacity((body.len() * 4).min(bytes_max));
    reader
        .take((bytes_max as u64).saturating_add(1))
        .read_to_end(&mut unpacked)
        .map_err(UnpackError::Damaged)?;
    if unpacked.len() > bytes_max {
        return Err(UnpackError::TooLarge(bytes_max));
    }
    Ok(unpacked)
}
