//! A seeded fuzzer for frames, headers, authentication blocks and every body. `FUZZ_CASES` and
//! `FUZZ_SEED` lengthen and move it; a failure names the seed that repeats it.

use flurm_wire::frame::{self, LENGTH_BYTES};
use flurm_wire::io_channel::{self, Introduction};
use flurm_wire::records::Credential;
use flurm_wire::token;
use flurm_wire::{
    AuthBlock, DbdMessage, Gen, Header, Message, Registered, Registry, Release, Wire, persist,
};

/// Cases of a plain test run.
const CASES: u64 = 20_000;
/// One of so many frames is taken apart for reading as well.
const DISSECTED: u64 = 16;
/// Damages of one frame at most.
const DAMAGES_MAX: u64 = 6;

fn setting(name: &str, default: u64) -> u64 {
    #[expect(clippy::disallowed_methods, reason = "a longer run is asked for by environment")]
    let given = std::env::var(name);
    given.map_or(default, |text| text.parse().expect("FUZZ_… is a number"))
}

fn any_entry<M: Registry>(g: &mut Gen) -> &'static Registered<M> {
    let release = g.release();
    let entries: Vec<_> = M::REGISTERED.iter().filter(|entry| entry.in_release(release)).collect();
    entries[g.below(entries.len() as u64) as usize]
}

fn any_persistent(g: &mut Gen) -> Vec<u8> {
    let message = any_entry::<DbdMessage>(g).sample(g);
    persist::build_message(&message, g.release())
}

fn any_frame(g: &mut Gen) -> Vec<u8> {
    let release = g.release();
    let entry = any_entry::<Message>(g);
    let message = entry.sample(g);
    let mut header = Header::sample(g);
    header.msg_type = entry.msg_type;
    let auth = g.maybe(AuthBlock::sample);
    frame::build(header, auth.as_ref(), &message.to_bytes(release))
}

/// Changes a few bytes, counts, or the length, mostly where it hurts.
fn damage(bytes: &mut Vec<u8>, g: &mut Gen) {
    for _ in 0..g.below(DAMAGES_MAX) {
        if bytes.is_empty() {
            return;
        }
        let at = g.below(bytes.len() as u64) as usize;
        match g.below(6) {
            0 => bytes[at] = g.bits() as u8,
            1 => bytes[at] ^= 1 << g.below(8),
            2 => bytes.truncate(at),
            3 => bytes.insert(at, g.bits() as u8),
            4 => {
                let special = [0, 0xff, 0xfe, 0x7f, 0x80][g.below(5) as usize];
                let end = bytes.len().min(at + 4);
                bytes[at..end].fill(special);
            }
            _ => {
                let tail = bytes[at..].to_vec();
                bytes.extend_from_slice(&tail);
            }
        }
    }
}

/// Whatever is accepted must be a fixed point: written again and read again it is the same.
fn try_frame(bytes: &[u8]) {
    let Ok(frame) = frame::split(bytes) else {
        return;
    };
    let again = frame::build_raw(&frame.header, frame.auth_bytes, frame.body);
    let reread = frame::split(&again[LENGTH_BYTES..]).expect("what was accepted is acceptable");
    assert_eq!((&reread.header, reread.body), (&frame.header, frame.body));
    let release = frame.header.release;
    fixed_point(frame.message(), release);
}

/// The same on a persistent connection, whatever it is for.
fn try_persistent(bytes: &[u8], release: Release) {
    let Ok(parts) = persist::split(bytes) else {
        return;
    };
    assert_eq!(persist::build(parts.msg_type, parts.body)[LENGTH_BYTES..], *bytes);
    fixed_point(parts.message::<DbdMessage>(release), release);
    fixed_point(parts.message::<Message>(release), release);
}

fn fixed_point<M: Registry>(read: Result<M, flurm_wire::DecodeError>, release: Release) {
    if let Ok(message) = read {
        let bytes = message.to_bytes(release);
        let reread = M::decode(message.msg_type(), release, &bytes);
        let reread = reread.expect("what was accepted is acceptable");
        assert_eq!(reread.to_bytes(release), bytes);
    }
}

