//! Where every field of a message stands: a reader that traces keeps the name, place, length and
//! value of all that is decoded through it.
//!
//! Names and order come from the declarations, which announce each field to the reader. A kind
//! written out by hand that announces nothing is one part without inner parts.

use crate::{DecodeError, Reader, Value, Visitor, Wire};

/// A piece of a message: a field, or an element of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// The field's name; `None` for an element.
    pub name: Option<&'static str>,
    /// Where it starts, in bytes.
    pub at: usize,
    /// How long it is, in bytes.
    pub bytes: usize,
    /// What it says.
    pub content: Content,
}

/// What a part says.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// A value without parts of its own: plain, a list of plain ones, or of a kind whose inside is
    /// not traced.
    Value(Value),
    /// Bytes that only fill the place of a field that is gone.
    Filler(Vec<u8>),
    /// Fields.
    Record(Vec<Part>),
    /// Elements.
    List(Vec<Part>),
    /// Its bytes do not make sense, or there are not enough of them.
    Unreadable,
}

impl Part {
    /// What it says, as a value. Fields that the release does not carry are not in it.
    pub fn value(&self) -> Value {
        match &self.content {
            Content::Value(value) => value.clone(),
            Content::Filler(bytes) => Value::Bytes(bytes.clone()),
            Content::List(parts) => Value::List(parts.iter().map(Self::value).collect()),
            Content::Record(parts) => {
                let named = |part: &Self| (part.name.unwrap_or_default(), part.value());
                let shown = parts.iter().filter(|part| !part.is_filler());
                Value::Record(shown.map(named).collect())
            }
            Content::Unreadable => Value::Null,
        }
    }

    /// Whether it says nothing.
    pub const fn is_filler(&self) -> bool {
        matches!(self.content, Content::Filler(_))
    }
}

/// What is being traced: the parts that have begun and not ended, outermost first.
#[derive(Debug)]
pub(crate) struct Trace {
    /// Added to every place, where the reader's bytes stand in something longer.
    base: usize,
    open: Vec<Open>,
}

#[derive(Debug)]
struct Open {
    name: Option<&'static str>,
    at: usize,
    parts: Vec<Part>,
}

impl Trace {
    pub(crate) fn new(base: usize) -> Self {
        Self { base, open: vec![Open { name: None, at: base, parts: Vec::new() }] }
    }

    #[cold]
    fn begin(&mut self, name: Option<&'static str>, at: usize) {
        self.open.push(Open { name, at: self.base + at, parts: Vec::new() });
    }

    fn end(&mut self, at: usize, content: impl FnOnce(Vec<Part>) -> Content) {
        let Open { name, at: start, parts } = self.open.pop().expect("begin and end are paired");
        let bytes = self.base + at - start;
        let part = Part { name, at: start, bytes, content: content(parts) };
        let outer = self.open.last_mut().expect("the root is never ended");
        outer.parts.push(part);
    }

    /// The outermost parts. What has not ended was interrupted by a fault.
    pub(crate) fn finish(mut self, at: usize) -> Vec<Part> {
        while self.open.len() > 1 {
            self.end(at, interrupted);
        }
        self.open.pop().map(|root| root.parts).unwrap_or_default()
    }
}

/// The content of a part whose value is known. Inner parts are kept only where they fit the value:
/// a kind written out by hand may have announced some of its fields and not others.
fn settled(parts: Vec<Part>, value: Value) -> Content {
    let fits = match &value {
        Value::Record(fields) => parts.iter().all(|part| {
            let known = |name| fields.iter().any(|(field, _)| *field == name);
            part.name.is_some_and(|name| part.is_filler() || known(name))
        }),
        Value::List(items) => {
            items.len() == parts.len() && parts.iter().all(|part| part.name.is_none())
        }
        _ => false,
    };
    if parts.is_empty() || !fits {
        return Content::Value(value);
    }
    if matches!(value, Value::Record(_)) {
        return Content::Record(parts);
    }
    let plain = |part: &Part| matches!(&part.content, Content::Value(value) if value.is_plain());
    if parts.iter().all(plain) { Content::Value(value) } else { Content::List(parts) }
}

