//! Every way in and every refusal, against keys on a real disk and a munged that says what a test
//! wants it to say.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::time::Duration;

use flurm_base::{Span, Time};
use flurm_ctld::Identity;
use flurm_rt::{Addr, AsyncRuntime, Clock, Env, Fs, Listener, Net, PeerCredential};
use flurm_rt_tokio::Tokio;
use flurm_wire::hash::HashKind;
use flurm_wire::records::{Credential, CredentialBody};
use flurm_wire::sack::SackRequest;
use flurm_wire::{AuthBlock, Errno, Release};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::auth::{Auth, Unverified, Verified};
use crate::auth_cell::AuthCell;
use crate::auth_settings::{AuthSettings, CredentialKind, JwtFiles, Kind};
use crate::keyring::{KeyFiles, Keyring};
use crate::slurm_token::{Context, Grant, READER_ANY, SlurmTokens};
use crate::{jwt, kiosk};

type Runtime = <Tokio as Env>::Rt;

const BODY: &[u8] = b"a body";
const MSG_TYPE: u16 = 4003;
const KEY: &[u8] = b"the key that this cluster shares";
const OWN: Identity = Identity { uid: 64_030, gid: 64_030 };
const REFUSED: Errno = Errno::SLURM_PROTOCOL_AUTHENTICATION_ERROR;
const UNFIT: Errno = Errno::ESLURM_PROTOCOL_INCOMPLETE_PACKET;

/// A folder with keys, and a munged.
struct World {
    env: Tokio,
    folder: PathBuf,
    /// What munged says about every credential it is asked to open.
    munge_error: Arc<AtomicU8>,
}

impl Drop for World {
    fn drop(&mut self) {
        let _leftover = std::fs::remove_dir_all(&self.folder);
    }
}

impl World {
    async fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("flurm-auth-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let env = Tokio::new();
        env.fs().create_folder(&folder, 0o755).await.unwrap();
        let world = Self { env, folder, munge_error: Arc::new(AtomicU8::new(0)) };
        world.write("slurm.key", KEY, 0o600).await;
        world.write("jwt.key", KEY, 0o600).await;
        let socket = Addr::Local(world.folder.join("munge"));
        let listener = world.env.net().listen(&socket).await.unwrap();
        tokio::spawn(munged(listener, world.munge_error.clone()));
        world
    }

    async fn write(&self, name: &str, bytes: &[u8], mode: u32) {
        self.env.fs().replace(&self.folder.join(name), bytes, mode).await.unwrap();
    }

    fn settings(&self, primary: Kind) -> AuthSettings {
        let credential = match primary {
            Kind::Slurm => CredentialKind::Slurm,
            Kind::Munge => CredentialKind::Munge,
            Kind::None | Kind::Jwt => CredentialKind::None,
        };
        AuthSettings {
            primary,
            also: Vec::new(),
            credential,
            munge_socket: self.folder.join("munge"),
            ttl_s: 0,
            use_client_ids: false,
            sack_disabled: false,
            hash: HashKind::K12,
            jwt: JwtFiles { key: Some(self.folder.join("jwt.key")), ..JwtFiles::default() },
            slurm_keys: Some(KeyFiles { key: Some(self.folder.join("slurm.key")), jwks: None }),
            cluster: Some("lab".into()),
            slurm_uid: OWN.uid,
            own: OWN,
        }
    }

    async fn auth(&self, primary: Kind, also: &[Kind]) -> Auth<Tokio> {
        self.with(AuthSettings { also: also.to_vec(), ..self.settings(primary) }).await
    }

    async fn with(&self, settings: AuthSettings) -> Auth<Tokio> {
        Auth::load(self.env.clone(), settings).await.unwrap()
    }

    fn now(&self) -> Time {
        self.env.clock().wall()
    }

    /// A token as some holder of a key makes it.
    fn token(&self, key: &[u8], cluster: &str, grant: Grant<'_>, at: Time) -> AuthBlock {
        let tokens = SlurmTokens {
            keyring: Keyring::from_key(key.to_vec()).unwrap(),
            cluster: Some(cluster.into()),
            hostname: "login".into(),
            lifespan: Span::secs(60),
        };
        AuthBlock::Slurm { token: Some(tokens.create(&grant, at)) }
    }
}

