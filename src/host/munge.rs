//! The client side of munged's socket protocol.
//!
//! munged vouches for who made a credential: it learns the maker's uid from the kernel when the
//! credential is made, and tells it when the credential is decoded. Frames and field orders are those
//! of MUNGE 0.5 (`m_msg` of its library): an 11-byte header, then one request and one response.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flurm_rt::{Addr, AsyncRuntime, Env, Net};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Where munged listens unless `AuthInfo=socket=…` says otherwise.
pub const SOCKET_DEFAULT: &str = "/run/munge/munge.socket.2";
/// Any uid may decode the credential.
pub const UID_ANY: u32 = u32::MAX;

const MAGIC: u32 = 0x0060_6d4b;
const VERSION: u8 = 4;
const HEADER_LEN: usize = 11;
const ENCODE_REQUEST: u8 = 2;
const ENCODE_RESPONSE: u8 = 3;
const DECODE_REQUEST: u8 = 4;
const DECODE_RESPONSE: u8 = 5;
/// Cipher, MAC and compression: 1 asks for munged's own default, 0 for none.
const DAEMON_DEFAULT: u8 = 1;
/// Largest message munged accepts or sends: twice its largest payload.
const MESSAGE_MAX: usize = 2 * 1_048_576;
/// One exchange with munged may take this long.
const EXCHANGE_MAX: Duration = Duration::from_secs(5);
/// munged refuses connections under a burst; try this often.
const TRIES_MAX: u32 = 6;
const TRY_PAUSE: Duration = Duration::from_millis(25);

const ERROR_EXPIRED: u8 = 15;
const ERROR_REWOUND: u8 = 16;
const ERROR_REPLAYED: u8 = 17;
const ERROR_UNAUTHORIZED: u8 = 18;

/// A credential that munged has opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Who made it.
    pub uid: u32,
    /// Primary group of its maker.
    pub gid: u32,
    /// What it carries.
    pub payload: Vec<u8>,
    /// True when this munged has opened it before.
    pub replayed: bool,
}

/// Why a credential could not be made or opened.
#[derive(Debug)]
pub enum MungeError {
    /// munged could not be reached, or the exchange broke.
    Daemon(io::Error),
    /// The credential is older than its time to live.
    Expired,
    /// The credential comes from the future.
    Rewound,
    /// This uid may not open the credential.
    Unauthorized,
    /// The credential is not genuine, or munged could not do it; munged's number and words.
    Refused(u8, String),
}

impl std::fmt::Display for MungeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Daemon(error) => write!(f, "could not talk to munged: {error}"),
            Self::Expired => write!(f, "expired credential"),
            Self::Rewound => write!(f, "credential made in the future (clock skew)"),
            Self::Unauthorized => write!(f, "credential is meant for another user"),
            Self::Refused(number, text) => write!(f, "munged refused: {text} ({number})"),
        }
    }
}

impl std::error::Error for MungeError {}

/// A way to the munged of this machine.
#[derive(Clone)]
pub struct Munge<E: Env> {
    env: E,
    socket: PathBuf,
}

impl<E: Env> Munge<E> {
    /// Uses the munged that listens on `socket`.
    pub fn new(env: E, socket: &Path) -> Self {
        Self { env, socket: socket.to_path_buf() }
    }

    /// Makes a credential around `payload` that only `reader` (or [`UID_ANY`]) may open, valid for
    /// `ttl_s` seconds (0 = munged's default).
    pub async fn make(
        &self,
        payload: &[u8],
        reader: u32,
        ttl_s: u32,
    ) -> Result<String, MungeError> {
        let mut body = vec![DAEMON_DEFAULT, DAEMON_DEFAULT, 0, 0];
        body.extend_from_slice(&ttl_s.to_be_bytes());
        body.extend_from_slice(&reader.to_be_bytes());
        body.extend_from_slice(&u32::MAX.to_be_bytes());
        put_bytes(&mut body, payload);
        let answer = self.exchange(ENCODE_REQUEST, ENCODE_RESPONSE, &body).await?;
        let mut fields = Fields(&answer);
        let (number, text) = fields.error()?;
        let data = fields.bytes()?;
        if number != 0 {
            return Err(MungeError::Refused(number, text));
        }
        let text = data.strip_suffix(&[0]).unwrap_or(data);
        String::from_utf8(text.to_vec()).map_err(|_| broken("credential is not text"))
    }

