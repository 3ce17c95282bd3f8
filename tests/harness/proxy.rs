//! A recording relay between a client and a controller, to keep real bytes and send them again.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Longest a reply is waited for.
const REPLY_MAX: Duration = Duration::from_secs(15);
/// Longest reply kept, bytes.
const REPLY_LEN_MAX: u64 = 16 << 20;

/// Relays connections to one address and keeps what the clients sent.
#[derive(Debug)]
pub struct Recorder {
    /// Where clients connect.
    pub port: u16,
    sent: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Recorder {
    /// Listens on `address` at a port the system chooses. It relays until the test program ends.
    pub fn start(address: &str, target: SocketAddr) -> Self {
        let listener = TcpListener::bind((address, 0)).expect("listen");
        let port = listener.local_addr().expect("a listener has an address").port();
        let sent = Arc::new(Mutex::new(Vec::new()));
        let keep = Arc::clone(&sent);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let keep = Arc::clone(&keep);
                std::thread::spawn(move || relay(stream, target, &keep));
            }
        });
        Self { port, sent }
    }

    /// What each connection sent so far, in order of arrival.
    pub fn sent(&self) -> Vec<Vec<u8>> {
        self.sent.lock().expect("no relay panics while it holds the lock").clone()
    }
}

fn relay(mut client: TcpStream, target: SocketAddr, keep: &Mutex<Vec<Vec<u8>>>) {
    let Ok(request) = read_frame(&mut client) else { return };
    keep.lock().expect("no relay panics while it holds the lock").push(request.clone());
    if let Ok(reply) = exchange(target, &request) {
        // A client that has gone away needs no reply.
        let _gone = client.write_all(&reply);
    }
}

/// Reads one frame with its length word.
fn read_frame(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    stream.set_read_timeout(Some(REPLY_MAX))?;
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut frame = length.to_vec();
    stream.take(u64::from(u32::from_be_bytes(length))).read_to_end(&mut frame)?;
    Ok(frame)
}

/// Sends bytes and returns everything that comes back until the other side closes or falls silent.
pub fn exchange(target: SocketAddr, request: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(target)?;
    stream.set_read_timeout(Some(REPLY_MAX))?;
    stream.write_all(request)?;
    let first = read_frame(&mut stream)?;
    assert!(first.len() as u64 <= REPLY_LEN_MAX, "a reply without bound");
    Ok(first)
}
