//! JSON web tokens that stand where a credential would: auth/slurm makes one for a launch, for
//! sbcast and for nodes' addresses. Reads what they claim and says what the latter two must claim.
//! Neither signs nor verifies: a claim counts only once whoever holds the key has verified the
//! token.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use crate::messages::NodeAddrs;
use crate::records::{Identity, SbcastBody};
use crate::{Gen, NO_VAL, Reader, Release, StepId, UnixTime, WireAddr};

/// What a token claims, by name.
pub type Claims = Map<String, Value>;

/// Base64 of `{"`, which every token starts with.
const START: &str = "eyJ";
/// Parts of a token: header, claims, signature.
const PARTS: usize = 3;

/// Whether a string is made like a token.
pub fn is_token(text: &str) -> bool {
    let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_".contains(byte);
    let parts: Vec<&[u8]> = text.as_bytes().split(|byte| *byte == b'.').collect();
    text.starts_with(START)
        && parts.len() == PARTS
        && parts.iter().all(|part| part.iter().all(is_letter))
}

/// Whether a token is what a reader reads next, and not a packed credential, whose first numbers
/// cannot be the length of a text of base64 that ends in NUL.
pub(crate) fn comes_next(r: &Reader<'_>) -> bool {
    if r.release() < Release::V23_11 {
        return false;
    }
    let Ok(block) = r.clone().block() else { return false };
    let text = block.strip_suffix(&[0]).and_then(|text| std::str::from_utf8(text).ok());
    text.is_some_and(is_token)
}

/// What a token claims, if its middle part is a JSON object.
pub fn claims(token: &str) -> Option<Claims> {
    let middle = token.split('.').nth(1)?;
    let json = URL_SAFE_NO_PAD.decode(middle).ok()?;
    serde_json::from_slice(&json).ok()
}

/// The bytes in a token's `payload`: a packed credential, or a hash block.
pub fn payload(token: &str) -> Option<Vec<u8>> {
    STANDARD.decode(claims(token)?.get("payload")?.as_str()?).ok()
}

/// The claims of a credential for sbcast, beside those about its user. They hold no packed
/// credential.
pub fn sbcast_claims(body: &SbcastBody) -> Claims {
    let mut sbcast = Claims::new();
    sbcast.insert("nodes".to_owned(), body.nodes.clone().into());
    let step = body.step();
    sbcast.insert("job_id".to_owned(), step.job_id.into());
    sbcast.insert("het_job_id".to_owned(), body.het_job_id.into());
    sbcast.insert("step_id".to_owned(), step.step_id.into());
    if step.sluid != 0 {
        sbcast.insert("sluid".to_owned(), sluid_text(step.sluid).into());
    }
    Claims::from_iter([("sbcast".to_owned(), sbcast.into())])
}

/// What a token for sbcast says, as a credential of 25.11 would.
pub fn sbcast_body(token: &str) -> Option<SbcastBody> {
    let claims = claims(token).filter(|claims| text_of(claims, "context") == Some("sbcast"))?;
    let sbcast = claims.get("sbcast")?.as_object()?;
    let time = |name: &str| claims.get(name).and_then(Value::as_i64).map(UnixTime);
    let sluid = text_of(sbcast, "sluid").and_then(sluid_of).unwrap_or(0);
    let step = StepId::step(number_of(sbcast, "job_id")?, number_of(sbcast, "step_id")?);
    Some(SbcastBody {
        step_id: step.with_sluid(sluid),
        id: identity(&claims)?,
        ctime: time("iat")?,
        expiration: time("exp")?,
        het_job_id: number_of(sbcast, "het_job_id").unwrap_or(NO_VAL),
        nodes: text_of(sbcast, "nodes").map(str::to_owned),
        ..SbcastBody::default()
    })
}

/// The claims of a credential of nodes' addresses, beside those about its maker, in both forms that
/// Slurm writes: the older by address, the newer by name. `names` are the nodes of `addrs` in order.
pub fn net_claims(addrs: &NodeAddrs, names: &[String]) -> Claims {
    let (mut by_addr, mut by_name) = (Claims::new(), Vec::new());
    for (name, addr) in names.iter().zip(&addrs.node_addrs) {
        let Some((ip, port)) = addr_text(addr) else { continue };
        let mut entry = Claims::new();
        entry.insert("name".to_owned(), name.clone().into());
        entry.insert("ip".to_owned(), ip.clone().into());
        entry.insert("port".to_owned(), port.into());
        by_name.push(entry.into());
        // The older form has the port as it stands in memory, in network order.
        by_addr.insert(ip, port.swap_bytes().into());
    }
    let mut net = Claims::new();
    net.insert("nodes".to_owned(), addrs.node_list.clone().into());
    net.insert("addrs".to_owned(), by_addr.into());
    let mut netcred = Claims::new();
    netcred.insert("addrs".to_owned(), Value::Array(by_name));
    Claims::from_iter([("net".to_owned(), net.into()), ("netcred".to_owned(), netcred.into())])
}

