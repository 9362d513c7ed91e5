//! As much of HTTP/1.1 as the operations listeners need.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Gets a page; returns the status and the body.
pub async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    get_if_it_listens(address, path).await.expect("the operations listener listens and answers")
}

/// The same; an error where nobody listens, or where whoever did has ended before it was done.
pub(crate) async fn get_if_it_listens(address: SocketAddr, path: &str) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    Ok((status, body.to_owned()))
}
