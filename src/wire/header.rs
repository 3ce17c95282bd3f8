//! The header in front of every message.

use crate::{
    Codec, DecodeError, Fault, Gen, Message, Reader, Release, Unsupported, Visitor, Wire, WireAddr,
    Writer, names,
};

/// Bits of `Header::flags`.
pub mod flags {
    /// The credential is made with the key that clusters share.
    pub const GLOBAL_AUTH_KEY: u16 = 0x01;
    /// First message of a connection to the accounting daemon.
    pub const DBD_CONNECTION: u16 = 0x02;
    /// The receiver shall keep the bytes.
    pub const KEEP_BUFFER: u16 = 0x04;
    /// The sender gave up its privileges (until 24.05).
    pub const DROP_PRIV: u16 = 0x08;
    /// The message travels over the broadcast network.
    pub const USE_BCAST_NETWORK: u16 = 0x10;
    /// The controller may queue the request.
    pub const CTLD_QUEUE_PROCESSING: u16 = 0x20;
    /// No authentication block follows (23.02 and later).
    pub const NO_AUTH: u16 = 0x40;
    /// Forwarding carries a credential with node addresses (23.11 and later).
    pub const PACK_ADDRS: u16 = 0x80;
}

/// The flags that are set, by name.
pub fn flag_names(set: u16) -> impl Iterator<Item = &'static str> {
    let names = [
        (flags::GLOBAL_AUTH_KEY, "GLOBAL_AUTH_KEY"),
        (flags::DBD_CONNECTION, "DBD_CONNECTION"),
        (flags::KEEP_BUFFER, "KEEP_BUFFER"),
        (flags::DROP_PRIV, "DROP_PRIV"),
        (flags::USE_BCAST_NETWORK, "USE_BCAST_NETWORK"),
        (flags::CTLD_QUEUE_PROCESSING, "CTLD_QUEUE_PROCESSING"),
        (flags::NO_AUTH, "NO_AUTH"),
        (flags::PACK_ADDRS, "PACK_ADDRS"),
    ];
    names.into_iter().filter(move |(flag, _)| set & flag != 0).map(|(_, name)| name)
}

/// Subtrees to which a message is passed on, per header; Slurm's counters have 16 bits.
pub const RETURNED_MAX: u16 = u16::MAX;

/// Where a message must be passed on to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forward {
    /// Number of nodes in the list; never 0.
    pub count: u16,
    /// The nodes, as a host list.
    pub nodelist: Option<String>,
    /// Milliseconds to wait for each level.
    pub timeout_ms: u32,
    /// Nodes that each level contacts itself.
    pub tree_width: u16,
    /// Credential with the nodes' addresses, under `PACK_ADDRS` (23.11 and later).
    pub net_cred: Option<String>,
    /// Levels below this one (24.11 and later).
    pub tree_depth: u16,
}

/// An answer from a node of the subtree.
#[derive(Clone, Debug, PartialEq)]
pub struct Returned {
    /// Error of the exchange with that node.
    pub error: u32,
    /// The node.
    pub node_name: Option<String>,
    /// Its answer; `None` for a failed exchange, whose type has no body.
    pub message: Message,
}

/// The header without its lengths, which follow from what surrounds it.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    /// The release that header and body are written in.
    pub release: Release,
    /// See `flags`.
    pub flags: u16,
    /// The number of the message.
    pub msg_type: u16,
    /// Present in a request that must be passed on.
    pub forward: Option<Forward>,
    /// Answers of other nodes that ride along.
    pub returned: Vec<Returned>,
    /// Who asked first.
    pub orig_addr: WireAddr,
}

impl Header {
    /// A plain header.
    pub const fn new(release: Release, msg_type: u16) -> Self {
        Self {
            release,
            flags: 0,
            msg_type,
            forward: None,
            returned: Vec::new(),
            orig_addr: WireAddr::Unspecified,
        }
    }

    /// The same with these flags set too.
    pub const fn with_flags(mut self, flags: u16) -> Self {
        self.flags |= flags;
        self
    }

    /// Whether an authentication block follows.
    pub const fn has_auth(&self) -> bool {
        self.flags & flags::NO_AUTH == 0
    }

    pub(crate) fn encode(&self, body_length: usize, w: &mut Writer) {
        assert_eq!(w.release(), self.release, "a header is written in its own release");
        if self.flags & flags::DBD_CONNECTION != 0 {
            w.u16(self.msg_type);
        }
        w.u16(self.release.version());
        w.u16(self.flags);
        w.u16(self.msg_type);
        w.count(body_length);
        match &self.forward {
            Some(forward) => self.encode_forward(forward, w),
            None => w.u16(0),
        }
        crate::codec::Count16::encode(&self.returned, w);
        self.orig_addr.encode(w);
    }

    fn encode_forward(&self, forward: &Forward, w: &mut Writer) {
        w.u16(forward.count);
        if forward.count == 0 {
            return;
        }
        forward.nodelist.encode(w);
        w.u32(forward.timeout_ms);
        w.u16(forward.tree_width);
        if carries_addrs(self.release, self.flags) {
            forward.net_cred.encode(w);
        }
        if self.release >= Release::V24_11 {
            w.u16(forward.tree_depth);
        }
    }

