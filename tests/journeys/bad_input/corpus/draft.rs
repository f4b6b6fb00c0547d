//! A request that is right in everything, to be spoilt in one thing.

use super::{RequestCase, event_id};

/// Collects requests.
pub(super) struct Requests<'s> {
    sign: &'s dyn Fn(&[u8]) -> String,
    cases: Vec<RequestCase>,
}

impl<'s> Requests<'s> {
    pub(super) fn new(sign: &'s dyn Fn(&[u8]) -> String) -> Self {
        Requests { sign, cases: Vec::new() }
    }

    pub(super) fn into_cases(self) -> Vec<RequestCase> {
        self.cases
    }

    /// A request that is an event.
    pub(super) fn taken(&mut self, name: &str, change: impl FnOnce(&mut Draft)) {
        self.push(name, vec![Some(200)], true, change);
    }

    /// A request that gets one of these statuses, and is no event.
    pub(super) fn refused(&mut self, name: &str, statuses: &[u16], change: impl FnOnce(&mut Draft)) {
        self.push(name, statuses.iter().copied().map(Some).collect(), false, change);
    }

    /// A request that gets one of these statuses or no answer at all, and is no event.
    pub(super) fn refused_or_closed(
        &mut self,
        name: &str,
        statuses: &[u16],
        change: impl FnOnce(&mut Draft),
    ) {
        let right = statuses.iter().copied().map(Some).chain([None]).collect();
        self.push(name, right, false, change);
    }

    /// Bytes that are no request of ours.
    pub(super) fn raw(&mut self, name: &str, right: &[Option<u16>], bytes: impl Into<Vec<u8>>) {
        let (name, bytes, right) = (name.to_owned(), bytes.into(), right.to_vec());
        self.cases.push(RequestCase { name, bytes, right, is_event: false });
    }

    /// Signs a body.
    pub(super) fn sign(&self, body: &[u8]) -> String {
        (self.sign)(body)
    }

    fn push(&mut self, name: &str, right: Vec<Option<u16>>, is_event: bool, change: impl FnOnce(&mut Draft)) {
        let mut draft = self.draft();
        change(&mut draft);
        self.cases.push(RequestCase { name: name.to_owned(), bytes: draft.to_bytes(), right, is_event });
    }

    /// The next case's request, as it should be. Its signature holds a letter that other alphabets of base64 write
    /// otherwise, so that to write it otherwise is a change.
    fn draft(&self) -> Draft {
        let index = self.cases.len();
        let event_id = event_id(1, index);
        let body = |salt: u32| {
            format!(
                concat!(
                    r#"{{"event":"tracking_update","event_id":"{}","ts":1783598400,"#,
                    r#""msg":{{"id":"request-{}"}},"salt":{}}}"#
                ),
                event_id, index, salt
            )
        };
        let is_telling = |body: &String| self.sign(body.as_bytes()).contains(['+', '/']);
        let body = (0..100).map(body).find(is_telling).unwrap_or_else(|| body(0));
        let signature = self.sign(body.as_bytes());
        Draft {
            line: b"POST /webhooks/aftership HTTP/1.1".to_vec(),
            fields: vec![
                b"Host: waybill.test".to_vec(),
                b"Content-Type: application/json".to_vec(),
                format!("Content-Length: {}", body.len()).into_bytes(),
                format!("aftership-hmac-sha256: {signature}").into_bytes(),
            ],
            end: b"\r\n",
            content: body.clone().into_bytes(),
            body: body.into_bytes(),
            signature,
        }
    }
}

/// A request to be.
pub(super) struct Draft {
    /// The request line, without its end.
    pub(super) line: Vec<u8>,
    /// Header lines, without their ends.
    pub(super) fields: Vec<Vec<u8>>,
    /// The end of each line of the head.
    pub(super) end: &'static [u8],
    /// What follows the head.
    pub(super) content: Vec<u8>,
    /// What is signed.
    pub(super) body: Vec<u8>,
    /// The right signature of that.
    pub(super) signature: String,
}

impl Draft {
    /// Puts a request line in its place.
    pub(super) fn line(&mut self, line: impl AsRef<[u8]>) {
        self.line = line.as_ref().to_vec();
    }

    /// Adds a header line.
    pub(super) fn field(&mut self, field: impl AsRef<[u8]>) {
        self.fields.push(field.as_ref().to_vec());
    }

    /// Adds a header line before all others.
    pub(super) fn first_field(&mut self, field: impl AsRef<[u8]>) {
        self.fields.insert(0, field.as_ref().to_vec());
    }

    /// Takes a header away.
    pub(super) fn without(&mut self, name: &str) {
        let start = format!("{name}:");
        self.fields.retain(|field| !field.starts_with(start.as_bytes()));
    }

    /// Puts another value in a header's place.
    pub(super) fn set(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.without(name);
        self.field([name.as_bytes(), b": ", value.as_ref()].concat());
    }

    /// Puts another signature in its place.
    pub(super) fn signed(&mut self, value: impl AsRef<[u8]>) {
        self.set("aftership-hmac-sha256", value);
    }

    /// Declares chunks instead of a length; the content is as on the wire.
    pub(super) fn chunked(&mut self, content: impl Into<Vec<u8>>) {
        self.set("Transfer-Encoding", "chunked");
        self.without("Content-Length");
        self.content = content.into();
    }

    /// The body in chunks of so many bytes.
    pub(super) fn chunks(&self, bytes: usize) -> Vec<u8> {
        let mut content = Vec::new();
        for chunk in self.body.chunks(bytes) {
            content.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            content.extend_from_slice(chunk);
            content.extend_from_slice(b"\r\n");
        }
        content.extend_from_slice(b"0\r\n\r\n");
        content
    }

    /// The body as one chunk, with its size line as given, and with what follows it.
    pub(super) fn chunk(&self, size: impl AsRef<[u8]>, after: &[u8]) -> Vec<u8> {
        [size.as_ref(), &self.body, after].concat()
    }

    /// Bytes of the head, as it stands.
    pub(super) fn head_bytes(&self) -> usize {
        self.to_bytes().len() - self.content.len()
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.line.clone();
        bytes.extend_from_slice(self.end);
        for field in &self.fields {
            bytes.extend_from_slice(field);
            bytes.extend_from_slice(self.end);
        }
        bytes.extend_from_slice(self.end);
        bytes.extend_from_slice(&self.content);
        bytes
    }
}
