//! `flurm wire listen`: tells what is said on connections that others make, without being part of
//! them. Sees what this machine sends and receives over IPv4; loopback is part of that.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, sockopt};

use super::conversation::{Conversation, Keeper, Side};
use super::tcp::{Direction, Segment};
use super::values;
use crate::arguments::Given;

/// Connections that are followed at a time; further ones are left alone.
const CONNECTIONS_MAX: usize = 4096;
/// Largest packet: IPv4's length has 16 bits.
const PACKET_BYTES_MAX: usize = 64 << 10;
/// What the system keeps for us while we print.
const BUFFER_BYTES: usize = 256 << 20;
/// The link layer's word for every protocol: only with it outgoing packets are seen too.
const ETHERTYPE_ALL: u16 = 0x0003;

/// Listens until it is ended.
pub(super) fn run(given: &Given) -> super::Outcome {
    let keeper = Keeper::new(given)?;
    let mut ports = Vec::new();
    for port in values(given, 'p') {
        let number: u16 = port.parse().map_err(|_| format!("'{port}' is no port"))?;
        ports.push(number);
    }
    let socket = open().map_err(|error| format!("could not listen to packets: {error}"))?;
    eprintln!("flurm: listening to all connections");
    let mut followed = Followed { keeper, ports, links: BTreeMap::new() };
    let mut packet = vec![0; PACKET_BYTES_MAX];
    loop {
        let received = rustix::net::recv(&socket, &mut packet[..], RecvFlags::empty());
        let (length, _) = received.map_err(|error| format!("could not receive: {error}"))?;
        if let Some(segment) = Segment::read(&packet[..length.min(PACKET_BYTES_MAX)]) {
            let told = followed.take(&segment);
            told.map_err(|error| format!("could not tell what was heard: {error}"))?;
        }
    }
}

fn open() -> rustix::io::Result<OwnedFd> {
    let protocol = std::num::NonZeroU32::new(u32::from(ETHERTYPE_ALL.to_be()));
    let protocol = protocol.map(rustix::net::Protocol::from_raw);
    let (family, kind) = (AddressFamily::PACKET, SocketType::DGRAM);
    let socket = rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, protocol)?;
    sockopt::set_socket_recv_buffer_size_force(&socket, BUFFER_BYTES)?;
    Ok(socket)
}

/// Client and server.
type Ends = (SocketAddrV4, SocketAddrV4);

#[derive(Debug)]
struct Link {
    conversation: Conversation,
    client: Direction,
    server: Option<Direction>,
}

struct Followed {
    keeper: Keeper,
    ports: Vec<u16>,
    links: BTreeMap<Ends, Link>,
}

impl Followed {
    fn take(&mut self, segment: &Segment<'_>) -> std::io::Result<()> {
        let (there, back) = ((segment.source, segment.target), (segment.target, segment.source));
        if segment.opens() {
            self.open(segment);
            return Ok(());
        }
        let (ends, side) = match self.links.contains_key(&there) {
            true => (there, Side::Client),
            false => (back, Side::Server),
        };
        let Some(link) = self.links.get_mut(&ends) else { return Ok(()) };
        if segment.accepts() {
            link.server.get_or_insert_with(|| Direction::opened_by(segment));
            return Ok(());
        }
        let direction = match side {
            Side::Client => Some(&mut link.client),
            Side::Server => link.server.as_mut(),
        };
        let Some(direction) = direction else { return Ok(()) };
        let (was_over, bytes) = (direction.is_over(), direction.take(segment));
        let ends_now = direction.is_over() && !was_over;
        link.conversation.hear(&self.keeper, side, &bytes)?;
        if ends_now {
            link.conversation.end(&self.keeper, side)?;
        }
        let is_over = link.client.is_over() && link.server.as_ref().is_some_and(Direction::is_over);
        if is_over || segment.breaks() {
            self.links.remove(&ends);
        }
        Ok(())
    }

    fn open(&mut self, segment: &Segment<'_>) {
        let ends = (segment.source, segment.target);
        let is_wanted = self.ports.is_empty() || self.ports.contains(&segment.target.port());
        if !is_wanted || self.links.len() >= CONNECTIONS_MAX {
            return;
        }
        // On loopback each packet is seen twice; a port that is used again starts anew.
        let client = Direction::opened_by(segment);
        if self.links.get(&ends).is_some_and(|link| link.client.starts_like(&client)) {
            return;
        }
        let [from, to] = [segment.source, segment.target].map(|end| end.to_string());
        let conversation = Conversation::new(&self.keeper, from, to);
        self.links.insert(ends, Link { conversation, client, server: None });
    }
}
