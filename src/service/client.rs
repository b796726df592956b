//! One service call. No other file calls `Transport::send` or `Clock::sleep`.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::clock::Clock;
use crate::error::{Error, ErrorKind, NOT_THE_SERVICE, ResponseMetadata, Retry};
use crate::random;
use crate::service::budget::Budget;
use crate::service::protocol::{DecodeError, ErrorMetadata, Operation};
use crate::service::retry;
use crate::transport::{
    HttpRequest, HttpResponse, MAX_BODY, Transport, TransportError, TransportErrorKind,
};

pub(crate) struct Client {
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    attempt_timeout: Duration,
    /// The number of calls, without retries.
    calls: AtomicU32,
    service_clock: Mutex<Option<ServiceTime>>,
}

/// The `Date` of an answer, and the boot time at which the answer arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ServiceTime {
    pub(crate) date: SystemTime,
    pub(crate) boot: Duration,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct ClockReading {
    pub(crate) wall: SystemTime,
    pub(crate) boot: Duration,
}

/// The decoded output of a call, with the times that the lease of its credentials needs.
pub(crate) struct ServiceResponse<T> {
    pub(crate) operation: &'static str,
    pub(crate) output: T,
    pub(crate) times: ResponseTimes,
    pub(crate) metadata: ResponseMetadata,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct ResponseTimes {
    /// Read just before the successful attempt.
    pub(crate) sent: ClockReading,
    /// `None` if the answer has no readable `Date`.
    pub(crate) date: Option<SystemTime>,
}

impl ResponseTimes {
    /// Returns the time from the answer's `Date` to `end`. If there is no `Date` before `end`,
    /// returns the time from the local wall clock to `end`. `None` if neither is before `end`.
    pub(crate) fn life_until(&self, end: SystemTime) -> Option<Duration> {
        let life = |now| end.duration_since(now).ok().filter(|life| !life.is_zero());
        self.date.and_then(life).or_else(|| life(self.sent.wall))
    }
}

impl Client {
    pub(crate) fn new(
        transport: Arc<dyn Transport>,
        clock: Arc<dyn Clock>,
        attempt_timeout: Duration,
    ) -> Self {
        let service_clock = Mutex::new(None);
        Self { transport, clock, attempt_timeout, calls: AtomicU32::new(0), service_clock }
    }

    /// Calls `operation` at `url`, and retries it within `budget`. If every attempt fails, returns
    /// the error of the last one.
    pub(crate) fn call<O: Operation>(
        &self,
        url: &str,
        operation: &O,
        budget: &Budget,
    ) -> Result<ServiceResponse<O::Output>, Error> {
        let mut request = HttpRequest::new(url, operation.headers(), operation.body()?);
        let (mut attempt, mut last) = (0, None);
        loop {
            attempt += 1;
            let sent = ClockReading { wall: self.clock.wall(), boot: self.clock.boot() };
            let left = budget.deadline.saturating_sub(sent.boot);
            if left.is_zero() {
                // No time was left for the first attempt, or the delay took too long.
                let timeout = || Error::timeout("no time is left to ask the service");
                return Err(last.unwrap_or_else(timeout));
            }
            if attempt == 1 {
                self.calls.fetch_add(1, Ordering::Relaxed);
            }
            request.set_timeout(left.min(self.attempt_timeout));
            let error = match self.attempt(operation, &request, sent) {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            log::debug!("attempt {attempt} of {} failed: {error:#}", budget.attempts);
            let delay = retry::delay(
                error.retry(),
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
                    last = Some(error);
                }
                _ => return Err(error),
            }
        }
    }

    /// Returns the number of calls since the client was made. The number wraps around.
    pub(crate) fn calls(&self) -> u32 {
        self.calls.load(Ordering::Relaxed)
    }

    pub(crate) fn left(&self, budget: &Budget) -> Duration {
        budget.deadline.saturating_sub(self.clock.boot())
    }

    /// Returns the time of the service: the `Date` of the last answer plus the time since then.
    pub(crate) fn service_time(&self) -> Option<SystemTime> {
        let boot = self.clock.boot();
        let last = (*self.service_clock())?;
        last.date.checked_add(boot.saturating_sub(last.boot))
    }

    /// Forgets the last `Date`, which has turned out to be wrong.
    pub(crate) fn forget_service_time(&self) {
        *self.service_clock() = None;
    }

