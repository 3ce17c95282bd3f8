//! A simulated munged: vouches for the uid of whoever made a credential, judges its age by the
//! machine's own wrong clock, and remembers what it has opened.
//!
//! Speaks the socket protocol of MUNGE 0.5. Credentials are opaque to everyone else; here they are
//! the plain fields with a keyed checksum, in hexadecimal.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher};
use std::io;
use std::sync::Arc;

use flurm_rt::PeerCredential;

use super::net::{self, Port};
use super::{MachineId, World};

/// Where it listens.
pub const SOCKET: &str = "/run/munge/munge.socket.2";

const MAGIC: u32 = 0x0060_6d4b;
const VERSION: u8 = 4;
const HEADER_LEN: usize = 11;
const ENCODE_REQUEST: u8 = 2;
const ENCODE_RESPONSE: u8 = 3;
const DECODE_REQUEST: u8 = 4;
const DECODE_RESPONSE: u8 = 5;
const TTL_DEFAULT_S: u32 = 300;
const TTL_MAX_S: u32 = 3600;
const MESSAGE_MAX: usize = 2 * 1_048_576;
/// Credentials remembered at once; the oldest are forgotten first.
const REMEMBERED_MAX: usize = 100_000;
/// Seconds between two times that expired ones are forgotten.
const SWEEP_EVERY_S: u32 = 60;
const ANY: u32 = u32::MAX;

const INVALID: u8 = 14;
const EXPIRED: u8 = 15;
const REWOUND: u8 = 16;
const REPLAYED: u8 = 17;
const UNAUTHORIZED: u8 = 18;
const BAD_REQUEST: u8 = 1;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Credential {
    uid: u32,
    gid: u32,
    made_s: u32,
    ttl_s: u32,
    reader_uid: u32,
    reader_gid: u32,
    salt: u64,
    payload: Vec<u8>,
}

fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_be_bytes());
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_u32(out, u32::try_from(bytes.len()).expect("messages are bounded"));
    out.extend_from_slice(bytes);
}

struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(head)
    }

    fn u8(&mut self) -> Option<u8> {
        Some(self.take(1)?[0])
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_be_bytes(self.take(8)?.try_into().ok()?))
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = self.u32()? as usize;
        self.take(len)
    }
}

fn checksum(key: u64, bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write_u64(key);
    hasher.write(bytes);
    hasher.finish()
}

impl Credential {
    fn seal(&self, key: u64) -> String {
        let mut raw = Vec::with_capacity(44 + self.payload.len());
        for field in [self.uid, self.gid, self.made_s, self.ttl_s, self.reader_uid, self.reader_gid]
        {
            put_u32(&mut raw, field);
        }
        raw.extend_from_slice(&self.salt.to_be_bytes());
        put_bytes(&mut raw, &self.payload);
        raw.extend_from_slice(&checksum(key, &raw).to_be_bytes());
        let mut text = String::with_capacity(raw.len() * 2 + 7);
        text.push_str("MUNGE:");
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        for byte in raw {
            text.push(char::from(DIGITS[usize::from(byte >> 4)]));
            text.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
        text.push(':');
        text
    }

    fn open(text: &str, key: u64) -> Option<(Self, u64)> {
        let hex = text.strip_prefix("MUNGE:")?.strip_suffix(':')?;
        if !hex.is_ascii() || hex.len() % 2 != 0 {
            return None;
        }
        let digit = |digit: u8| char::from(digit).to_digit(16).map(|digit| digit as u8);
        let byte = |pair: &[u8]| Some(digit(pair[0])? << 4 | digit(pair[1])?);
        let raw: Vec<u8> = hex.as_bytes().chunks_exact(2).map(byte).collect::<Option<_>>()?;
        let (body, sum) = raw.split_at_checked(raw.len().checked_sub(8)?)?;
        let sum = u64::from_be_bytes(sum.try_into().ok()?);
        if checksum(key, body) != sum {
            return None;
        }
        let mut fields = Fields(body);
        let credential = Self {
            uid: fields.u32()?,
            gid: fields.u32()?,
            made_s: fields.u32()?,
            ttl_s: fields.u32()?,
            reader_uid: fields.u32()?,
            reader_gid: fields.u32()?,
            salt: fields.u64()?,
            payload: fields.bytes()?.to_vec(),
        };
        Some((credential, sum))
    }
}

/// The daemon's memory.
#[derive(Debug)]
struct Memory {
    machine: MachineId,
    key: u64,
    opened: BTreeMap<u64, u32>,
    /// When the expired ones were last forgotten.
    swept_s: u32,
}

impl Memory {
    fn judge(
        &mut self,
        credential: &Credential,
        sum: u64,
        now_s: u32,
        reader: PeerCredential,
        again: bool,
    ) -> u8 {
        let uid_ok = credential.reader_uid == ANY || credential.reader_uid == reader.uid;
        let gid_ok = credential.reader_gid == ANY || credential.reader_gid == reader.gid;
        if !(uid_ok && gid_ok) {
            return UNAUTHORIZED;
        }
        let ttl_s = credential.ttl_s;
        if now_s < credential.made_s.saturating_sub(ttl_s) {
            return REWOUND;
        }
        if now_s > credential.made_s.saturating_add(ttl_s) {
            return EXPIRED;
        }
        if self.swept_s.abs_diff(now_s) > SWEEP_EVERY_S {
            self.opened.retain(|_, until_s| *until_s >= now_s);
            self.swept_s = now_s;
        }
        if self.opened.len() >= REMEMBERED_MAX {
            self.opened.pop_first();
        }
        let known = self.opened.insert(sum, credential.made_s.saturating_add(ttl_s)).is_some();
        if known && !again { REPLAYED } else { 0 }
    }
}

fn words(number: u8) -> &'static str {
    match number {
        0 => "",
        INVALID => "Invalid credential",
        EXPIRED => "Expired credential",
        REWOUND => "Rewound credential",
        REPLAYED => "Replayed credential",
        UNAUTHORIZED => "Unauthorized credential decode",
        _ => "Internal error",
    }
}