    /// Opens a credential. A replayed one is opened too, and marked.
    pub async fn open(&self, credential: &str) -> Result<Opened, MungeError> {
        let mut data = credential.as_bytes().to_vec();
        data.push(0);
        let mut body = Vec::with_capacity(data.len() + 4);
        put_bytes(&mut body, &data);
        let answer = self.exchange(DECODE_REQUEST, DECODE_RESPONSE, &body).await?;
        let mut fields = Fields(&answer);
        let (number, text) = fields.error()?;
        match number {
            0 | ERROR_REPLAYED => {}
            ERROR_EXPIRED => return Err(MungeError::Expired),
            ERROR_REWOUND => return Err(MungeError::Rewound),
            ERROR_UNAUTHORIZED => return Err(MungeError::Unauthorized),
            other => return Err(MungeError::Refused(other, text)),
        }
        fields.take(3)?;
        let realm_len = usize::from(fields.u8()?);
        fields.take(realm_len)?;
        fields.take(4)?;
        let addr_len = usize::from(fields.u8()?);
        fields.take(addr_len)?;
        fields.take(8)?;
        let uid = fields.u32()?;
        let gid = fields.u32()?;
        fields.take(8)?;
        let payload = fields.bytes()?.to_vec();
        Ok(Opened { uid, gid, payload, replayed: number == ERROR_REPLAYED })
    }

    async fn exchange(&self, kind: u8, expected: u8, body: &[u8]) -> Result<Vec<u8>, MungeError> {
        let mut last = None;
        for attempt in 0..TRIES_MAX {
            if attempt > 0 {
                E::Rt::sleep(TRY_PAUSE * attempt).await;
            }
            let once = self.exchange_once(kind, expected, body, attempt > 0);
            match E::Rt::timeout(EXCHANGE_MAX, once).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => last = Some(error),
                Err(_) => last = Some(io::Error::from(io::ErrorKind::TimedOut)),
            }
        }
        Err(MungeError::Daemon(last.unwrap_or_else(|| io::ErrorKind::NotConnected.into())))
    }

    async fn exchange_once(
        &self,
        kind: u8,
        expected: u8,
        body: &[u8],
        again: bool,
    ) -> io::Result<Vec<u8>> {
        let length = u32::try_from(body.len()).ok().filter(|len| *len as usize <= MESSAGE_MAX);
        let length = length.ok_or_else(|| invalid("message too large for munged"))?;
        let mut stream = self.env.net().connect(&Addr::Local(self.socket.clone())).await?;
        let mut frame = Vec::with_capacity(HEADER_LEN + body.len());
        frame.extend_from_slice(&MAGIC.to_be_bytes());
        frame.extend_from_slice(&[VERSION, kind, u8::from(again)]);
        frame.extend_from_slice(&length.to_be_bytes());
        frame.extend_from_slice(body);
        stream.write_all(&frame).await?;
        stream.flush().await?;
        let mut header = [0u8; HEADER_LEN];
        stream.read_exact(&mut header).await?;
        let mut fields = Fields(&header);
        let magic = fields.u32().map_err(|_| invalid("short header"))?;
        let version = fields.u8().map_err(|_| invalid("short header"))?;
        let answered = fields.u8().map_err(|_| invalid("short header"))?;
        let _retry = fields.u8().map_err(|_| invalid("short header"))?;
        let length = fields.u32().map_err(|_| invalid("short header"))? as usize;
        if magic != MAGIC {
            return Err(invalid("not munged's magic number"));
        }
        if version != VERSION {
            return Err(invalid("unknown version of munged's protocol"));
        }
        if answered != expected {
            return Err(invalid("unexpected kind of message from munged"));
        }
        if length > MESSAGE_MAX {
            return Err(invalid("message from munged is too long"));
        }
        let mut answer = vec![0u8; length];
        stream.read_exact(&mut answer).await?;
        Ok(answer)
    }
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes);
}

fn invalid(text: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

fn broken(text: &'static str) -> MungeError {
    MungeError::Daemon(invalid(text))
}

/// Reads big-endian fields off the front of a message.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], MungeError> {
        if count > self.0.len() {
            return Err(broken("short message from munged"));
        }
        let (head, rest) = self.0.split_at(count);
        self.0 = rest;
        Ok(head)
    }

    fn u8(&mut self) -> Result<u8, MungeError> {
        Ok(self.take(1)?[0])
    }

    fn u32(&mut self) -> Result<u32, MungeError> {
        let bytes = self.take(4)?;
        Ok(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    fn bytes(&mut self) -> Result<&'a [u8], MungeError> {
        let length = self.u32()? as usize;
        self.take(length)
    }

    fn error(&mut self) -> Result<(u8, String), MungeError> {
        let number = self.u8()?;
        let length = usize::from(self.u8()?);
        let text = self.take(length)?;
        let text = text.strip_suffix(&[0]).unwrap_or(text);
        Ok((number, String::from_utf8_lossy(text).into_owned()))
    }
}
