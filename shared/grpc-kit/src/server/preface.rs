//! The first 24 bytes of a connection, by which a client says that it speaks HTTP/2.
//!
//! They are read before hyper sees the connection, because hyper waits for them without end: a peer that
//! connects and never speaks would hold its descriptor for as long as it likes.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite},
    time::timeout,
};

/// RFC 9113, section 3.4.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Waits for the preface, and gives the two halves back as one connection from which nothing has been read.
pub(super) async fn expect<R, W>(
    mut reader: R,
    writer: W,
    at_most: Duration,
) -> io::Result<impl AsyncRead + AsyncWrite + Unpin + Send>
where
    R: AsyncRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send,
{
    let mut first = [0; PREFACE.len()];
    timeout(at_most, reader.read_exact(&mut first)).await??;
    if first != *PREFACE {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the peer does not speak HTTP/2"));
    }
    Ok(tokio::io::join(PREFACE.as_slice().chain(reader), writer))
}
