//! Reads a request's body, never more and never longer than it may take.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;

/// Why a body could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyError {
    /// Larger than allowed.
    TooLarge,
    /// Not there in time.
    TooSlow,
    /// Broke off, or its chunks are malformed.
    Broken,
    /// Others hold all the memory there is for bodies.
    NoRoom,
}

/// Reads a body of at most `bytes_max`. One deadline for all of it: a timer that begins anew with each piece would
/// wait for ever on a byte now and then. `grow` makes room for so many bytes more, or says that there is none.
pub(super) async fn read(
    body: Body,
    bytes_max: usize,
    deadline: Duration,
    grow: impl FnMut(usize) -> bool,
) -> Result<Bytes, BodyError> {
    match tokio::time::timeout(deadline, collect(body, bytes_max, grow)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(BodyError::TooSlow),
    }
}

async fn collect(
    mut body: Body,
    bytes_max: usize,
    mut grow: impl FnMut(usize) -> bool,
) -> Result<Bytes, BodyError> {
    // Most bodies come in one piece, which is then passed on without a copy.
    let mut only = Bytes::new();
    let mut joined = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| BodyError::Broken)?;
        // Trailers are nothing to us.
        let Ok(piece) = frame.into_data() else { continue };
        let read = if joined.is_empty() { only.len() } else { joined.len() };
        if piece.len() > bytes_max - read {
            return Err(BodyError::TooLarge);
        }
        if !grow(piece.len()) {
            return Err(BodyError::NoRoom);
        }
        if read == 0 {
            only = piece;
            continue;
        }
        if joined.is_empty() {
            // Only what has come and was granted: what is announced may never come.
            joined.reserve(read + piece.len());
            joined.extend_from_slice(&only);
            only = Bytes::new();
        }
        joined.extend_from_slice(&piece);
    }
    Ok(if joined.is_empty() { only } else { joined.freeze() })
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::{StreamExt, stream};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    async fn read(body: Body, bytes_max: usize, deadline: Duration) -> Result<Bytes, BodyError> {
        super::read(body, bytes_max, deadline, |_| true).await
    }

    fn pieces(pieces: &[&'static str]) -> Body {
        let pieces: Vec<_> = pieces.iter().map(|piece| Ok::<_, Infallible>(*piece)).collect();
        Body::from_stream(stream::iter(pieces))
    }

    #[tokio::test]
    async fn pieces_are_joined() {
        assert_eq!(read(Body::empty(), 10, PATIENCE).await, Ok(Bytes::new()));
        assert_eq!(read(Body::from("one"), 10, PATIENCE).await, Ok(Bytes::from("one")));
        assert_eq!(
            read(pieces(&["", "one", "", "two", "three"]), 11, PATIENCE).await,
            Ok(Bytes::from("onetwothree"))
        );
    }

    #[tokio::test]
    async fn the_limit_counts_while_it_streams() {
        assert_eq!(read(Body::from("12345"), 5, PATIENCE).await, Ok(Bytes::from("12345")));
        assert_eq!(read(Body::from("123456"), 5, PATIENCE).await, Err(BodyError::TooLarge));

        let endless = stream::repeat_with(|| Ok::<_, Infallible>("piece"));
        assert_eq!(read(Body::from_stream(endless), 1_000, PATIENCE).await, Err(BodyError::TooLarge));
    }

    #[tokio::test]
    async fn a_trickle_ends_at_the_deadline() {
        let trickle = stream::repeat_with(|| Ok::<_, Infallible>("x")).then(|piece| async move {
            tokio::time::sleep(Duration::from_millis(2)).await;
            piece
        });

        let outcome = read(Body::from_stream(trickle), 1_000_000, Duration::from_millis(50)).await;

        assert_eq!(outcome, Err(BodyError::TooSlow));
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_no_body() {
        let broken = stream::iter([Ok("half"), Err(std::io::Error::other("gone"))]);

        assert_eq!(read(Body::from_stream(broken), 100, PATIENCE).await, Err(BodyError::Broken));
    }

    #[tokio::test]
    async fn room_is_made_piece_by_piece() {
        let mut left = 5;
        let grow = |bytes| {
            let fits = bytes <= left;
            left -= if fits { bytes } else { 0 };
            fits
        };

        let outcome = super::read(pieces(&["one", "", "two"]), 100, PATIENCE, grow).await;

        assert_eq!((outcome, left), (Err(BodyError::NoRoom), 2));
    }
}
