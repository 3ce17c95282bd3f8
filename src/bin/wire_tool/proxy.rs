//! `flurm wire proxy`: passes connections on and tells what is said.
//!
//! Bytes pass as they come, whatever they are; a message that cannot be read passes like any other.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::conversation::{Conversation, Keeper, Side};
use crate::arguments::Given;

/// Connections that are passed on at a time; further ones wait in the listening socket's queue.
const CONNECTIONS_MAX: usize = 256;
/// Longest wait for the server to accept a connection.
const CONNECT_WAIT_MAX: Duration = Duration::from_secs(10);
/// How often it is looked whether there is room for another connection.
const ROOM_WAIT: Duration = Duration::from_millis(20);
/// Bytes passed on at a time.
const CHUNK_BYTES: usize = 64 << 10;

/// Listens and passes on until it is ended.
pub(super) fn run(given: &Given) -> super::Outcome {
    let (Some(here), Some(there)) = (given.value('l'), given.value('t')) else {
        return Err("proxy needs --listen and --to".to_owned());
    };
    let keeper = Arc::new(Keeper::new(given)?);
    let resolved = there.to_socket_addrs().map_err(|error| format!("'{there}': {error}"))?;
    let server = resolved.into_iter().next().ok_or_else(|| format!("'{there}' has no address"))?;
    let listener = TcpListener::bind(here);
    let listener = listener.map_err(|error| format!("could not listen on {here}: {error}"))?;
    let bound = listener.local_addr().map_err(|error| error.to_string())?;
    eprintln!("flurm: listening on {bound}, passing on to {server}");
    let open = Arc::new(AtomicUsize::new(0));
    loop {
        while open.load(Ordering::Acquire) >= CONNECTIONS_MAX {
            std::thread::sleep(ROOM_WAIT);
        }
        let accepted = listener.accept();
        let (client, from) = accepted.map_err(|error| format!("could not accept: {error}"))?;
        open.fetch_add(1, Ordering::AcqRel);
        let (keeper, open) = (Arc::clone(&keeper), Arc::clone(&open));
        std::thread::spawn(move || {
            if let Err(error) = pass_on(&keeper, client, from, server) {
                eprintln!("flurm: connection of {from}: {error}");
            }
            open.fetch_sub(1, Ordering::AcqRel);
        });
    }
}

fn pass_on(
    keeper: &Arc<Keeper>,
    client: TcpStream,
    from: SocketAddr,
    address: SocketAddr,
) -> io::Result<()> {
    let server = TcpStream::connect_timeout(&address, CONNECT_WAIT_MAX)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let conversation = Conversation::new(keeper, from.to_string(), address.to_string());
    let conversation = Arc::new(Mutex::new(conversation));
    let way_back = {
        let (keeper, conversation) = (Arc::clone(keeper), Arc::clone(&conversation));
        let (source, target) = (server.try_clone()?, client.try_clone()?);
        std::thread::spawn(move || one_way(&keeper, &conversation, Side::Server, source, target))
    };
    let there = one_way(keeper, &conversation, Side::Client, client, server);
    let back = way_back.join().unwrap_or_else(|_| Err(io::Error::other("the way back ended")));
    there.and(back)
}

/// Passes on one direction until it ends, and its end. What is said is heard before it is passed
/// on, so that the answer finds the question known.
fn one_way(
    keeper: &Keeper,
    conversation: &Mutex<Conversation>,
    side: Side,
    mut source: TcpStream,
    mut target: TcpStream,
) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut told = Ok(());
    let passed = loop {
        let count = match source.read(&mut chunk) {
            Ok(0) => break Ok(()),
            Ok(count) => count,
            Err(error) => break Err(error),
        };
        if told.is_ok() {
            let mut heard = conversation.lock().unwrap_or_else(PoisonError::into_inner);
            told = heard.hear(keeper, side, &chunk[..count]);
        }
        if let Err(error) = target.write_all(&chunk[..count]) {
            break Err(error);
        }
    };
    // The other side may have closed already.
    let _closed = target.shutdown(Shutdown::Write);
    let heard = conversation.lock().unwrap_or_else(PoisonError::into_inner);
    told.and(heard.end(keeper, side)).and(passed)
}
