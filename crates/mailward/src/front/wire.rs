//! The octets of one connection, encrypted or not.

use super::tls::{Secured, Tls};
use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Octets read at once.
const CHUNK_OCTETS: usize = 64 * 1024;

thread_local! {
    /// A connection that waits holds no buffer: it reads into its thread's.
    static CHUNK: RefCell<Vec<u8>> = RefCell::new(vec![0; CHUNK_OCTETS]);
}

/// One connection.
pub enum Wire {
    /// As the system gives it.
    Plain(TcpStream),
    /// Through TLS.
    Encrypted(Secured),
    /// Lost in a handshake.
    Broken,
}

impl Wire {
    /// Waits for octets, and lets `see` have them at once: 0 of them when the peer has closed.
    pub async fn read<T>(&mut self, mut see: impl FnMut(&[u8]) -> T) -> io::Result<T> {
        poll_fn(|context| {
            CHUNK.with_borrow_mut(|chunk| {
                let mut buffer = ReadBuf::new(chunk);
                match self.poll_read(context, &mut buffer) {
                    Poll::Ready(Ok(())) => Poll::Ready(Ok(see(buffer.filled()))),
                    Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                    Poll::Pending => Poll::Pending,
                }
            })
        })
        .await
    }

    fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Wire::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Wire::Encrypted(stream) => Pin::new(stream).poll_read(context, buffer),
            Wire::Broken => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    /// Writes all of it.
    pub async fn write_all(&mut self, octets: &[u8]) -> io::Result<()> {
        use tokio::io::AsyncWriteExt;
        match self {
            Wire::Plain(stream) => stream.write_all(octets).await,
            Wire::Encrypted(stream) => {
                stream.write_all(octets).await?;
                stream.flush().await
            }
            Wire::Broken => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Says that nothing more will come; what the peer sends can still be read.
    pub async fn finish(&mut self) -> io::Result<()> {
        poll_fn(|context| match self {
            Wire::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Wire::Encrypted(stream) => Pin::new(stream).poll_shutdown(context),
            Wire::Broken => Poll::Ready(Ok(())),
        })
        .await
    }

    /// The handshake. Whatever was read before it and not used is the caller's to throw away.
    pub async fn encrypt(&mut self, tls: &Tls) -> io::Result<()> {
        let stream = match std::mem::replace(self, Wire::Broken) {
            Wire::Plain(stream) => stream,
            Wire::Encrypted(_) | Wire::Broken => return Err(io::ErrorKind::NotConnected.into()),
        };
        *self = Wire::Encrypted(tls.accept(stream).await?);
        Ok(())
    }

    /// The connection itself while it is plain.
    pub fn plain(&self) -> Option<&TcpStream> {
        match self {
            Wire::Plain(stream) => Some(stream),
            _ => None,
        }
    }

    /// What is known of its encryption.
    pub fn tls_facts(&self) -> Option<judge::evidence::TlsFacts> {
        match self {
            Wire::Encrypted(stream) => Some(super::tls::facts(stream)),
            _ => None,
        }
    }
}