fn put_error(out: &mut Vec<u8>, number: u8) {
    let text = words(number);
    out.push(number);
    if text.is_empty() {
        out.push(0);
        return;
    }
    out.push(u8::try_from(text.len() + 1).expect("short words"));
    out.extend_from_slice(text.as_bytes());
    out.push(0);
}

fn encode(
    memory: &Memory,
    body: &[u8],
    who: PeerCredential,
    now_s: u32,
    salt: u64,
) -> Option<Vec<u8>> {
    let mut fields = Fields(body);
    fields.take(3)?;
    let realm = fields.u8()?;
    fields.take(usize::from(realm))?;
    let ttl_s = match fields.u32()? {
        0 => TTL_DEFAULT_S,
        ttl => ttl.min(TTL_MAX_S),
    };
    let (reader_uid, reader_gid) = (fields.u32()?, fields.u32()?);
    let payload = fields.bytes()?.to_vec();
    let (uid, gid) = (who.uid, who.gid);
    let credential =
        Credential { uid, gid, made_s: now_s, ttl_s, reader_uid, reader_gid, salt, payload };
    let mut text = credential.seal(memory.key).into_bytes();
    text.push(0);
    let mut out = Vec::with_capacity(text.len() + 6);
    put_error(&mut out, 0);
    put_bytes(&mut out, &text);
    Some(out)
}

fn decode(
    memory: &mut Memory,
    body: &[u8],
    who: PeerCredential,
    now_s: u32,
    again: bool,
) -> Option<Vec<u8>> {
    let data = Fields(body).bytes()?;
    let text = std::str::from_utf8(data.strip_suffix(&[0]).unwrap_or(data)).ok()?;
    let mut out = Vec::new();
    let Some((credential, sum)) = Credential::open(text, memory.key) else {
        put_error(&mut out, INVALID);
        put_decoded(&mut out, None, now_s);
        return Some(out);
    };
    let number = memory.judge(&credential, sum, now_s, who, again);
    put_error(&mut out, number);
    let told = number != UNAUTHORIZED;
    put_decoded(&mut out, told.then_some(&credential), now_s);
    Some(out)
}

fn put_decoded(out: &mut Vec<u8>, credential: Option<&Credential>, now_s: u32) {
    out.extend_from_slice(&[4, 5, 0, 0]);
    put_u32(out, credential.map_or(0, |c| c.ttl_s));
    out.push(4);
    out.extend_from_slice(&[127, 0, 0, 1]);
    put_u32(out, credential.map_or(0, |c| c.made_s));
    put_u32(out, now_s);
    let ids = credential.map_or([ANY; 4], |c| [c.uid, c.gid, c.reader_uid, c.reader_gid]);
    for id in ids {
        put_u32(out, id);
    }
    put_bytes(out, credential.map_or(&[], |c| &c.payload));
}