    pub(crate) fn last_service_time(&self) -> Option<ServiceTime> {
        *self.service_clock()
    }

    /// Sets the time of the service from an answer to another process, if that answer is newer.
    pub(crate) fn set_service_time(&self, seen: ServiceTime) {
        let mut last = self.service_clock();
        if last.is_none_or(|last| last.boot < seen.boot) {
            *last = Some(seen);
        }
    }

    fn attempt<O: Operation>(
        &self,
        operation: &O,
        request: &HttpRequest,
        sent: ClockReading,
    ) -> Result<ServiceResponse<O::Output>, Error> {
        log::trace!("{} → {}", O::NAME, request.url());
        let response =
            self.transport.send(request).map_err(|error| transport_error(O::NAME, error))?;
        let date = response.header_without_conflict("date");
        let date = date.and_then(|date| httpdate::parse_http_date(date).ok());
        if let Some(date) = date {
            let boot = self.clock.boot();
            *self.service_clock() = Some(ServiceTime { date, boot });
        }
        let (output, metadata) = read(operation, &response, date)?;
        let times = ResponseTimes { sent, date };
        Ok(ServiceResponse { operation: O::NAME, output, times, metadata })
    }

    fn service_clock(&self) -> MutexGuard<'_, Option<ServiceTime>> {
        self.service_clock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn transport_error(operation: &'static str, error: TransportError) -> Error {
    use TransportErrorKind as Kind;
    let (kind, retry) = match error.kind() {
        Kind::Connect | Kind::Io => (ErrorKind::Unreachable, Retry::AfterFailure),
        Kind::Closed => (ErrorKind::Unreachable, Retry::AtOnce),
        Kind::Timeout => (ErrorKind::Timeout, Retry::AfterFailure),
        Kind::Tls => (ErrorKind::Tls, Retry::Never),
        Kind::TooLarge => (ErrorKind::Response, Retry::Never),
        Kind::Other => (ErrorKind::Unreachable, Retry::Never),
    };
    let too_large = error.kind() == Kind::TooLarge;
    let hint = error.hint().or(too_large.then_some(NOT_THE_SERVICE));
    Error::no_response(operation, kind, retry, hint, Arc::new(error))
}

fn read<O: Operation>(
    operation: &O,
    response: &HttpResponse,
    date: Option<SystemTime>,
) -> Result<(O::Output, ResponseMetadata), Error> {
    let redactor = operation.redactor();
    let succeeded = (200..300).contains(&response.status());
    let sent_id =
        response.header("x-amzn-requestid").or_else(|| response.header("x-amz-request-id"));
    let metadata = |id: Option<&str>, mint| ResponseMetadata {
        status: response.status(),
        code: None,
        request_id: id.map(|id| redactor.request_id(id, mint)),
        retry_after: retry::retry_after(response, date, random::f64),
    };
    let refused = |error: ErrorMetadata| {
        let code = error.code.as_deref().map(String::as_str);
        let message = error.message.as_deref().map(String::as_str);
        let id = sent_id.or_else(|| error.request_id.as_deref().map(String::as_str));
        Error::service(O::NAME, O::REFUSALS, metadata(id, false), code, message, &redactor)
    };
    let unusable = |why: &str| Error::response(O::NAME, metadata(sent_id, succeeded), why);
    if response.body().len() > MAX_BODY {
        return Err(unusable("the answer is larger than 256 KiB"));
    }
    if !succeeded {
        return Err(refused(operation.decode_error(response)));
    }
    match operation.decode(response) {
        Ok(output) => Ok((output, metadata(sent_id, true))),
        Err(DecodeError(why)) => {
            let error = operation.decode_error(response);
            Err(if error.code.is_some() { refused(error) } else { unusable(&why) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_transport_error_appears_once() {
        let io = std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "connection refused");
        let error = TransportError::new(TransportErrorKind::Connect, io);
        let error = transport_error("GetId", error);
        assert_eq!(error.to_string(), "GetId: could not connect");
        assert_eq!(format!("{error:#}"), "GetId: could not connect: connection refused");
        let kind = error.transport_error().map(TransportError::kind);
        assert_eq!(kind, Some(TransportErrorKind::Connect));
        let source = std::error::Error::source(&error).unwrap();
        assert_eq!(source.to_string(), "connection refused");
    }
}