/// Makes credentials that say in plain text what they carry, and opens them as it is told.
async fn munged<L: Listener>(mut listener: L, error: Arc<AtomicU8>)
where
    L::Stream: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send,
{
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut header = [0; 11];
        stream.read_exact(&mut header).await.unwrap();
        let length = u32::from_be_bytes(header[7..].try_into().unwrap());
        let mut body = vec![0; length as usize];
        stream.read_exact(&mut body).await.unwrap();
        let mut answer = Vec::new();
        if header[5] == 2 {
            let text: String = body[20..].iter().map(|byte| format!("{byte:02x}")).collect();
            answer.extend([0, 0]);
            let text = format!("MUNGE:{text}:\0");
            answer.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
            answer.extend(text.as_bytes());
        } else {
            let text = std::str::from_utf8(&body[4..body.len() - 1]).unwrap();
            let hex = text.strip_prefix("MUNGE:").unwrap().strip_suffix(':').unwrap();
            let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
            let payload: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
            answer.extend([error.load(Ordering::Relaxed), 0, 4, 5, 0, 0]);
            answer.extend([0; 4]);
            answer.extend([4, 127, 0, 0, 1]);
            answer.extend([0; 8]);
            answer.extend(OWN.uid.to_be_bytes());
            answer.extend(OWN.gid.to_be_bytes());
            answer.extend([0xff; 8]);
            answer.extend(u32::try_from(payload.len()).unwrap().to_be_bytes());
            answer.extend(payload);
        }
        header[5] += 1;
        header[7..].copy_from_slice(&u32::try_from(answer.len()).unwrap().to_be_bytes());
        stream.write_all(&[&header[..], &answer].concat()).await.unwrap();
    }
}

fn grant<'a>(context: Context, payload: &'a [u8]) -> Grant<'a> {
    Grant { context, uid: 1001, gid: 100, reader: READER_ANY, payload, user: None, nonce: None }
}

fn hash() -> Vec<u8> {
    flurm_wire::hash::hash_block(HashKind::K12, BODY, MSG_TYPE)
}

fn munge_credential(payload: &[u8]) -> AuthBlock {
    let hex: String = payload.iter().map(|byte| format!("{byte:02x}")).collect();
    AuthBlock::Munge { credential: Some(format!("MUNGE:{hex}:")) }
}

async fn verify(auth: &Auth<Tokio>, block: &AuthBlock) -> Result<Verified, Errno> {
    let verified = auth.verify(Some(block), MSG_TYPE, BODY).await;
    verified.map_err(|Unverified { errno, .. }| errno)
}

#[tokio::test]
async fn what_is_signed_here_is_verified_here() {
    let world = World::new().await;
    for primary in [Kind::None, Kind::Munge, Kind::Slurm] {
        for hash in [HashKind::K12, HashKind::Sha3] {
            let auth = world.with(AuthSettings { hash, ..world.settings(primary) }).await;
            for release in Release::ALL {
                let block = auth.sign(release, MSG_TYPE, BODY, OWN.uid).await.unwrap();
                assert_eq!(Kind::of(&block), primary);
                let found = verify(&auth, &block).await.unwrap();
                assert_eq!((found.identity, found.kind), (OWN, primary));
                let proof = auth.prove(b"challenge").await.unwrap();
                assert_eq!(auth.check_proof(b"challenge", &proof).await, Ok(()));
                let other = auth.check_proof(b"another", &proof).await;
                assert_eq!(other.is_ok(), primary == Kind::None);
            }
        }
    }
}

#[tokio::test]
async fn only_configured_kinds_are_taken() {
    let world = World::new().await;
    let token = world.token(KEY, "lab", grant(Context::Auth, &hash()), world.now());
    let keys = jwt::JwtKeys { shared: Some(KEY.to_vec()), ..Default::default() };
    let jwt = keys.issue("root", world.now(), 60);
    let blocks = [
        AuthBlock::None { uid: 0, gid: 0, hostname: None },
        munge_credential(&hash()),
        AuthBlock::Jwt { token: jwt, username: None },
        token,
    ];
    let kinds = [Kind::None, Kind::Munge, Kind::Jwt, Kind::Slurm];
    for primary in [Kind::None, Kind::Munge, Kind::Slurm] {
        for also in [vec![], vec![Kind::Jwt], vec![Kind::Munge], vec![Kind::Slurm, Kind::Jwt]] {
            let auth = world.auth(primary, &also).await;
            for (kind, block) in kinds.iter().zip(&blocks) {
                let configured = *kind == primary || also.contains(kind);
                let found = verify(&auth, block).await.map(|found| found.kind);
                let expected = if configured { Ok(*kind) } else { Err(REFUSED) };
                assert_eq!(found, expected, "{kind:?} for {primary:?} and {also:?}");
            }
            let bare = auth.verify(None, MSG_TYPE, BODY).await.unwrap_err();
            assert_eq!(bare.errno, REFUSED, "a message needs a credential");
        }
    }
}