/// One whole request; none while more of it is to come.
fn answer(w: &mut World, memory: &mut Memory, who: PeerCredential, sent: &[u8]) -> Option<Vec<u8>> {
    let mut fields = Fields(sent);
    let (magic, version) = (fields.u32()?, fields.u8()?);
    let (kind, again, len) = (fields.u8()?, fields.u8()? > 0, fields.u32()? as usize);
    if magic != MAGIC || version != VERSION || len > MESSAGE_MAX {
        // The real one hangs up.
        return Some(Vec::new());
    }
    let body = fields.take(len)?;
    let now_s = u32::try_from(w.wall(memory.machine).secs()).unwrap_or(0);
    let (kind, done) = match kind {
        ENCODE_REQUEST => {
            let mut salt = [0; 8];
            w.rng.components.fill(&mut salt);
            (ENCODE_RESPONSE, encode(memory, body, who, now_s, u64::from_be_bytes(salt)))
        }
        DECODE_REQUEST => (DECODE_RESPONSE, decode(memory, body, who, now_s, again)),
        other => (other, None),
    };
    let body = done.unwrap_or_else(|| {
        let mut out = Vec::new();
        put_error(&mut out, BAD_REQUEST);
        put_bytes(&mut out, &[]);
        out
    });
    let mut frame = Vec::with_capacity(HEADER_LEN + body.len());
    put_u32(&mut frame, MAGIC);
    frame.extend_from_slice(&[VERSION, kind, 0]);
    put_bytes(&mut frame, &body);
    Some(frame)
}

/// Stops answering when the daemon's process ends.
struct Listening {
    machine: MachineId,
    number: u64,
}

impl Drop for Listening {
    fn drop(&mut self) {
        let port = Port::Local(Arc::from(SOCKET));
        super::try_with(|w| net::unlisten(w, self.machine, &port, self.number));
    }
}

/// Runs the daemon on a machine, until its process ends. `key` is the secret all machines of a
/// cluster share. It costs a world nothing but the answers themselves.
pub async fn run(machine: MachineId, key: u64) -> io::Result<()> {
    let mut memory = Memory { machine, key, opened: BTreeMap::new(), swept_s: 0 };
    let service: net::Service = Box::new(move |w, who, sent| answer(w, &mut memory, who, sent));
    let number = super::with(|w| net::serve(w, machine, Arc::from(SOCKET), service))?;
    let _listening = Listening { machine, number };
    std::future::pending().await
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: PeerCredential = PeerCredential { pid: 9, uid: 1001, gid: 1001 };
    const SLURM: PeerCredential = PeerCredential { pid: 8, uid: 64030, gid: 64030 };

    fn keyed(key: u64) -> Memory {
        Memory { machine: MachineId(0), key, opened: BTreeMap::new(), swept_s: 0 }
    }

    fn made(memory: &Memory, reader: u32, at_s: u32) -> Vec<u8> {
        let mut body = vec![1, 1, 0, 0];
        for field in [0, reader, ANY] {
            put_u32(&mut body, field);
        }
        put_bytes(&mut body, b"hello");
        let answer = encode(memory, &body, ADA, at_s, 7).unwrap();
        answer[2..].to_vec()
    }

    fn verdict(memory: &mut Memory, body: &[u8], who: PeerCredential, at_s: u32) -> u8 {
        decode(memory, body, who, at_s, false).unwrap()[0]
    }

    #[test]
    fn a_credential_opens_once_within_its_time() {
        let mut memory = keyed(5);
        let body = made(&memory, ANY, 1_000);
        assert_eq!(verdict(&mut memory, &body, SLURM, 1_301), EXPIRED);
        assert_eq!(verdict(&mut memory, &body, SLURM, 600), REWOUND);
        assert_eq!(verdict(&mut memory, &body, SLURM, 1_010), 0);
        assert_eq!(verdict(&mut memory, &body, SLURM, 1_011), REPLAYED);
        assert_eq!(decode(&mut memory, &body, SLURM, 1_011, true).unwrap()[0], 0);
    }

    #[test]
    fn only_its_reader_and_the_right_key_open_a_credential() {
        let mut memory = keyed(5);
        let body = made(&memory, 64030, 1_000);
        assert_eq!(verdict(&mut memory, &body, ADA, 1_000), UNAUTHORIZED);
        let mut other = keyed(6);
        assert_eq!(verdict(&mut other, &body, SLURM, 1_000), INVALID);
        let mut forged = body.clone();
        forged[20] ^= 1;
        assert_eq!(verdict(&mut memory, &forged, SLURM, 1_000), INVALID);
    }
}