fn interrupted(parts: Vec<Part>) -> Content {
    match parts.first() {
        None => Content::Unreadable,
        Some(first) if first.name.is_none() => Content::List(parts),
        Some(_) => Content::Record(parts),
    }
}

/// Memory that a list is given before its elements are read, in bytes for each byte of input that
/// is left. Records are a few times as large in memory as on the wire.
const ROOM_FACTOR: usize = 4;

/// Announcing fields. Without a trace each of these is one branch.
impl Reader<'_> {
    /// Whether fields are kept.
    #[inline]
    pub const fn is_traced(&self) -> bool {
        self.trace.is_some()
    }

    /// A field starts here. Every field that is read without a fault is ended.
    #[inline]
    pub fn begin(&mut self, name: &'static str) {
        let at = self.at();
        if let Some(trace) = &mut self.trace {
            trace.begin(Some(name), at);
        }
    }

    /// The field begun last ends here and says what `show` shows.
    #[cold]
    pub fn end(&mut self, show: &dyn Fn(&mut dyn Visitor)) {
        let at = self.at();
        if let Some(trace) = &mut self.trace {
            let value = Value::of(|v| show(v));
            trace.end(at, |parts| settled(parts, value));
        }
    }

    /// The field begun last ends here and consists of the fields announced within it.
    pub fn end_record(&mut self) {
        let at = self.at();
        if let Some(trace) = &mut self.trace {
            trace.end(at, Content::Record);
        }
    }

    /// Reads filler and announces it.
    pub fn filler(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Self) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        self.begin(name);
        let start = self.at();
        read(self)?;
        let at = self.at();
        let filler = self.last_bytes(at - start).to_vec();
        if let Some(trace) = &mut self.trace {
            trace.end(at, |_| Content::Filler(filler));
        }
        Ok(())
    }

    /// Reads a field and announces it: for kinds that are written out by hand.
    pub fn field<T: Wire>(&mut self, name: &'static str) -> Result<T, DecodeError> {
        self.field_with(name, T::decode, T::view)
    }

    /// Reads and announces a field in another way than its own.
    pub fn field_with<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
        show: impl Fn(&T, &mut dyn Visitor),
    ) -> Result<T, DecodeError> {
        self.begin(name);
        let value = read(self)?;
        if self.is_traced() {
            self.end(&|v| show(&value, v));
        }
        Ok(value)
    }

    /// Reads an element of a list and announces it.
    #[inline]
    pub fn element<T: Wire>(&mut self) -> Result<T, DecodeError> {
        if !self.is_traced() {
            return T::decode(self);
        }
        let at = self.at();
        if let Some(trace) = &mut self.trace {
            trace.begin(None, at);
        }
        let value = T::decode(self)?;
        self.end(&|v| value.view(v));
        Ok(value)
    }

    /// Reads `count` elements, which must have been checked, and announces each.
    pub(crate) fn list<T: Wire>(&mut self, count: usize) -> Result<Vec<T>, DecodeError> {
        let room = (self.left() * ROOM_FACTOR) / std::mem::size_of::<T>().max(1);
        let mut list = Vec::with_capacity(count.min(room));
        let before = self.left();
        while list.len() < count {
            if list.len() == list.capacity() {
                list.reserve_exact(self.more(&list, before).min(count - list.len()));
            }
            if self.is_traced() {
                list.push(self.element()?);
            } else {
                T::push_onto(&mut list, self)?;
            }
        }
        Ok(list)
    }

    /// For how many more elements a full list makes room, judged by what its elements took so far
    /// of the bytes left `before`. At least as many as it has, so that it seldom moves.
    #[cold]
    fn more<T>(&self, list: &[T], before: usize) -> usize {
        let taken = (before - self.left()).max(1);
        (self.left() * list.len() / taken).max(list.len()).max(1)
    }

    /// Reads and announces a field that is a list whose count stands elsewhere. The count must have
    /// been checked.
    pub fn elements<T: Wire>(
        &mut self,
        name: &'static str,
        count: usize,
    ) -> Result<Vec<T>, DecodeError> {
        self.field_with(name, |r| r.list(count), Vec::view)
    }
}