#[tokio::test]
async fn what_munged_says_is_what_counts() {
    let world = World::new().await;
    let auth = world.auth(Kind::Munge, &[]).await;
    let block = munge_credential(&hash());
    // Expired, rewound, meant for another uid, invalid: numbers of `munge.h`.
    for error in [14, 15, 16, 18] {
        world.munge_error.store(error, Ordering::Relaxed);
        assert_eq!(verify(&auth, &block).await, Err(REFUSED), "munge error {error}");
    }
    world.munge_error.store(17, Ordering::Relaxed);
    assert!(verify(&auth, &block).await.unwrap().replayed);
    world.munge_error.store(0, Ordering::Relaxed);
    let found = verify(&auth, &block).await.unwrap();
    assert!(!found.replayed && found.key.is_some());
    let empty = AuthBlock::Munge { credential: None };
    assert_eq!(verify(&auth, &empty).await, Err(REFUSED));
}

#[tokio::test]
async fn a_credential_that_does_not_cover_the_body_is_refused() {
    let world = World::new().await;
    let auth = world.auth(Kind::Munge, &[Kind::Slurm]).await;
    let k12 = hash();
    let sha3 = flurm_wire::hash::hash_block(HashKind::Sha3, BODY, MSG_TYPE);
    let other_type = flurm_wire::hash::hash_block(HashKind::K12, BODY, MSG_TYPE + 1);
    let other_body = flurm_wire::hash::hash_block(HashKind::K12, b"b body", MSG_TYPE);
    let type_only = [&[1], &MSG_TYPE.to_be_bytes()[..]].concat();
    for (payload, expected) in [
        (k12.clone(), Ok(())),
        (sha3, Ok(())),
        (other_type, Err(UNFIT)),
        (other_body, Err(UNFIT)),
        (type_only, Err(UNFIT)),
        (Vec::new(), Err(UNFIT)),
        (vec![9; 33], Err(UNFIT)),
        (k12[..32].to_vec(), Err(UNFIT)),
    ] {
        let token = world.token(KEY, "lab", grant(Context::Sack, &payload), world.now());
        for block in [munge_credential(&payload), token] {
            let found = verify(&auth, &block).await.map(|_| ());
            assert_eq!(found, expected, "{payload:?}");
        }
    }
}

#[tokio::test]
async fn tokens_that_do_not_hold_are_refused() {
    let world = World::new().await;
    let auth = world.auth(Kind::Slurm, &[]).await;
    let (hash, now) = (hash(), world.now());
    let fine = grant(Context::Sack, &hash);
    let found = verify(&auth, &world.token(KEY, "lab", fine.clone(), now)).await.unwrap();
    assert_eq!(found.identity, Identity { uid: 1001, gid: 100 });
    assert_eq!(found.key, None, "two messages may have the same token");
    let to_me = Grant { reader: OWN.uid, nonce: Some([7; 16]), ..fine.clone() };
    let found = verify(&auth, &world.token(KEY, "lab", to_me, now)).await.unwrap();
    assert!(found.key.is_some(), "a token with a nonce is like no other");
    let to_other = Grant { reader: 0, ..fine.clone() };
    for (reason, block) in [
        ("another key", world.token(b"another key, as long", "lab", fine.clone(), now)),
        ("another cluster", world.token(KEY, "other", fine.clone(), now)),
        ("expired", world.token(KEY, "lab", fine.clone(), now - Span::secs(62))),
        ("another reader", world.token(KEY, "lab", to_other, now)),
        ("a job credential", world.token(KEY, "lab", grant(Context::Launch, &hash), now)),
        ("a peer's proof", world.token(KEY, "lab", grant(Context::Peer, &hash), now)),
        ("no token", AuthBlock::Slurm { token: None }),
        ("no token at all", AuthBlock::Slurm { token: Some("a.b.c".into()) }),
    ] {
        assert_eq!(verify(&auth, &block).await, Err(REFUSED), "{reason}");
    }
}

