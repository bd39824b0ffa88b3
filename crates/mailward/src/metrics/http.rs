//! The listener for scrapers: as much of HTTP/1.1 (RFC 9112) as `GET /metrics` needs, and no more.
//!
//! One request a connection, of bounded size and within bounded time; few connections at once. Anything but
//! `GET /metrics` is answered 404, what is no request 400.

use crate::front::smtp::Stop;
use std::fmt::Write as _;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

/// Octets of a request, its header included; scrapers send a few hundred.
const REQUEST_OCTETS_MAX: usize = 8 * 1024;
/// For the request, and again for the answer.
const TIME_MAX: Duration = Duration::from_secs(5);
/// Scrapers at one time; whoever comes later waits.
const SCRAPERS_MAX: usize = 8;
/// Pause after the system could not accept a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Gives the text that is served.
pub type Page = Arc<dyn Fn() -> String + Send + Sync>;

/// Serves until `stop` says so.
pub async fn listen(listener: TcpListener, page: Page, mut stop: watch::Receiver<Stop>) {
    let places = Arc::new(Semaphore::new(SCRAPERS_MAX));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop != Stop::No) => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let page = page.clone();
                tokio::spawn(async move {
                    // A scraper that goes away needs no answer.
                    let _ = serve(stream, page).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection for metrics");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(mut stream: TcpStream, page: Page) -> io::Result<()> {
    let request = timeout(TIME_MAX, request(&mut stream)).await??;
    let response = respond(&request, page.as_ref());
    let write = async {
        stream.write_all(response.as_bytes()).await?;
        stream.shutdown().await
    };
    timeout(TIME_MAX, write).await?
}

/// What came up to the blank line, or up to the limit.
async fn request(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut octets = Vec::with_capacity(512);
    let is_whole = |octets: &[u8]| octets.windows(4).any(|four| four == b"\r\n\r\n");
    let mut limited = stream.take(REQUEST_OCTETS_MAX as u64);
    while !is_whole(&octets) && limited.read_buf(&mut octets).await? > 0 {}
    Ok(octets)
}

fn respond(request: &[u8], page: &(dyn Fn() -> String + Send + Sync)) -> String {
    let (status, kind, body) = match target(request) {
        Some(("GET", "/metrics")) => ("200 OK", "text/plain; version=0.0.4; charset=utf-8", page()),
        Some(_) => ("404 Not Found", "text/plain", "only GET /metrics is here\n".to_owned()),
        None => (
            "400 Bad Request",
            "text/plain",
            "no request that ends in time and size\n".to_owned(),
        ),
    };
    let mut out = String::with_capacity(body.len() + 160);
    let _ = write!(
        out,
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    out
}

/// Method and path of a whole request; what follows `?` is no part of the path.
fn target(request: &[u8]) -> Option<(&str, &str)> {
    let end = request.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(request.get(..end)?).ok()?;
    let mut words = head.lines().next()?.split(' ');
    let (method, path, version) = (words.next()?, words.next()?, words.next()?);
    (version.starts_with("HTTP/1.") && words.next().is_none()).then(|| (method, path.split('?').next().unwrap_or(path)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn status(request: &str) -> String {
        let response = respond(request.as_bytes(), &|| "page\n".to_owned());
        response.lines().next().unwrap_or_default().to_owned()
    }

    #[test]
    fn only_get_metrics_gets_the_page() {
        assert_eq!(status("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 200 OK");
        assert_eq!(status("GET /metrics?x=y HTTP/1.0\r\n\r\n"), "HTTP/1.1 200 OK");
        for request in [
            "GET / HTTP/1.1\r\n\r\n",
            "POST /metrics HTTP/1.1\r\n\r\n",
            "GET /metrics/ HTTP/1.1\r\n\r\n",
        ] {
            assert_eq!(status(request), "HTTP/1.1 404 Not Found", "{request}");
        }
        for request in [
            "",
            "\r\n\r\n",
            "GET /metrics\r\n\r\n",
            "GET /metrics HTTP/1.1\r\n",
            "GET  /metrics HTTP/2\r\n\r\n",
        ] {
            assert_eq!(status(request), "HTTP/1.1 400 Bad Request", "{request}");
        }
    }

    proptest! {
        #[test]
        fn any_octets_get_one_whole_response(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
            let response = respond(&octets, &|| "page\n".to_owned());
            let (head, body) = response.split_once("\r\n\r\n").unwrap();
            let length = format!("Content-Length: {}", body.len());
            prop_assert!(head.contains(&length));
        }
    }
}
