//! Asks a process of this machine whether it is ready: for containers without a shell or an HTTP client.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::listen::reachable;

/// How long it may take to be connected, and then to be answered, however the answer comes.
const TIMEOUT: Duration = Duration::from_secs(2);
/// More than any answer of `/readyz` has.
const MAX_ANSWER: u64 = 16 * 1024;

/// Whether `/readyz` of the operations listener at this address says yes; else what it says, or why it cannot be asked.
/// Blocks for at most a few seconds.
pub fn ask(ops_listen: SocketAddr) -> Result<(), String> {
    let (status, body) =
        get(reachable(ops_listen)).map_err(|error| format!("{ops_listen} does not answer: {error}"))?;
    if status == "200" { Ok(()) } else { Err(format!("{ops_listen} is not ready: {}", body.trim())) }
}

fn get(address: SocketAddr) -> io::Result<(String, String)> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    let end = Instant::now() + TIMEOUT;
    stream.set_write_timeout(Some(TIMEOUT))?;
    write!(stream, "GET /readyz HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    Until { stream, end }.take(MAX_ANSWER).read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).unwrap_or_default();
    Ok((status.to_owned(), body.to_owned()))
}

/// Reads until the peer or the time comes to its end: a peer that sends a little now and then would keep a timeout of each
/// read from ever passing.
struct Until {
    stream: TcpStream,
    end: Instant,
}

impl io::Read for Until {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.stream.set_read_timeout(Some(left))?;
        self.stream.read(buffer)
    }
}