    /// Reads what follows `Start`. Gives the header and the announced length of the body.
    pub(crate) fn decode_rest(
        start: Start,
        release: Release,
        r: &mut Reader<'_>,
    ) -> Result<(Self, usize), DecodeError> {
        let body_length = r.field::<u32>("body_length")? as usize;
        r.begin("forward");
        let forward = decode_forward(release, start.flags, r)?;
        r.end_record();
        let (read, show) = (crate::codec::Count16::decode, Vec::<Returned>::view);
        let returned = r.field_with("returned", read, show)?;
        let orig_addr = r.field("orig_addr")?;
        let Start { flags, msg_type, .. } = start;
        let header = Self { release, flags, msg_type, forward, returned, orig_addr };
        Ok((header, body_length))
    }
}

fn carries_addrs(release: Release, flags: u16) -> bool {
    release >= Release::V23_11 && flags & flags::PACK_ADDRS != 0
}

fn decode_forward(
    release: Release,
    flags: u16,
    r: &mut Reader<'_>,
) -> Result<Option<Forward>, DecodeError> {
    let count = r.field("count")?;
    if count == 0 {
        return Ok(None);
    }
    let nodelist = r.field("nodelist")?;
    let (timeout_ms, tree_width) = (r.field("timeout_ms")?, r.field("tree_width")?);
    let net_cred = if carries_addrs(release, flags) { r.field("net_cred")? } else { None };
    let tree_depth = if release >= Release::V24_11 { r.field("tree_depth")? } else { 0 };
    Ok(Some(Forward { count, nodelist, timeout_ms, tree_width, net_cred, tree_depth }))
}

/// The fields that every release has in the same place, enough to answer a peer whose release is
/// not spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// The peer's protocol version.
    pub version: u16,
    /// See `flags`.
    pub flags: u16,
    /// The number of the message.
    pub msg_type: u16,
}

impl Start {
    /// Reads the start of a header. Peers before 22.05 have one more field, which is skipped. The
    /// hello to an accounting daemon, and nothing else, has its type in front a second time.
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let repeats_type = r.peek_u16().is_some_and(is_hello);
        if repeats_type {
            r.field::<u16>("msg_type_in_front")?;
        }
        let (version, flags) = (r.field("version")?, r.field("flags")?);
        if matches!(Release::for_peer(version), Err(Unsupported::Older(_))) {
            r.field::<u16>("msg_index")?;
        }
        let msg_type = r.field("msg_type")?;
        let to_dbd = flags & flags::DBD_CONNECTION != 0;
        if repeats_type != to_dbd || to_dbd && !is_hello(msg_type) {
            return Err(r.invalid("the hello to an accounting daemon is malformed"));
        }
        Ok(Self { version, flags, msg_type })
    }
}

/// Whether a message opens a persistent connection. Neither number is a protocol version.
fn is_hello(msg_type: u16) -> bool {
    matches!(msg_type, names::REQUEST_PERSIST_INIT | names::REQUEST_PERSIST_INIT_TLS)
}

impl Wire for Returned {
    const KIND: &'static str = "returned";

    fn encode(&self, w: &mut Writer) {
        w.u32(self.error);
        w.u16(self.message.msg_type());
        self.node_name.encode(w);
        self.message.encode(w);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (error, msg_type) = (r.field("error")?, r.field("msg_type")?);
        let node_name = r.field("node_name")?;
        r.enter()?;
        r.begin(names::name(msg_type).unwrap_or("message"));
        let message = Message::decode_from(msg_type, r)?;
        if r.is_traced() {
            r.end(&|v| message.view(v));
        }
        r.leave();
        Ok(Self { error, node_name, message })
    }

    fn view(&self, v: &mut dyn Visitor) {
        v.record_begin("Returned");
        v.field("error");
        v.unsigned(u64::from(self.error));
        v.field("msg_type");
        v.unsigned(u64::from(self.message.msg_type()));
        v.field("node_name");
        self.node_name.view(v);
        v.field(self.message.name());
        self.message.view(v);
        v.record_end();
    }

    fn sample(g: &mut Gen) -> Self {
        let message = match g.coin() {
            true => Message::ResponseSlurmRc(Wire::sample(g)),
            false => Message::ResponseForwardFailed,
        };
        Self { error: u32::sample(g), node_name: Wire::sample(g), message }
    }
}

/// An invented header for property tests.
impl Header {
    /// A header that survives a round trip in the generator's release.
    pub fn sample(g: &mut Gen) -> Self {
        let release = g.release();
        let flags = u16::try_from(g.below(0x100)).expect("below 0x100") & !flags::DBD_CONNECTION;
        let forward = g.maybe(|g| Forward {
            count: u16::try_from(1 + g.below(9)).expect("below ten"),
            nodelist: Wire::sample(g),
            timeout_ms: u32::sample(g),
            tree_width: u16::sample(g),
            net_cred: if carries_addrs(release, flags) { Wire::sample(g) } else { None },
            tree_depth: if release >= Release::V24_11 { u16::sample(g) } else { 0 },
        });
        let returned = Vec::sample(g);
        let (msg_type, orig_addr) = (names::REQUEST_PING, WireAddr::sample(g));
        Self { release, flags, msg_type, forward, returned, orig_addr }
    }
}

/// Says why the announced length of a body is wrong.
pub(crate) fn check_body_length(announced: usize, r: &Reader<'_>) -> Result<(), DecodeError> {
    let left = r.left();
    match announced.cmp(&left) {
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Less => Err(r.fault(Fault::Trailing { bytes: left - announced })),
        std::cmp::Ordering::Greater => Err(r.fault(Fault::Truncated { needed: announced, left })),
    }
}
