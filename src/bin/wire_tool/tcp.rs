//! Puts the segments of TCP connections in order. Pure: packets in, bytes of each direction out.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};

/// Bytes that wait for an earlier segment, for each direction.
const WAITING_BYTES_MAX: usize = 16 << 20;
const PROTOCOL_TCP: u8 = 6;
const FLAG_FIN: u8 = 1;
const FLAG_SYN: u8 = 2;
const FLAG_RST: u8 = 4;
const FLAG_ACK: u8 = 16;

/// A TCP segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment<'a> {
    /// Who sent it.
    pub(super) source: SocketAddrV4,
    /// To whom.
    pub(super) target: SocketAddrV4,
    sequence: u32,
    flags: u8,
    data: &'a [u8],
}

impl<'a> Segment<'a> {
    /// Reads an IPv4 packet; `None` for anything but a whole TCP segment.
    pub(super) fn read(packet: &'a [u8]) -> Option<Self> {
        let header = usize::from(packet.first()? & 0xf) * 4;
        let number = |at: usize| {
            let bytes = packet.get(at..at + 2)?;
            bytes.try_into().ok().map(u16::from_be_bytes)
        };
        let is_fragment = number(6)? & 0x3fff != 0;
        if packet[0] >> 4 != 4 || *packet.get(9)? != PROTOCOL_TCP || is_fragment {
            return None;
        }
        let packet = packet.get(..usize::from(number(2)?))?;
        let address = |at: usize| {
            let octets: [u8; 4] = packet.get(at..at + 4)?.try_into().ok()?;
            Some(Ipv4Addr::from(octets))
        };
        let sequence = packet.get(header + 4..header + 8)?.try_into().ok()?;
        let data_at = header + usize::from(packet.get(header + 12)? >> 4) * 4;
        Some(Self {
            source: SocketAddrV4::new(address(12)?, number(header)?),
            target: SocketAddrV4::new(address(16)?, number(header + 2)?),
            sequence: u32::from_be_bytes(sequence),
            flags: *packet.get(header + 13)?,
            data: packet.get(data_at..)?,
        })
    }

    /// Whether it asks for a new connection.
    pub(super) const fn opens(&self) -> bool {
        self.flags & (FLAG_SYN | FLAG_ACK) == FLAG_SYN
    }

    /// Whether it accepts a new connection.
    pub(super) const fn accepts(&self) -> bool {
        self.flags & (FLAG_SYN | FLAG_ACK) == FLAG_SYN | FLAG_ACK
    }

    /// Whether it breaks the connection off.
    pub(super) const fn breaks(&self) -> bool {
        self.flags & FLAG_RST != 0
    }
}

/// One direction.
#[derive(Debug)]
pub(super) struct Direction {
    start: u32,
    /// The next byte's sequence number.
    next: u32,
    waiting: BTreeMap<u32, Vec<u8>>,
    end: Option<u32>,
}

impl Direction {
    /// A direction that starts with this segment.
    pub(super) const fn opened_by(segment: &Segment<'_>) -> Self {
        let start = segment.sequence.wrapping_add(1);
        Self { start, next: start, waiting: BTreeMap::new(), end: None }
    }

    /// Whether both were opened by one and the same segment.
    pub(super) const fn starts_like(&self, other: &Self) -> bool {
        self.start == other.start
    }

    /// Takes a segment and gives the bytes that are next, in order and once.
    pub(super) fn take(&mut self, segment: &Segment<'_>) -> Vec<u8> {
        let length = u32::try_from(segment.data.len()).expect("a packet has less than 64 KiB");
        if segment.flags & FLAG_FIN != 0 {
            self.end = Some(segment.sequence.wrapping_add(length));
        }
        if !segment.data.is_empty() {
            self.waiting.entry(segment.sequence).or_insert_with(|| segment.data.to_vec());
        }
        let mut bytes = Vec::new();
        // What was sent again overlaps what is known; numbers wrap around.
        while let Some(sequence) = self.ready() {
            let data = self.waiting.remove(&sequence).expect("it was just found");
            let known = self.next.wrapping_sub(sequence) as usize;
            if let Some(fresh) = data.get(known..) {
                bytes.extend_from_slice(fresh);
                self.next = self.next.wrapping_add(u32::try_from(fresh.len()).unwrap_or(0));
            }
        }
        let waiting: usize = self.waiting.values().map(Vec::len).sum();
        if waiting > WAITING_BYTES_MAX {
            self.waiting.clear();
        }
        bytes
    }

    fn ready(&self) -> Option<u32> {
        let reached = |sequence: &u32| self.next.wrapping_sub(*sequence) < 1 << 31;
        self.waiting.keys().copied().find(reached)
    }

    /// Whether all has been taken.
    pub(super) fn is_over(&self) -> bool {
        self.end == Some(self.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(sequence: u32, flags: u8, data: &[u8]) -> Segment<'_> {
        let any = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 1);
        Segment { source: any, target: any, sequence, flags, data }
    }

    #[test]
    fn segments_are_put_in_order_and_taken_once() {
        let start = u32::MAX - 3;
        let mut direction = Direction::opened_by(&segment(start, FLAG_SYN, b""));
        let at = |offset: u32| start.wrapping_add(1).wrapping_add(offset);
        assert_eq!(direction.take(&segment(at(2), FLAG_ACK, b"cd")), b"");
        assert_eq!(direction.take(&segment(at(0), FLAG_ACK, b"ab")), b"abcd");
        assert_eq!(direction.take(&segment(at(0), FLAG_ACK, b"abcdef")), b"ef");
        assert_eq!(direction.take(&segment(at(2), FLAG_ACK, b"cd")), b"");
        assert!(!direction.is_over());
        assert_eq!(direction.take(&segment(at(6), FLAG_ACK | FLAG_FIN, b"g")), b"g");
        assert!(direction.is_over());
    }

    #[test]
    fn packets_are_read() {
        let mut packet =
            vec![0x45, 0, 0, 43, 0, 0, 0x40, 0, 64, 6, 0, 0, 127, 0, 0, 1, 127, 0, 0, 2];
        packet.extend([0x1a, 0xa1, 0, 80, 0, 0, 0, 7, 0, 0, 0, 0, 0x50, 0x12, 0, 0, 0, 0, 0, 0]);
        packet.extend(b"xyz and padding");
        let read = Segment::read(&packet).unwrap();
        assert_eq!((read.source.port(), read.target.to_string().as_str()), (6817, "127.0.0.2:80"));
        assert_eq!((read.sequence, read.data), (7, &b"xyz"[..]));
        assert!(read.accepts() && !read.opens() && !read.breaks());
        for length in 0..43 {
            assert_eq!(Segment::read(&packet[..length]), None, "{length}");
        }
    }
}