#[test]
fn nothing_a_peer_sends_does_harm() {
    let (first, cases) = (setting("FUZZ_SEED", 1), setting("FUZZ_CASES", CASES));
    for seed in first..first + cases {
        let release = Release::ALL[(seed % 8) as usize];
        let mut g = Gen::new(release, seed);
        let mut bytes = any_frame(&mut g)[LENGTH_BYTES..].to_vec();
        damage(&mut bytes, &mut g);
        let run = std::panic::catch_unwind(|| {
            try_frame(&bytes);
            if seed % DISSECTED != 0 {
                return;
            }
            let whole = [&(bytes.len() as u32).to_be_bytes(), &bytes[..]].concat();
            drop(flurm_wire::dissect::frame(&whole).to_value(true).to_pretty_json());
        });
        assert!(run.is_ok(), "FUZZ_SEED={seed} FUZZ_CASES=1 repeats this");
    }
}

/// What a step daemon may send instead of its introduction and its tasks' output.
fn try_channel(bytes: &[u8]) {
    if let Ok(introduction) = Introduction::from_bytes(bytes) {
        let again = introduction.to_bytes();
        let reread = Introduction::from_bytes(&again[io_channel::INIT_LENGTH_BYTES..]);
        assert_eq!(reread, Ok(introduction));
    }
    if let Ok(Some((header, payload, used))) = io_channel::split(bytes) {
        assert_eq!(payload.len(), usize::from(header.length));
        assert!(used <= bytes.len());
    }
}

/// Signatures and tokens of other people, whose claims may be of any shape.
#[test]
fn damaged_tokens_do_no_harm() {
    let (first, cases) = (setting("FUZZ_SEED", 1), setting("FUZZ_CASES", CASES));
    for seed in first..first + cases {
        let mut g = Gen::new(Release::NEWEST, seed);
        let Credential::Token(text) = Credential::sample(&mut g) else { continue };
        let mut bytes = text.into_bytes();
        damage(&mut bytes, &mut g);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let claims = token::claims(&text);
        drop((token::payload(&text), token::net_addrs(&text), token::sbcast_body(&text)));
        drop((claims.as_ref().and_then(token::identity), token::sluid_of(&text)));
        drop(Credential::Token(text).body(Release::NEWEST));
    }
}

#[test]
fn nothing_on_a_persistent_connection_does_harm() {
    let (first, cases) = (setting("FUZZ_SEED", 1), setting("FUZZ_CASES", CASES));
    for seed in first..first + cases {
        let release = Release::ALL[(seed % 8) as usize];
        let mut g = Gen::new(release, seed);
        let mut bytes = any_persistent(&mut g)[LENGTH_BYTES..].to_vec();
        damage(&mut bytes, &mut g);
        let run = std::panic::catch_unwind(|| try_persistent(&bytes, release));
        assert!(run.is_ok(), "FUZZ_SEED={seed} FUZZ_CASES=1 repeats this");
    }
}

#[test]
fn random_bytes_do_no_harm() {
    let (first, cases) = (setting("FUZZ_SEED", 1), setting("FUZZ_CASES", CASES));
    for seed in first..first + cases {
        let release = Release::ALL[(seed % 8) as usize];
        let mut g = Gen::new(release, seed);
        let bytes: Vec<u8> = (0..g.below(300)).map(|_| g.bits() as u8).collect();
        for entry in Message::REGISTERED {
            let decoded = Message::decode(entry.msg_type, release, &bytes);
            drop(decoded);
        }
        for entry in DbdMessage::REGISTERED {
            drop(DbdMessage::decode(entry.msg_type, release, &bytes));
        }
        let mut r = flurm_wire::Reader::new(release, &bytes);
        drop(AuthBlock::decode(&mut r));
        try_frame(&bytes);
        try_channel(&bytes);
    }
}