#[tokio::test]
async fn a_bearer_acts_for_another_only_as_root_or_slurm_user() {
    let world = World::new().await;
    let auth = world.auth(Kind::Munge, &[Kind::Jwt]).await;
    let keys = jwt::JwtKeys { shared: Some(KEY.to_vec()), ..Default::default() };
    let as_user = |token: &str, other: Option<&str>| {
        let token = keys.issue(token, world.now(), 60);
        AuthBlock::Jwt { token, username: other.map(str::to_owned) }
    };
    let uid = |found: Result<Verified, Errno>| found.map(|found| found.identity.uid);
    assert_eq!(uid(verify(&auth, &as_user("root", None)).await), Ok(0));
    assert_eq!(uid(verify(&auth, &as_user("root", Some("root"))).await), Ok(0));
    assert_eq!(uid(verify(&auth, &as_user("root", Some("daemon"))).await), Ok(1));
    assert_eq!(uid(verify(&auth, &as_user("daemon", None)).await), Ok(1));
    assert_eq!(uid(verify(&auth, &as_user("daemon", Some("root"))).await), Err(REFUSED));
    assert_eq!(uid(verify(&auth, &as_user("no-such-user", None)).await), Err(REFUSED));
    let nothing = AuthBlock::Jwt { token: None, username: Some("root".into()) };
    assert_eq!(uid(verify(&auth, &nothing).await), Err(REFUSED));
}

fn credential_body() -> CredentialBody {
    let mut body = CredentialBody::default();
    (body.id.uid, body.id.gid) = (1001, 100);
    body.id.pw_name = Some("ada".into());
    body.job_hostlist = Some("n1".into());
    body
}

#[tokio::test]
async fn a_job_credential_is_opened_as_it_was_signed_and_by_its_node_only() {
    let world = World::new().await;
    for primary in [Kind::None, Kind::Munge, Kind::Slurm] {
        let auth = world.auth(primary, &[]).await;
        let signed = auth.sign_credential(credential_body(), Release::NEWEST, OWN.uid).await;
        let signed = signed.unwrap();
        assert_eq!(matches!(signed, Credential::Token(_)), primary == Kind::Slurm);
        let opened = auth.open_credential(&signed, Release::NEWEST).await;
        assert_eq!(opened, Ok(credential_body()), "{primary:?}");
    }
    let auth = world.auth(Kind::Slurm, &[]).await;
    let other = auth.sign_credential(credential_body(), Release::NEWEST, 1).await.unwrap();
    assert!(auth.open_credential(&other, Release::NEWEST).await.is_err(), "another node's");
    let munge = world.auth(Kind::Munge, &[]).await;
    let foreign = munge.sign_credential(credential_body(), Release::NEWEST, OWN.uid).await;
    let opened = auth.open_credential(&foreign.unwrap(), Release::NEWEST).await;
    assert!(opened.unwrap_err().contains("not of auth/slurm"));
}

#[tokio::test]
async fn a_user_cannot_make_a_job_credential_of_a_token() {
    let world = World::new().await;
    let auth = world.auth(Kind::Slurm, &[]).await;
    let bytes = credential_body().signed_bytes(Release::NEWEST);
    let who = PeerCredential { pid: 1, uid: 1001, gid: 100 };
    let token = Credential::Token(auth.token_for(who, READER_ANY, &bytes).await);
    assert!(auth.open_credential(&token, Release::NEWEST).await.is_err(), "made by the kiosk");
    // Even the key's holder must name one user.
    let two =
        world.token(KEY, "lab", Grant { uid: 0, ..grant(Context::Launch, &bytes) }, world.now());
    let AuthBlock::Slurm { token: Some(two) } = two else { unreachable!("made as a token") };
    let opened = auth.open_credential(&Credential::Token(two), Release::NEWEST).await;
    assert!(opened.unwrap_err().contains("two users"));
}