/// The nodes' names and addresses in a token of addresses, from its newer form.
pub fn net_addrs(token: &str) -> Option<Vec<(String, WireAddr)>> {
    let claims = claims(token).filter(|claims| text_of(claims, "context") == Some("net"))?;
    let entries = claims.get("netcred")?.get("addrs")?.as_array()?;
    let read = |entry: &Value| {
        let entry = entry.as_object()?;
        let port = u16::try_from(number_of(entry, "port")?).ok()?;
        let addr = match text_of(entry, "ip")?.parse().ok()? {
            std::net::IpAddr::V4(ip) => WireAddr::V4(ip, port),
            std::net::IpAddr::V6(ip) => WireAddr::V6(ip, port),
        };
        Some((text_of(entry, "name")?.to_owned(), addr))
    };
    entries.iter().map(read).collect()
}

/// The user whom a token is about, as far as its claims say.
pub fn identity(claims: &Claims) -> Option<Identity> {
    let (uid, gid) = (number_of(claims, "uid")?, number_of(claims, "gid")?);
    let mut identity = Identity { uid, gid, ..Identity::default() };
    let Some(id) = claims.get("id").and_then(Value::as_object) else { return Some(identity) };
    let text = |name| text_of(id, name).map(str::to_owned);
    identity.pw_name = text("name");
    identity.pw_gecos = text("gecos");
    identity.pw_dir = text("dir");
    identity.pw_shell = text("shell");
    let group = |value: &Value| value.as_u64().and_then(|gid| u32::try_from(gid).ok());
    if let Some(groups) = id.get("groups").and_then(Value::as_object) {
        identity.gr_names = groups.keys().cloned().collect();
        identity.gids = groups.values().map(group).collect::<Option<_>>()?;
    } else if let Some(gids) = id.get("gids").and_then(Value::as_array) {
        identity.gids = gids.iter().map(group).collect::<Option<_>>()?;
    }
    Some(identity)
}

fn text_of<'a>(claims: &'a Claims, name: &str) -> Option<&'a str> {
    claims.get(name)?.as_str()
}

fn number_of(claims: &Claims, name: &str) -> Option<u32> {
    u32::try_from(claims.get(name)?.as_u64()?).ok()
}

fn addr_text(addr: &WireAddr) -> Option<(String, u16)> {
    match addr {
        WireAddr::V4(ip, port) => Some((ip.to_string(), *port)),
        WireAddr::V6(ip, port) => Some((ip.to_string(), *port)),
        WireAddr::Unspecified | WireAddr::Other(_) => None,
    }
}

/// Crockford's base 32.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Digits of 64 bits.
const SLUID_DIGITS: u32 = 13;
const DIGIT_BITS: u32 = 5;

/// An attempt as Slurm writes it: `s` and thirteen digits.
pub fn sluid_text(sluid: u64) -> String {
    let digit = |at: u32| DIGITS[(sluid >> (at * DIGIT_BITS) & 0x1f) as usize];
    let digits = (0..SLUID_DIGITS).rev().map(|at| char::from(digit(at)));
    std::iter::once('s').chain(digits).collect()
}

/// The attempt that `sluid_text` wrote.
pub fn sluid_of(text: &str) -> Option<u64> {
    let digits = text.strip_prefix(['s', 'S'])?;
    if digits.len() != SLUID_DIGITS as usize {
        return None;
    }
    digits.bytes().try_fold(0u64, |sluid, byte| {
        let value = DIGITS.iter().position(|digit| *digit == byte.to_ascii_uppercase())?;
        (sluid >> (u64::BITS - DIGIT_BITS) == 0).then_some(sluid << DIGIT_BITS | value as u64)
    })
}

