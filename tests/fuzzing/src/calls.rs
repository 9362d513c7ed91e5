//! What the targets of whole calls have in common: a call out of an input, and its answer.
//!
//! An input is which rpc is called (a byte), who calls (a byte), and the message; the message is put into its frame, unless the
//! highest bit of the second byte is set: then the rest is the body as it is.

use std::convert::Infallible;
use std::sync::LazyLock;

use api::Rpc;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use prost::encoding::{string, uint64};
use tokio::runtime::{Builder, Runtime};
use tonic::Code;
use tonic::body::Body;
use tower::{Service, ServiceExt as _};

/// Nobody waits here: when everybody does, the clock moves on.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime")
});

/// Runs it to its end.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    RUNTIME.block_on(future)
}

/// A call that somebody makes.
pub(crate) struct Attempt {
    pub(crate) rpc: Rpc,
    /// By whom, of so many.
    pub(crate) caller: usize,
    pub(crate) body: Vec<u8>,
}

impl Attempt {
    /// The call that an input stands for.
    pub(crate) fn read(input: &[u8], package: &str, callers: usize) -> Option<Self> {
        let (&[rpc, caller], message) = input.split_first_chunk()?;
        let rpcs = rpcs(package);
        let is_framed = caller < 0x80;
        Some(Self {
            rpc: rpcs[usize::from(rpc) % rpcs.len()],
            caller: usize::from(caller & 0x7f) % callers,
            body: if is_framed { framed(message) } else { message.to_vec() },
        })
    }

    /// Whether the body has this in it.
    pub(crate) fn says(&self, text: &str) -> bool {
        contains(&self.body, text)
    }
}

/// Whether these bytes have this text in them, in whatever case.
pub(crate) fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window.eq_ignore_ascii_case(text.as_bytes()))
}

fn rpcs(package: &str) -> Vec<Rpc> {
    Rpc::ALL.into_iter().filter(|rpc| rpc.path()[1..].starts_with(package)).collect()
}

fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("inputs are small");
    [&[0][..], &length.to_be_bytes(), message].concat()
}

/// What a call was answered.
pub(crate) struct Answer {
    /// `None`: a stream has begun.
    pub(crate) code: Option<Code>,
    pub(crate) message: Vec<u8>,
}

impl Answer {
    /// Whether the caller got what was asked for.
    pub(crate) fn is_ok(&self) -> bool {
        self.code.is_none_or(|code| code == Code::Ok)
    }

    /// Whether the caller was not let in, or was not understood before that was asked.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self.code, Some(Code::Unauthenticated | Code::InvalidArgument | Code::ResourceExhausted))
    }
}

/// Makes the call with this token, which has to be answered, and not as if something here were broken.
pub(crate) async fn answered(
    service: impl Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    attempt: &Attempt,
    token: Option<&str>,
) -> Answer {
    let mut request = Request::post(attempt.rpc.path()).header("content-type", "application/grpc");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let request = request.body(Body::new(Full::from(attempt.body.clone()))).expect("a request");
    let response = service.oneshot(request).await.expect("an answer");
    assert_eq!(response.status(), StatusCode::OK);
    let answer = match code(response.headers()) {
        Some(code) => Answer { code: Some(code), message: Vec::new() },
        // It has no end.
        None if attempt.rpc.is_streaming() => Answer { code: None, message: Vec::new() },
        None => {
            let collected = response.into_body().collect().await.expect("a body");
            let code = Some(collected.trailers().and_then(code).expect("a status"));
            Answer { code, message: collected.to_bytes().to_vec() }
        }
    };
    let is_broken = matches!(answer.code, Some(Code::Internal | Code::Unknown | Code::DataLoss));
    assert!(!is_broken, "{:?} is answered {:?}", attempt.rpc, answer.code);
    answer
}

fn code(headers: &HeaderMap) -> Option<Code> {
    headers.get("grpc-status").map(|code| Code::from_bytes(code.as_bytes()))
}

/// A field of a message.
#[derive(Clone, Copy)]
pub(crate) enum Field {
    Text(u32, &'static str),
    Number(u32, u64),
}

/// An input: a call of each rpc of the package by the callers that are given, with each of these messages.
pub(crate) fn seeds(package: &str, callers: &[u8], messages: &[&[Field]]) -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for rpc in 0..rpcs(package).len() {
        let rpc = u8::try_from(rpc).expect("few rpcs");
        for caller in callers {
            seeds.extend(messages.iter().map(|fields| {
                let mut seed = vec![rpc, *caller];
                for field in *fields {
                    match *field {
                        Field::Text(tag, text) => string::encode(tag, &text.to_owned(), &mut seed),
                        Field::Number(tag, number) => uint64::encode(tag, &number, &mut seed),
                    }
                }
                seed
            }));
        }
    }
    seeds
}