#[tokio::test]
async fn keys_that_everybody_may_read_are_refused() {
    let world = World::new().await;
    let load = async |primary: Kind, also: &[Kind]| {
        let settings = AuthSettings { also: also.to_vec(), ..world.settings(primary) };
        Auth::load(world.env.clone(), settings).await.err()
    };
    assert_eq!(load(Kind::Slurm, &[Kind::Jwt]).await, None);
    world.write("slurm.key", KEY, 0o604).await;
    assert!(load(Kind::Slurm, &[]).await.unwrap().contains("open to everybody (mode 0604)"));
    assert_eq!(load(Kind::Munge, &[]).await, None, "it is not even looked at");
    world.write("slurm.key", b"too short", 0o600).await;
    assert!(load(Kind::Munge, &[Kind::Slurm]).await.unwrap().contains("16 are needed"));
    world.write("jwt.key", KEY, 0o640).await;
    assert_eq!(load(Kind::Munge, &[Kind::Jwt]).await, None);
    world.write("jwt.key", KEY, 0o644).await;
    assert!(load(Kind::Munge, &[Kind::Jwt]).await.unwrap().contains("open to everybody"));
}

#[tokio::test]
async fn key_files_are_found_where_slurm_looks() {
    let world = World::new().await;
    let conf = world.folder.join("slurm.conf");
    let found = KeyFiles::default().find(&world.env, &conf).await.unwrap();
    assert_eq!(found.key, Some(world.folder.join("slurm.key")));
    world.write("slurm.jwks", b"{}", 0o600).await;
    let found = KeyFiles::default().find(&world.env, &conf).await.unwrap();
    assert_eq!(found, KeyFiles { key: None, jwks: Some(world.folder.join("slurm.jwks")) });
    let named = KeyFiles { key: Some("/nowhere".into()), jwks: Some("/nowhere".into()) };
    assert_eq!(named.find(&world.env, &conf).await, None);
}

async fn ask_kiosk(world: &World, socket: &Path, bytes: &[u8]) -> Vec<u8> {
    let socket = Addr::Local(socket.to_path_buf());
    let mut stream = world.env.net().connect(&socket).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut reply = Vec::new();
    // A refused request is closed on, which may look like a broken connection.
    let _closed = stream.read_to_end(&mut reply).await;
    reply
}

#[tokio::test]
async fn the_socket_gives_tokens_of_whoever_asks_and_survives_anything() {
    let world = World::new().await;
    let auth = world.auth(Kind::Slurm, &[]).await;
    let socket = world.folder.join("run/sack.socket");
    tokio::spawn(kiosk::run(world.env.clone(), AuthCell::new(auth.clone()), socket.clone()));
    while !world.env.fs().access(&socket).await.is_ok_and(|found| found.unix_mode == 0o777) {
        Runtime::sleep(Duration::from_millis(5)).await;
    }
    let create = SackRequest::Create { reader: READER_ANY, payload: hash() };
    let create = create.to_bytes(Release::V24_11);
    let reply = ask_kiosk(&world, &socket, &create).await;
    let token = String::from_utf8(reply[4..reply.len() - 1].to_vec()).unwrap();
    let block = AuthBlock::Slurm { token: Some(token.clone()) };
    let found = verify(&auth, &block).await.unwrap();
    let own = own_ids();
    assert_eq!((found.identity.uid, found.identity.gid), own, "the request names nobody");
    for (token, verdict) in [(token.clone(), [0; 4]), (token + "x", [0xff; 4])] {
        let verify = SackRequest::Verify { token }.to_bytes(Release::V26_05);
        assert_eq!(ask_kiosk(&world, &socket, &verify).await, verdict);
    }
    for garbage in [
        Vec::new(),
        vec![0xff; 64],
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        [&[0x2a, 0][..], &u32::MAX.to_be_bytes()].concat(),
        create[..create.len() - 1].to_vec(),
    ] {
        let mut bytes = garbage;
        // Closing the sending side is what a client that gives up does.
        bytes.truncate(1 << 16);
        let stream = world.env.net().connect(&Addr::Local(socket.clone())).await.unwrap();
        let (mut from, mut to) = tokio::io::split(stream);
        to.write_all(&bytes).await.unwrap();
        to.shutdown().await.unwrap();
        let mut reply = Vec::new();
        let _closed = from.read_to_end(&mut reply).await;
        assert!(reply.is_empty(), "{bytes:?}");
    }
    assert!(!ask_kiosk(&world, &socket, &create).await.is_empty());
}

/// Who this test runs as, from the files that it makes.
fn own_ids() -> (u32, u32) {
    use std::os::unix::fs::MetadataExt;
    let own = std::fs::metadata("/proc/self").unwrap();
    (own.uid(), own.gid())
}
