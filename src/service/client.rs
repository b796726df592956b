//! One service call: encode, send, retry, decode. Nothing else calls `Transport::send` or
//! `Clock::sleep`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::clock::Clock;
use crate::error::{AnswerInfo, Error};
use crate::random;
use crate::service::protocol::{Fault, Malformed, Operation};
use crate::service::retry::{self, Budget};
use crate::transport::{HttpRequest, HttpResponse, LARGEST_BODY, Transport};

pub(crate) struct Client {
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    attempt_timeout: Duration,
    service_clock: Mutex<Option<ServiceTime>>,
}

/// The service's clock as the last answer showed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ServiceTime {
    pub(crate) date: SystemTime,
    pub(crate) boot: Duration,
}

/// Both clocks, read together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) wall: SystemTime,
    pub(crate) boot: Duration,
}

/// A decoded answer, with what the lease of its credentials needs.
pub(crate) struct Answer<T> {
    pub(crate) output: T,
    /// Just before the successful attempt was sent.
    pub(crate) sent: Moment,
    /// The service's clock: the answer's `Date`, or the local wall clock if it has none.
    pub(crate) date: SystemTime,
    pub(crate) info: AnswerInfo,
}

impl Client {
    pub(crate) fn new(
        transport: Arc<dyn Transport>,
        clock: Arc<dyn Clock>,
        attempt_timeout: Duration,
    ) -> Self {
        Self { transport, clock, attempt_timeout, service_clock: Mutex::new(None) }
    }

    /// Calls `operation` at `url`, with repeats, until it succeeds, fails for good, or `budget` is
    /// used up; then the last error comes back.
    pub(crate) fn call<O: Operation>(
        &self,
        url: &str,
        operation: &O,
        budget: &Budget,
    ) -> Result<Answer<O::Output>, Error> {
        let mut request = HttpRequest::new(url, operation.headers(), operation.body()?);
        let mut attempt = 0;
        loop {
            attempt += 1;
            let sent = Moment { wall: self.clock.wall(), boot: self.clock.boot() };
            let left = budget.deadline.saturating_sub(sent.boot);
            if left.is_zero() {
                return Err(Error::timeout("no time is left to ask the service"));
            }
            request.set_timeout(left.min(self.attempt_timeout));
            let error = match self.attempt(operation, &request, sent) {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            log::debug!("attempt {attempt} of {} failed: {error:#}", budget.attempts);
            let delay = retry::delay(
                error.repeat(),
                attempt,
                budget.attempts,
                error.retry_after(),
                random::f64(),
            );
            let left = self.left(budget);
            match delay {
                Some(delay) if delay < left => {
                    if !delay.is_zero() {
                        self.clock.sleep(delay);
                    }
                }
                _ => return Err(error),
            }
        }
    }

    /// What is left of a budget's time.
    pub(crate) fn left(&self, budget: &Budget) -> Duration {
        budget.deadline.saturating_sub(self.clock.boot())
    }

    /// The service's clock now: the `Date` of the last answer, and the time since.
    pub(crate) fn service_time(&self) -> Option<SystemTime> {
        let boot = self.clock.boot();
        let last = (*self.service_clock())?;
        last.date.checked_add(boot.saturating_sub(last.boot))
    }

    pub(crate) fn last_seen(&self) -> Option<ServiceTime> {
        *self.service_clock()
    }

    /// Goes by what an answer to another process showed, if that is later than what is known.
    pub(crate) fn has_seen(&self, seen: ServiceTime) {
        let mut last = self.service_clock();
        if last.is_none_or(|last| last.boot < seen.boot) {
            *last = Some(seen);
        }
    }

    fn attempt<O: Operation>(
        &self,
        operation: &O,
        request: &HttpRequest,
        sent: Moment,
    ) -> Result<Answer<O::Output>, Error> {
        log::trace!("{} → {}", O::NAME, request.url());
        let response =
            self.transport.send(request).map_err(|error| Error::transport(O::NAME, &error))?;
        let date = response.header("date").and_then(|date| httpdate::parse_http_date(date).ok());
        if let Some(date) = date {
            let boot = self.clock.boot();
            *self.service_clock() = Some(ServiceTime { date, boot });
        }
        let (output, info) = read(operation, &response, date)?;
        Ok(Answer { output, sent, date: date.unwrap_or(sent.wall), info })
    }

    fn service_clock(&self) -> MutexGuard<'_, Option<ServiceTime>> {
        self.service_clock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read<O: Operation>(
    operation: &O,
    response: &HttpResponse,
    date: Option<SystemTime>,
) -> Result<(O::Output, AnswerInfo), Error> {
    let masks = operation.masks();
    let succeeded = (200..300).contains(&response.status());
    let sent_id =
        response.header("x-amzn-requestid").or_else(|| response.header("x-amz-request-id"));
    let info = |id: Option<&str>, mint| AnswerInfo {
        status: response.status(),
        code: None,
        request_id: id.map(|id| masks.request_id(id, mint)),
        retry_after: retry::retry_after(response, date),
    };
    let refused = |fault: Fault| {
        let code = fault.code.as_deref().map(String::as_str);
        let message = fault.message.as_deref().map(String::as_str);
        let id = sent_id.or_else(|| fault.request_id.as_deref().map(String::as_str));
        Error::service(O::NAME, info(id, false), code, message, &masks)
    };
    let unfit = |what: &str| Error::response(O::NAME, info(sent_id, succeeded), what);
    if response.body().len() > LARGEST_BODY {
        return Err(unfit("the answer is larger than 256 KiB"));
    }
    if !succeeded {
        return Err(refused(operation.fault(response)));
    }
    operation.decode(response).map(|output| (output, info(sent_id, true))).map_err(
        |Malformed(what)| {
            let fault = operation.fault(response);
            if fault.code.is_some() { refused(fault) } else { unfit(&what) }
        },
    )
}
