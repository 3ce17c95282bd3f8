//! The messages whose bodies are understood. One line declares a message; its variant is Slurm's
//! name in camel case.

use crate::messages as m;
use crate::names;
use crate::{DecodeError, Fault, Gen, Reader, Release, Schema, Visitor, Wire, Writer};

/// One registered message: what tests, documents and the schema lock go through.
#[derive(Clone, Copy, Debug)]
pub struct Registered {
    /// Its number.
    pub msg_type: u16,
    /// Its name in Slurm.
    pub name: &'static str,
    /// First release that has it.
    pub since: Release,
    /// Last release that has it.
    pub until: Release,
    schema: fn(Release) -> Vec<String>,
    sample: fn(&mut Gen) -> Message,
}

impl Registered {
    /// Whether a release has it.
    pub fn in_release(&self, release: Release) -> bool {
        self.since <= release && release <= self.until
    }

    /// Its layout in a release.
    pub fn schema(&self, release: Release) -> Vec<String> {
        (self.schema)(release)
    }

    /// An invented message of this type.
    pub fn sample(&self, g: &mut Gen) -> Message {
        (self.sample)(g)
    }
}

macro_rules! or_release {
    (OLDEST) => {
        Release::OLDEST
    };
    (NEWEST) => {
        Release::NEWEST
    };
    ($default:ident $given:ident) => {
        Release::$given
    };
}

macro_rules! messages {
    ($($name:ident => $variant:ident $(($body:ty))? $(since $since:ident)? $(until $until:ident)?;)*) => {
        /// A message of any registered type.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Message {
            $(
                #[doc = concat!("`", stringify!($name), "`")]
                $variant $(($body))?,
            )*
        }

        impl Message {
            /// Every registered message.
            pub const REGISTERED: &'static [Registered] = &[$(
                Registered {
                    msg_type: names::$name,
                    name: stringify!($name),
                    since: or_release!(OLDEST $($since)?),
                    until: or_release!(NEWEST $($until)?),
                    schema: messages!(@schema $($body)?),
                    sample: messages!(@sample $variant $($body)?),
                },
            )*];

            /// The message's number.
            pub const fn msg_type(&self) -> u16 {
                match self {
                    $(messages!(@any $variant $($body)?) => names::$name,)*
                }
            }

            /// Appends the body in the writer's release.
            pub fn encode(&self, w: &mut Writer) {
                match self {
                    $(messages!(@bind $variant body $($body)?) =>
                        messages!(@encode body w $($body)?),)*
                }
            }

            /// Shows the body to a visitor.
            pub fn view(&self, v: &mut dyn Visitor) {
                match self {
                    $(messages!(@bind $variant body $($body)?) =>
                        messages!(@view $variant body v $($body)?),)*
                }
            }

            /// Reads a body out of a longer run of bytes.
            pub(crate) fn decode_from(msg_type: u16, r: &mut Reader<'_>) -> Result<Self, DecodeError> {
                let release = r.release();
                match msg_type {
                    $(names::$name
                        if or_release!(OLDEST $($since)?) <= release
                            && release <= or_release!(NEWEST $($until)?) =>
                    {
                        messages!(@decode $variant r $($body)?)
                    })*
                    _ => {
                        let name = names::name(msg_type);
                        Err(r.fault(Fault::UnknownMessage { msg_type, name }))
                    }
                }
            }
        }
    };
    (@schema) => { |_| Vec::new() };
    (@schema $body:ty) => { Schema::of::<$body> };
    (@sample $variant:ident) => { |_| Message::$variant };
    (@sample $variant:ident $body:ty) => { |g| Message::$variant(<$body as Wire>::sample(g)) };
    (@any $variant:ident) => { Self::$variant };
    (@any $variant:ident $body:ty) => { Self::$variant(_) };
    (@bind $variant:ident $name:ident) => { Self::$variant };
    (@bind $variant:ident $name:ident $body:ty) => { Self::$variant($name) };
    (@encode $name:ident $w:ident) => { () };
    (@encode $name:ident $w:ident $body:ty) => { <$body as Wire>::encode($name, $w) };
    (@view $variant:ident $name:ident $v:ident) => {{
        $v.record_begin(stringify!($variant));
        $v.record_end();
    }};
    (@view $variant:ident $name:ident $v:ident $body:ty) => { <$body as Wire>::view($name, $v) };
    (@decode $variant:ident $r:ident) => { Ok(Self::$variant) };
    (@decode $variant:ident $r:ident $body:ty) => { <$body as Wire>::decode($r).map(Self::$variant) };
}

impl Message {
    /// Reads the body of a message of this number. The body must be used up.
    pub fn decode(msg_type: u16, release: Release, body: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(release, body);
        let message = Self::decode_from(msg_type, &mut r)?;
        r.finish()?;
        Ok(message)
    }

    /// The body's bytes in a release.
    pub fn to_bytes(&self, release: Release) -> Vec<u8> {
        let mut w = Writer::new(release);
        self.encode(&mut w);
        w.into_bytes()
    }

    /// The message's name in Slurm.
    pub fn name(&self) -> &'static str {
        names::name(self.msg_type()).expect("a registered message has a name")
    }

    /// The registered message of this number in a release.
    pub fn registered(msg_type: u16, release: Release) -> Option<&'static Registered> {
        let fits = |entry: &&Registered| entry.msg_type == msg_type && entry.in_release(release);
        Self::REGISTERED.iter().find(fits)
    }
}

messages! {
    REQUEST_PING => RequestPing;
    RESPONSE_SLURM_RC => ResponseSlurmRc(m::ReturnCode);
    RESPONSE_SLURM_RC_MSG => ResponseSlurmRcMsg(m::RcMsg);
    RESPONSE_FORWARD_FAILED => ResponseForwardFailed;
}