/// A token with this payload and no signature to speak of.
pub(crate) fn sample(g: &mut Gen, body: &[u8]) -> String {
    let mut claims = Claims::new();
    claims.insert("iat".to_owned(), g.integer().into());
    claims.insert("payload".to_owned(), STANDARD.encode(body).into());
    compose(&claims, &g.bits().to_be_bytes())
}

fn compose(claims: &Claims, signature: &[u8]) -> String {
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    let claims = URL_SAFE_NO_PAD.encode(Value::Object(claims.clone()).to_string());
    format!("{header}.{claims}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user() -> Identity {
        Identity {
            uid: 1000,
            gid: 100,
            pw_name: Some("ann".into()),
            pw_gecos: Some("Ann \"payload\":\"x\"".into()),
            pw_dir: Some("/home/ann".into()),
            pw_shell: Some("/bin/sh".into()),
            gids: vec![4, 100],
            gr_names: vec!["adm".into(), "users".into()],
        }
    }

    /// What whoever makes a token claims about its user.
    fn user_claims(context: &str) -> Claims {
        let json = r#"{"uid":1000,"gid":100,"iat":5,"exp":65,"id":{"name":"ann",
            "gecos":"Ann \"payload\":\"x\"","dir":"/home/ann","shell":"/bin/sh",
            "groups":{"adm":4,"users":100}}}"#;
        let mut claims: Claims = serde_json::from_str(json).unwrap();
        claims.insert("context".into(), context.into());
        claims
    }

    #[test]
    fn a_token_holds_a_payload_and_its_user() {
        let mut claims = user_claims("launch");
        claims.insert("payload".into(), STANDARD.encode(b"\x00packed\xff").into());
        let token = compose(&claims, b"sig");
        assert!(is_token(&token));
        assert_eq!(payload(&token).as_deref(), Some(&b"\x00packed\xff"[..]));
        assert_eq!(identity(&claims), Some(user()));
        assert_eq!(identity(&Claims::new()), None);
    }

    #[test]
    fn an_sbcast_token_says_what_a_packed_one_would() {
        let body = SbcastBody {
            step_id: StepId::step(7, 3).with_sluid(0x0123_4567_89ab_cdef),
            id: user(),
            ctime: UnixTime(5),
            expiration: UnixTime(65),
            nodes: Some("n[1-2]".into()),
            ..SbcastBody::default()
        };
        let mut claims = user_claims("sbcast");
        claims.extend(sbcast_claims(&body));
        assert_eq!(sbcast_body(&compose(&claims, b"")), Some(body));
        claims.insert("context".into(), "launch".into());
        assert_eq!(sbcast_body(&compose(&claims, b"")), None, "made for something else");
    }

    #[test]
    fn addresses_come_back_by_name() {
        let node_addrs = vec![
            WireAddr::V4([10, 0, 0, 1].into(), 6818),
            WireAddr::V6([0, 0, 0, 0, 0, 0, 0, 1].into(), 17002),
        ];
        let names = ["n1".to_owned(), "n2".to_owned()];
        let addrs = NodeAddrs {
            node_addrs: node_addrs.clone(),
            node_list: Some("n[1-2]".into()),
            node_cnt: 2,
        };
        let mut claims = user_claims("net");
        claims.extend(net_claims(&addrs, &names));
        assert_eq!(claims["net"]["addrs"]["10.0.0.1"], 6818u16.swap_bytes());
        let expected: Vec<_> = names.into_iter().zip(node_addrs).collect();
        assert_eq!(net_addrs(&compose(&claims, b"")), Some(expected));
    }

    #[test]
    fn attempts_are_written_in_base_32() {
        assert_eq!(sluid_text(1), "s0000000000001");
        assert_eq!(sluid_text(u64::MAX), "sFZZZZZZZZZZZZ");
        for sluid in [0, 31, 32, 0x0123_4567_89ab_cdef, u64::MAX] {
            assert_eq!(sluid_of(&sluid_text(sluid)), Some(sluid));
        }
        for wrong in ["", "s1", "x0000000000001", "sZZZZZZZZZZZZZ", "s000000000000U"] {
            assert_eq!(sluid_of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn other_texts_are_no_tokens() {
        for text in ["", "eyJ", "eyJ.a", "MUNGE:eyJ..:", "eyJ.a.b.c", "fake signature", "eyJ.a.b="]
        {
            assert!(!is_token(text), "{text}");
        }
        assert_eq!(claims("eyJ.a.b"), None);
        assert_eq!(payload("eyJhIjoxfQ.eyJhIjoxfQ."), None);
    }
}
